"""How long the cells of a grid are likely to take, learnt from finished ones. Imports no torch."""

from __future__ import annotations

import contextlib
import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.runs.run_folder import RESULT, SPEC, TIMING, RunFolder, RunState, read_json
from benchmark.runs.spec import RunSpec

# GFLOP of one forward and backward pass of a 512x512 image, counted by
# benchmark.training.loop.gflop_per_image
UNET_GFLOP = {3: 7.96, 5: 22.12, 7: 43.37, 9: 71.68}
ATTENTION_UNET_GFLOP = 78.3
CLASSICAL_SECONDS_PER_512 = 0.05  # an image of 512x512, tuned and predicted
GUESSED_GFLOP_PER_SECOND, GUESSED_EPOCHS = 100.0, 40.0
GUESS = "a guess of 100 GFLOP/s and 40 epochs, which finished cells will correct"
PASSED_OVER = (
    BenchmarkError,
    ArithmeticError,
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
)  # collect names such folders


@dataclass(frozen=True)
class CostKey:
    """What decides how long an epoch takes. model: the arm, its parameters but alpha, and the
    network, as one text.
    """

    model: str
    shape: tuple[int, ...]
    precision: str

    @classmethod
    def of(cls, canonical: Mapping[str, Any]) -> CostKey:
        """Read it off a canonical spec; KeyError and the like where that is damaged."""
        params = {key: value for key, value in canonical["params"].items() if key != "alpha"}
        protocol = canonical["protocol"]
        model = json.dumps([canonical["arm"], params, protocol["network"]], sort_keys=True)
        return cls(model, tuple(canonical["shape"]), protocol["training"]["precision"])


@dataclass(frozen=True)
class TimingRecord:
    """What a finished cell teaches. seconds: all its work; per_epoch: of one epoch, None without
    epochs.

    epochs is None also where the protocol's limit cut the training; gflop is that of one
    forward and backward pass of an image, None where it was not counted.
    """

    kind: CostKey
    seconds: float
    per_epoch: float | None = None
    epochs: int | None = None
    gflop: float | None = None


@dataclass(frozen=True)
class TimeEstimate:
    """What is left of a cell: seconds (None: not known), epochs (None: it has none), and where that
    was learnt.
    """

    seconds: float | None
    epochs: float | None = None
    learnt: str = ""


Sources = Mapping[str, Sequence[TimingRecord]]  # by the name of a folder, the nearest first


def timing_record(folder: Path, dataset_id: str) -> TimingRecord | None:
    """Read a finished run's folder; None for one of other slices, or a damaged one, which collect
    will name.
    """
    with contextlib.suppress(*PASSED_OVER):
        fit, timing = read_json(folder / RESULT)["fit"], read_json(folder / TIMING)
        spec = read_json(folder / SPEC)["spec"]
        if spec["dataset_id"] != dataset_id:
            return None
        seconds, per_epoch = (
            timing["fit_seconds"] + timing["predict_seconds"],
            timing["seconds_per_epoch"],
        )
        epochs = fit["stop_epoch"] + 1 if per_epoch and fit["stopped_early"] else None
        numbers = (seconds, per_epoch, epochs, timing["train_gflop_per_image"])
        if all(number is None or (math.isfinite(number) and number > 0) for number in numbers):
            return TimingRecord(CostKey.of(spec), *numbers)
    return None


def timing_records(root: Path, dataset_id: str) -> list[TimingRecord]:
    """Every lesson of a folder of runs; none of one that is not there."""
    found = (timing_record(path.parent, dataset_id) for path in sorted(root.glob(f"*/{RESULT}")))
    return [one for one in found if one]


def estimate(
    spec: RunSpec, images: float, sources: Sources, behind: Sequence[float] = ()
) -> TimeEstimate:
    """What is left of a cell. behind: seconds of each epoch that it has finished already, which
    tell its pace best.

    images is how many an epoch visits, a validation image counted as a third; only the guess
    needs it. A training that was begun is given at least its patience more, since any
    improvement starts that count anew, and never more than the protocol's limit.
    """
    kind, training = CostKey.of(spec.canonical()), spec.recipe.training
    if (whole := _without_epochs(spec, kind, images, sources)) is not None:
        return whole
    per_epoch, learnt = (
        (statistics.median(behind), "their own epochs")
        if behind
        else _pace(spec, kind, images, sources)
    )
    if per_epoch is None:
        return TimeEstimate(None)
    rest = min(_first(kind, sources, _mean_epochs)[0] or GUESSED_EPOCHS, training.max_epochs) - len(
        behind
    )
    if behind:
        rest = min(max(rest, training.patience), training.max_epochs - len(behind))
    return TimeEstimate(per_epoch * rest, rest, learnt)


