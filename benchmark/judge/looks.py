"""The log of looks: what the shipped records said each time that they or the answers changed.

`reference_results/looks.toml`. An interval that was looked at before, and could have led to more
runs or another rule, covers less than it says; so each answer tells how often that was.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any

from benchmark.errors import SpecError
from benchmark.runs.collect import identity_hash

LOG, RULES = "reference_results/looks.toml", "reference_results/tolerances.toml"
NUMBER = re.compile(r"[+-]?\d+\.\d+")
CHANGED = "as runs were added or rules changed"


@dataclass(frozen=True)
class Look:
    """The shipped records on a day.

    commit: seven digits of the one that the pages were made on, the parent of the one that brought
    them; of looks before the log began, of the latter. runs: how many; run_ids: a hash of their
    names; rules, plan: hashes (`rules_hash`, `EvidencePlan.hash`), "" where there was none yet.
    answers: by id, a verdict and, after a colon, what was measured.
    """

    date: date
    commit: str
    runs: int
    run_ids: str
    rules: str
    plan: str
    answers: Mapping[str, str]

    def agrees(self, other: Look) -> bool:
        """True where both are of the same runs and give the same answers."""
        return (
            self.run_ids == other.run_ids
            and self.answers.keys() == other.answers.keys()
            and all(_alike(text, other.answers[name]) for name, text in self.answers.items())
        )

    def as_toml(self) -> str:
        """One [[looks]] table."""
        facts = {name: own for name, own in vars(self).items() if name not in ("date", "answers")}
        lines = [f"{key} = {_toml(value)}" for key, value in facts.items()]
        answers = [f"{key} = {_toml(text)}" for key, text in self.answers.items()]
        return "\n".join(
            ["[[looks]]", f"date = {self.date}", *lines, "[looks.answers]", *answers, ""]
        )


def load_looks() -> tuple[Look, ...]:
    """Read the log, oldest first; `SpecError` if it is damaged."""
    try:
        text = (files("reference_results") / "looks.toml").read_text(encoding="utf-8")
        return tuple(Look(**table) for table in tomllib.loads(text).get("looks", ()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError) as error:
        raise SpecError(f"{LOG}: {error}; restore the shipped file") from error


def names_hash(run_ids: Sequence[str]) -> str:
    """12 hex digits of the sha256 over the names of runs, in any order."""
    return identity_hash(sorted(run_ids))


def rules_hash(table: Mapping[str, Any] | None = None) -> str:
    """12 hex digits of the sha256 over the rules of tolerances.toml, the shipped file by default.

    Over every value and every claim's reading; of each of the dated changes its date and its rule,
    so that a rule changed in the code counts too. Reasons, comments and the prose of the changes
    may be mended without becoming other rules.
    """
    if table is None:
        try:
            text = (files("reference_results") / "tolerances.toml").read_text(encoding="utf-8")
            table = tomllib.loads(text)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SpecError(f"{RULES}: cannot be read ({error}); restore it") from error
    rest = {key: value for key, value in table.items() if key != "changes"}
    changes = [[f"{change['date']}", change["rule"]] for change in table.get("changes", ())]
    return identity_hash([_without_reasons(rest), changes])


def _without_reasons(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_reasons(own) for key, own in value.items() if key != "reason"}
    return value


def times_before(looks: Sequence[Look], answer: str, now: str) -> int:
    """How many numbers were seen for an answer, each another than the one before, before now's.

    Looking again at a number that has not changed is no further look; an answer without a number
    is none.
    """
    texts = [look.answers[answer] for look in looks if answer in look.answers]
    seen: list[str] = []
    for text in (*texts, now):
        if NUMBER.search(text) and not (seen and _same_numbers(seen[-1], text)):
            seen.append(text)
    return max(0, len(seen) - 1) if NUMBER.search(now) else 0


def counted(times: int) -> str:
    """In words: once, twice, or so many times."""
    return {1: "once", 2: "twice"}.get(times, f"{times} times")


def looked_at(times: int, level: float) -> list[str]:
    """The sentence beside an interval that was looked at before, if it was; level: its own."""
    if not times:
        return []
    told = f"Looked at {counted(times)} before, {CHANGED}"
    return [f"{told}: the interval covers somewhat less than {level:.0%}."]


def _toml(value: str | int) -> str:
    """A basic string or a number: JSON's, where characters beyond 16 bits stay as they are."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _alike(text: str, other: str) -> bool:
    """The same verdict and, but for the last digit, the same numbers."""
    verdicts = (each.partition(":")[0] for each in (text, other))
    return len(set(verdicts)) == 1 and _same_numbers(text, other)


def _same_numbers(text: str, other: str) -> bool:
    """True where no number differs by more than one in its last digit, as on another processor."""
    numbers, others = NUMBER.findall(text), NUMBER.findall(other)
    return len(numbers) == len(others) and all(
        abs(float(a) - float(b)) < 1.1 * 10.0 ** -len(a.partition(".")[2])
        for a, b in zip(numbers, others, strict=True)
    )
