"""How long the cells of a grid are likely to take: as finished ones took. Imports no torch."""

from __future__ import annotations

import contextlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmark.arm import ArmEntry
from benchmark.errors import BenchmarkError
from benchmark.protocol import Training
from benchmark.runs.run_folder import (
    ENVIRONMENT,
    RESULT,
    SPEC,
    TIMING,
    RunFolder,
    RunState,
    read_json,
)
from benchmark.runs.spec import RunSpec

# two quiet cores: `cost` of trainings, and of arms without epochs; a training that stops early
GUESSED_COST_PER_SECOND, GUESSED_CLASSICAL_PER_SECOND, GUESSED_EPOCHS = 200.0, 20.0, 30.0
CELL_SECONDS = 1.0  # to begin, score and write one
GUESS, OURS = "a guess", "our records"
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
    """What a cell teaches. seconds: all its work; per_epoch: of one, None without epochs.

    epochs: how many it had, None while it is under way; cut: whether the protocol's limit ended it;
    gflop is that of one forward and backward pass of an image, None where it was not counted;
    machine: that of a record of ours, in words, whose every core its times are told for.
    """

    key: CostKey
    seconds: float
    per_epoch: float | None = None
    epochs: int | None = None
    gflop: float | None = None
    cut: bool = False
    machine: str = ""

    @property
    def pace(self) -> float:
        """Seconds of an epoch, or of all where there are none."""
        return self.per_epoch or self.seconds

    def says_epochs(self, limit: int) -> bool:
        """Whether a training that may go on to this limit would have about as many epochs."""
        return self.epochs is not None and not (self.cut and self.epochs < limit)


@dataclass(frozen=True)
class TimeEstimate:
    """Of a cell: seconds (None: not known), epochs (None: it has none), and where it was learnt.

    own: whether on cells of the user's; cells: on how many, 0 where that says nothing.
    """

    seconds: float | None
    epochs: float | None = None
    source: str = ""
    own: bool = False
    cells: int = 0


Sources = Mapping[str, Sequence[TimingRecord]]  # by the name of a folder, the nearest first


def timing_record(folder: Path, slices: int, *, ours: bool = False) -> TimingRecord | None:
    """Read a finished run; None for a damaged one, which collect names.

    Its times are told for data of so many slices, in proportion; where it is one of ours, which
    name their machine, for all cores of it.
    """
    with contextlib.suppress(*PASSED_OVER):
        result, timing = read_json(folder / RESULT), read_json(folder / TIMING)
        spec, per_epoch = read_json(folder / SPEC)["spec"], timing["seconds_per_epoch"]
        share, machine = _machine(read_json(folder / ENVIRONMENT)) if ours else (1.0, "")
        scale, fit = share * slices / result["dataset"]["slices"], result["fit"]
        numbers = (
            (timing["fit_seconds"] + timing["predict_seconds"]) * scale,
            per_epoch if per_epoch is None else per_epoch * scale,
            None if per_epoch is None else fit["stop_epoch"] + 1,
            timing["train_gflop_per_image"],
        )
        if all(n is None or (math.isfinite(n) and n > 0) for n in numbers):
            cut = per_epoch is not None and not fit["stopped_early"]
            return TimingRecord(CostKey.of(spec), *numbers, cut, machine)
    return None


def _machine(environment: Mapping[str, Any]) -> tuple[float, str]:
    """The share of a machine that a run of ours had, and words for the whole of it."""
    threads, cores = environment["threads"], environment["cores"]
    if environment["gpu"]:
        return 1.0, environment["gpu"]
    return min(1.0, threads / cores), f"{cores} cores of {environment['processor']}"


def timing_records(root: Path, slices: int, *, ours: bool = False) -> list[TimingRecord]:
    """Those of every finished run in a folder; none of a folder that is not there."""
    folders = (path.parent for path in sorted(root.glob(f"*/{RESULT}")))
    return [r for folder in folders if (r := timing_record(folder, slices, ours=ours))]


def declared_gflop(spec: RunSpec, entry: ArmEntry) -> float | None:
    """Of a forward and backward pass of an image, as the arm says; None where it says no number."""
    try:
        gflop = float(entry.gflop(spec.params)) if entry.gflop else math.nan
    except Exception:  # of a user's code, which is worth no run
        return None
    return gflop * math.prod(spec.shape) / 512**2 if 0 < gflop < math.inf else None


def cost(key: CostKey, gflop: float | None, has_epochs: bool) -> float | None:
    """What an image costs a training, in GFLOP or what takes as long; None: GFLOP are unknown.

    Fitted to kernels 3 to 9 at 64 to 256 pixels on a processor, which its test has: each pixel
    costs as much again as 6.7 GFLOP at 512x512, and each image calls and weights whatever its size.
    To an arm without epochs it costs its pixels, as a share of 512x512.
    """
    size = key.pixels / 512**2
    if not has_epochs:
        return size
    return gflop and gflop + 6.7 * size + 0.05 * (gflop / size + 5)