def _without_epochs(
    spec: RunSpec, kind: CostKey, images: float, sources: Sources
) -> TimeEstimate | None:
    """The estimate of an arm that has no epochs; None for one that has."""
    for name, seen in sources.items():
        alike = [one for one in seen if one.kind == kind]
        if alike and all(one.per_epoch is None for one in alike):
            return TimeEstimate(
                statistics.median(one.seconds for one in alike), None, f"like cells in {name}"
            )
    if spec.seed is None:
        return TimeEstimate(CLASSICAL_SECONDS_PER_512 * images * math.prod(spec.shape) / 512**2)
    return None


def _pace(
    spec: RunSpec, kind: CostKey, images: float, sources: Sources
) -> tuple[float | None, str]:
    """Seconds of an epoch and where they were learnt; None where not even the cost of the arm is
    known.
    """
    gflop = _gflop(spec, kind, sources)

    def seconds(group: Sequence[TimingRecord]) -> float | None:
        if all(one.kind == kind for one in group):
            return statistics.median(one.per_epoch for one in group if one.per_epoch)
        rates = [one.gflop / one.per_epoch for one in group if one.gflop and one.per_epoch]
        return gflop / statistics.median(rates) if gflop and rates else None

    found, learnt = _first(kind, sources, seconds)
    if found is None and gflop is not None:
        return gflop * images / GUESSED_GFLOP_PER_SECOND, GUESS
    return found, learnt


def _first(
    kind: CostKey, sources: Sources, ask: Callable[[Sequence[TimingRecord]], float | None]
) -> tuple[float | None, str]:
    """The first answer of a group of trainings, the most alike first and one's own before others;
    and its name.
    """
    for words, group in _groups(kind, sources):
        if group and (answer := ask(group)) is not None:
            return answer, words
    return None, ""


def _groups(kind: CostKey, sources: Sources) -> Iterator[tuple[str, list[TimingRecord]]]:
    for name, seen in sources.items():
        trained = [one for one in seen if one.per_epoch]
        yield f"like cells in {name}", [one for one in trained if one.kind == kind]
        alike = [
            one
            for one in trained
            if (one.kind.shape, one.kind.precision) == (kind.shape, kind.precision)
        ]
        yield f"cells of that size and precision in {name}", alike
        yield f"other cells of these slices in {name}", trained


def _mean_epochs(group: Sequence[TimingRecord]) -> float | None:
    epochs = [one.epochs for one in group if one.epochs]
    return statistics.mean(epochs) if epochs else None


def _gflop(spec: RunSpec, kind: CostKey, sources: Sources) -> float | None:
    """GFLOP of a pass of an image at the cell's size, as a finished cell recorded it, else as
    counted beforehand.
    """
    pixels = math.prod(spec.shape)
    for one in (one for seen in sources.values() for one in seen):
        if one.gflop and one.kind.model == kind.model:
            return one.gflop * pixels / math.prod(one.kind.shape)
    known = {
        "unet": UNET_GFLOP.get(spec.params.get("kernel_size", 0)),
        "attention-unet": ATTENTION_UNET_GFLOP,
    }
    counted = known.get(spec.arm)
    return None if counted is None else counted * pixels / 512**2


def states(specs: Iterable[RunSpec], root: Path) -> list[RunState]:
    """The state of each run, read off its folder."""
    return [RunFolder(root, spec.run_id).state for spec in specs]


def left(estimates: Iterable[TimeEstimate]) -> tuple[float, int]:
    """Seconds that are left in all, and of how many cells nothing is known."""
    seconds = [one.seconds for one in estimates]
    return sum(s for s in seconds if s is not None), sum(s is None for s in seconds)


def learnt_from(estimates: Iterable[TimeEstimate]) -> str:
    """Where the estimates were learnt, in words; with numbers of cells where that differs; "" where
    nowhere.

    >>> like, unknown = TimeEstimate(1.0, 1, "like cells in runs"), TimeEstimate(2.0)
    >>> three = like, unknown, TimeEstimate(2.0, 1, "a guess")
    >>> learnt_from(three)
    'like cells in runs (1), a guess (1)'
    """
    counts = Counter(one.learnt for one in estimates if one.learnt)
    return (
        next(iter(counts))
        if len(counts) == 1
        else ", ".join(f"{words} ({n})" for words, n in counts.items())
    )


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
