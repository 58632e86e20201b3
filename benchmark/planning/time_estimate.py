"""How long the cells of a grid are likely to take: as finished ones took. Imports no torch."""

from __future__ import annotations

import contextlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmark.arm import ArmEntry
from benchmark.errors import BenchmarkError
from benchmark.protocol import Training
from benchmark.runs.run_folder import RESULT, SPEC, TIMING, RunFolder, RunState, read_json
from benchmark.runs.spec import RunSpec

CLASSICAL_SECONDS_PER_512 = 0.05  # an image of 512x512, tuned and predicted
# about what two processor cores do at the phantoms' 64x64
GUESSED_GFLOP_PER_SECOND, GUESSED_EPOCHS = 30.0, 40.0
GUESS = "a guess of 30 GFLOP/s and 40 epochs, which finished cells will correct"
# collect names such folders
PASSED_OVER = (BenchmarkError, ArithmeticError, AttributeError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class CostKey:
    """What decides how long an epoch takes. Cells with the same key are alike.

    model: the arm, its parameters but alpha, and the network, as one text.
    """

    model: str
    shape: tuple[int, ...]
    precision: str

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> CostKey:
        """Read it off a canonical spec; KeyError and the like where that is damaged."""
        params = {key: value for key, value in spec["params"].items() if key != "alpha"}
        protocol = spec["protocol"]
        model = json.dumps([spec["arm"], params, protocol["network"]], sort_keys=True)
        return cls(model, tuple(spec["shape"]), protocol["training"]["precision"])

    @property
    def pixels(self) -> int:
        """Of an image."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class TimingRecord:
    """What a finished cell teaches. seconds: all its work; per_epoch: of one, None without epochs.

    epochs is None also where the protocol's limit ended the training;
    gflop is that of one forward and backward pass of an image, None where it was not counted.
    """

    key: CostKey
    seconds: float
    per_epoch: float | None = None
    epochs: int | None = None
    gflop: float | None = None

    def seconds_for(self, key: CostKey, gflop: float | None) -> float | None:
        """Seconds of an epoch, or of all where there are none, of a cell with this key.

        In proportion to GFLOP, or to pixels where there are no epochs; None: GFLOP are unknown.
        """
        if self.key == key:
            return self.per_epoch or self.seconds
        if self.per_epoch is None:
            return self.seconds * key.pixels / self.key.pixels
        return self.per_epoch * gflop / self.gflop if gflop and self.gflop else None


@dataclass(frozen=True)
class TimeEstimate:
    """Of a cell: seconds (None: not known), epochs (None: it has none), and where it was learnt."""

    seconds: float | None
    epochs: float | None = None
    source: str = ""


Sources = Mapping[str, Sequence[TimingRecord]]  # by the name of a folder, the nearest first


def timing_record(folder: Path, dataset_id: str) -> TimingRecord | None:
    """Read a finished run; None for one of other slices, or a damaged one, which collect names."""
    with contextlib.suppress(*PASSED_OVER):
        fit, timing = read_json(folder / RESULT)["fit"], read_json(folder / TIMING)
        spec, per_epoch = read_json(folder / SPEC)["spec"], timing["seconds_per_epoch"]
        numbers = (
            timing["fit_seconds"] + timing["predict_seconds"],
            per_epoch,
            fit["stop_epoch"] + 1 if per_epoch and fit["stopped_early"] else None,
            timing["train_gflop_per_image"],
        )
        sound = all(n is None or (math.isfinite(n) and n > 0) for n in numbers)
        if sound and spec["dataset_id"] == dataset_id:
            return TimingRecord(CostKey.of(spec), *numbers)
    return None


def timing_records(root: Path, dataset_id: str) -> list[TimingRecord]:
    """Those of every finished run in a folder; none of a folder that is not there."""
    records = (timing_record(path.parent, dataset_id) for path in sorted(root.glob(f"*/{RESULT}")))
    return [record for record in records if record]


def estimate(spec: RunSpec, images: float, entry: ArmEntry, sources: Sources) -> TimeEstimate:
    """What a cell takes from its beginning: the median of finished cells, the most alike first.

    images is how many an epoch visits, a validation image counted as a third; only the guess
    needs it.
    """
    key = CostKey.of(spec.canonical())
    own_model = [r for records in sources.values() for r in records if r.key.model == key.model]
    has_epochs = any(r.per_epoch for r in own_model) if own_model else spec.seed is not None
    counted = (r.gflop * key.pixels / r.key.pixels for r in own_model if r.gflop)
    declared = entry.gflop and entry.gflop(spec.params) * key.pixels / 512**2
    gflop = next(counted, declared)
    groups = list(_groups(key, has_epochs, sources))
    seconds, source = None, ""
    for name, group in groups:
        known = [s for r in group if (s := r.seconds_for(key, gflop)) is not None]
        if known:
            seconds, source = median(known), name
            break
    if not has_epochs:
        guess = CLASSICAL_SECONDS_PER_512 * images * key.pixels / 512**2
        return TimeEstimate(guess if seconds is None else seconds, None, source)
    if seconds is None and gflop:
        seconds, source = gflop * images / GUESSED_GFLOP_PER_SECOND, GUESS
    counts = ([r.epochs for r in group if r.epochs] for _, group in groups)
    epochs = next((median(n) for n in counts if n), GUESSED_EPOCHS)
    epochs = min(epochs, spec.recipe.training.max_epochs)
    return TimeEstimate(None if seconds is None else seconds * epochs, epochs, source)


def _groups(
    key: CostKey, has_epochs: bool, sources: Sources
) -> Iterator[tuple[str, list[TimingRecord]]]:
    """Like cells, then others, best of that size and precision; one's own before our records."""
    for name, records in sources.items():
        kin = [r for r in records if (r.per_epoch is not None) == has_epochs]
        yield f"like cells in {name}", [r for r in kin if r.key == key]
        size, precision = key.shape, key.precision
        near = [r for r in kin if (r.key.shape, r.key.precision) == (size, precision)]
        yield f"other cells in {name}", near or kin


def remaining(whole: TimeEstimate, training: Training, behind: Sequence[float]) -> TimeEstimate:
    """What is left of a cell that took `behind` seconds for each of its finished epochs.

    It is given at least its patience more, since any improvement starts that count anew, and never
    more than the protocol's limit.
    """
    if not behind:
        return whole
    expected = (whole.epochs or training.max_epochs) - len(behind)
    epochs = min(max(expected, training.patience), training.max_epochs - len(behind))
    return TimeEstimate(median(behind) * epochs, epochs, "their own epochs")


def states(specs: Iterable[RunSpec], root: Path) -> list[RunState]:
    """The state of each run, read off its folder."""
    return [RunFolder(root, spec.run_id).state for spec in specs]


def left(estimates: Iterable[TimeEstimate]) -> tuple[float, int]:
    """Seconds that are left in all, and of how many cells nothing is known."""
    seconds = [estimate.seconds for estimate in estimates]
    return sum(s for s in seconds if s is not None), sum(s is None for s in seconds)


def sources_text(estimates: Iterable[TimeEstimate]) -> str:
    """Where estimates were learnt, with numbers of cells where that differs; "" where nowhere.

    >>> sources_text([TimeEstimate(1, 1, "like cells"), TimeEstimate(2, 1, "a guess")])
    'like cells (1), a guess (1)'
    """
    counts = Counter(estimate.source for estimate in estimates if estimate.source)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{source} ({n})" for source, n in counts.items())


def span(seconds: float) -> str:
    """Words for a time: 0.4 s, 12 s, 3 min 20 s, 5 h 10 min.

    >>> [span(s) for s in (0.42, 12.3, 200, 18600)]
    ['0.4 s', '12 s', '3 min 20 s', '5 h 10 min']
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
