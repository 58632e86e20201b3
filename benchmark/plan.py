"""What a grid would do: every cell's state, and how long it is likely to take. Imports no torch."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.collect import reproduction_folder
from benchmark.errors import BenchmarkError
from benchmark.record import RESULT, SPEC, TIMING, RunFolder, State, read_json
from benchmark.spec import RunSpec

# GFLOP of one forward and backward pass of a 512x512 image, counted by benchmark.training.gflop_per_image
UNET_GFLOP = {3: 7.96, 5: 22.12, 7: 43.37, 9: 71.68}
ATTENTION_UNET_GFLOP = 78.3
CLASSICAL_SECONDS_PER_512 = 0.05  # an image of 512x512, tuned and predicted


@dataclass(frozen=True)
class Pace:
    """How fast trainings went: GFLOP a second and epochs a training, and where that was seen."""

    gflop_per_second: float = 100.0
    epochs: float = 40.0
    seen_in: str = "a guess of 100 GFLOP/s and 40 epochs; finished cells will correct it"


def pace(root: Path, dataset_id: str, images: float) -> Pace:
    """Learn the pace from finished trainings on the same slices, in a folder or else in the records shipped here.

    images is how many an epoch visits, a validation image counted as a third. Without such
    trainings the pace is a guess, and says so.
    """
    for folder, name in ((root, f"{root}"), (reproduction_folder(), "our records")):
        trainings = []
        for result in sorted(folder.glob(f"*/{RESULT}")):
            with contextlib.suppress(
                BenchmarkError, ArithmeticError, AttributeError, KeyError, TypeError, ValueError
            ):  # collect names damaged folders
                timing, fit = read_json(result.parent / TIMING), read_json(result)["fit"]
                same = read_json(result.parent / SPEC)["spec"]["dataset_id"] == dataset_id
                if same and fit.get("stopped_early") and timing.get("train_gflop_per_image"):
                    rate = timing["train_gflop_per_image"] * images / timing["seconds_per_epoch"]
                    trainings.append((rate, fit["stop_epoch"] + 1))
        if trainings:
            rates, epochs = zip(*trainings, strict=True)
            return Pace(statistics.median(rates), statistics.mean(epochs), f"{len(rates)} trainings in {name}")
    return Pace()


def estimate(spec: RunSpec, images: float, seen: Pace) -> float | None:
    """Seconds a cell will take at a pace; None for an arm whose cost is not known."""
    if spec.seed is None:
        return CLASSICAL_SECONDS_PER_512 * images * spec.shape[0] * spec.shape[1] / 512**2
    gflop = ATTENTION_UNET_GFLOP if spec.arm == "attention-unet" else UNET_GFLOP.get(spec.params.get("kernel_size", 0))
    if gflop is None or spec.arm not in ("unet", "attention-unet"):
        return None
    share = spec.shape[0] * spec.shape[1] / 512**2
    return gflop * share * images * min(seen.epochs, spec.recipe.training.max_epochs) / seen.gflop_per_second


def states(specs: Iterable[RunSpec], root: Path) -> list[State]:
    """The state of each run, read off its folder."""
    return [RunFolder(root, spec.run_id).state for spec in specs]


def left(estimates: Sequence[float | None], found: Sequence[State]) -> tuple[float, int]:
    """Return the seconds that cells not yet done will take, and how many cells nothing is known of."""
    open_ones = [e for e, state in zip(estimates, found, strict=True) if state is not State.DONE]
    return sum(e for e in open_ones if e is not None), sum(e is None for e in open_ones)