def estimate(
    spec: RunSpec, images: float, entry: ArmEntry, sources: Sources, sharing: float = 1.0
) -> TimeEstimate:
    """What a cell takes from its beginning: the median of the cells most alike, one's own first.

    images is how many an epoch visits, a validation image counted as a third; only the guess
    needs it. sharing: how many cells a device works on at once, which the user's own cells tell
    by themselves.
    """
    key = CostKey.of(spec.canonical())
    own_model = [r for records in sources.values() for r in records if r.key.model == key.model]
    has_epochs = any(r.per_epoch for r in own_model) if own_model else spec.seed is not None
    counted = (r.gflop * key.pixels / r.key.pixels for r in own_model if r.gflop)
    price = cost(key, next(counted, declared_gflop(spec, entry)), has_epochs)
    kin = {
        name: [r for r in records if (r.per_epoch is not None) == has_epochs]
        for name, records in sources.items()
    }
    epochs = _epochs(key, spec.recipe.training.max_epochs, kin) if has_epochs else None
    found = (_learnt(key, price, name, records) for name, records in kin.items())
    pace = next((one for one in found if one.source), None) or _guessed(price, images, has_epochs)
    if pace.seconds is None:
        return TimeEstimate(None, epochs)
    seconds = pace.seconds * (epochs or 1) * (1 if pace.own else sharing) + CELL_SECONDS
    return replace(pace, seconds=seconds, epochs=epochs)


def _learnt(
    key: CostKey, price: float | None, name: str, records: Sequence[TimingRecord]
) -> TimeEstimate:
    """Of an epoch, or of all: as like cells, else as those of the nearest cost, in proportion."""
    kind, near = "like", [(r, r.pace) for r in records if r.key == key]
    if not near and price:
        priced = [(r, c) for r in records if (c := cost(r.key, r.gflop, r.per_epoch is not None))]

        def distance(r: TimingRecord, c: float) -> tuple[bool, bool, float]:
            elsewhere = r.per_epoch is None and r.key.model != key.model
            # rounded, for GFLOP as declared differ a little from those counted
            return r.key.precision != key.precision, elsewhere, round(abs(math.log(c / price)), 2)

        least = min((distance(*one) for one in priced), default=None)
        near = [(r, r.pace * price / c) for r, c in priced if distance(r, c) == least]
        kind = "other"
    if not near:
        return TimeEstimate(None)
    seconds = median(pace for _, pace in near)
    ((machine, _),) = Counter(r.machine for r, _ in near).most_common(1)
    if machine:
        return TimeEstimate(seconds, None, f"{name}: {machine}")
    return TimeEstimate(seconds, None, f"{kind} cells in {name}", own=True, cells=len(near))


def _guessed(price: float | None, images: float, has_epochs: bool) -> TimeEstimate:
    rate = GUESSED_COST_PER_SECOND if has_epochs else GUESSED_CLASSICAL_PER_SECOND
    return TimeEstimate(price * images / rate if price else None, None, GUESS)


def _epochs(key: CostKey, limit: int, kin: Sources) -> float:
    """The mean of like cells, else of others, and of what was expected before them as one more."""
    expected = GUESSED_EPOCHS
    for records in reversed(list(kin.values())):
        telling = [r for r in records if r.says_epochs(limit)]
        like = [r for r in telling if r.key == key] or telling
        expected = (expected + sum(r.epochs or 0 for r in like)) / (1 + len(like))
    return min(expected, limit)


def remaining(whole: TimeEstimate, training: Training, behind: Sequence[float]) -> TimeEstimate:
    """What is left of a cell that took `behind` seconds for each of its finished epochs.

    It is given at least its patience more, since any improvement starts that count anew, and never
    more than the protocol's limit.
    """
    if not behind:
        return whole
    expected = (whole.epochs or training.max_epochs) - len(behind)
    epochs = min(max(expected, training.patience), training.max_epochs - len(behind))
    return TimeEstimate(median(behind) * epochs, epochs, "their own epochs", own=True)


def states(specs: Iterable[RunSpec], root: Path) -> list[RunState]:
    """The state of each run, read off its folder."""
    return [RunFolder(root, spec.run_id).state for spec in specs]


def left(estimates: Iterable[TimeEstimate]) -> tuple[float, int]:
    """Seconds that are left in all, and of how many cells nothing is known."""
    seconds = [estimate.seconds for estimate in estimates]
    return sum(s for s in seconds if s is not None), sum(s is None for s in seconds)


def sources_text(estimates: Sequence[TimeEstimate]) -> str:
    """Where estimates were learnt, with numbers of cells where that differs; "" where nowhere.

    >>> sources_text([TimeEstimate(1, 1, "like cells in runs", True, 3), TimeEstimate(2, 1, GUESS)])
    '3 like cells in runs (for 1), a guess (for 1)'
    """
    groups: dict[str, list[TimeEstimate]] = {}
    for one in estimates:
        if one.source:
            groups.setdefault(one.source, []).append(one)
    texts = []
    for source, group in groups.items():
        least, most = min(one.cells for one in group), max(one.cells for one in group)
        number = "" if not most else f"{most} " if least == most else f"{least} to {most} "
        text = source.replace(" cells ", " cell ", 1) if most == 1 else source
        texts.append(f"{number}{text}" + (f" (for {len(group)})" if len(groups) > 1 else ""))
    return ", ".join(texts)


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
