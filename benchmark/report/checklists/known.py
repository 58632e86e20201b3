"""What is known of the judged runs, for the answers to a checklist. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from benchmark.judge.cells import Cell, Panel
from benchmark.judge.comparable import in_cell
from benchmark.judge.judgement import Judgement
from benchmark.protocol import Recipe
from benchmark.report.run_files import RunFiles

MOST = 6  # cells, versions or seeds that are named; of more, how many


@dataclass(frozen=True, eq=False)
class Known:
    """files: those of the judgement's finished runs."""

    judgement: Judgement
    files: Sequence[RunFiles]

    @property
    def runs(self) -> pd.DataFrame:
        return self.judgement.collected.runs

    @property
    def cheng(self) -> bool:
        """True where all runs are of Cheng's slices."""
        own = self.runs["dataset_id"] == self.judgement.reference.dataset_id
        return bool(len(self.runs) and (own & ~self.runs["phantom"]).all())

    @property
    def phantoms(self) -> bool:
        """True where all runs are of drawn phantoms."""
        return bool(len(self.runs) and self.runs["phantom"].all())

    @cached_property
    def settings(self) -> list[Mapping[str, Any]]:
        """The resolved protocols that were run, each once, by section.setting."""
        thesis = Recipe().identity()
        plain = {f"{part}.{key}": v for part, own in thesis.items() for key, v in own.items()}
        texts = sorted(set(self.runs["changed_settings"]))
        return [plain | json.loads(text) for text in texts]

    def setting(self, name: str) -> str:
        """The values of a setting of the protocol over all runs."""
        return listed(dict.fromkeys(str(each[name]) for each in self.settings))

    @property
    def level(self) -> float:
        """Of intervals."""
        return self.judgement.tolerances.split_effect.level

    @property
    def fits(self) -> dict[str, int]:
        """In how many runs the histogram was learned on which images, by the setting's value."""
        name, default = "preprocess.nyul_fit", Recipe().preprocess.nyul_fit
        changed = self.runs["changed_settings"].map(json.loads)
        return dict(Counter(sorted(own.get(name, default) for own in changed)))

    @cached_property
    def shown(self) -> list[tuple[Panel, Cell]]:
        """The cells that numbers are told of: the thesis's, else `MOST` of all."""
        cell = self.judgement.reference.best_cell
        every = [(panel, own) for panel in self.judgement.panels for own in panel.cells]
        key = (cell.arm, cell.kernel_size, cell.alpha)
        its = [(panel, own) for panel, own in every if len(own.runs[in_cell(own.runs, *key)])]
        return (its or every)[:MOST]


def listed(words: Iterable[object], most: int = MOST) -> str:
    """One, two and three; of more than most the first, and how many more."""
    texts = [str(word) for word in words]
    if len(texts) > most:
        texts = [*texts[:most], f"{len(texts) - most} more"]
    *first, last = texts or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def spread(values: pd.Series[Any]) -> str:
    """The least and the greatest of whole numbers, or the one that all are."""
    low, high = (f"{value:,.0f}" for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def arms_of(runs: pd.DataFrame) -> str:
    """The names of the arms of some runs."""
    return listed(sorted(set(runs["arm"])))


Answer = Callable[[Known], str]
"""What takes runs of which one at least is finished, and is never empty."""
