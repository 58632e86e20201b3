"""Rounds: every entrant in turn, one at a time, so that a slow minute of the machine meets them
all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from performance import child
from performance.contestants import CONTESTANTS, PEAK, Entry
from performance.job import Job, Measurement

Run = Callable[[Job], dict[str, Any]]


@dataclass
class Scores:
    """by_label: a measurement or None (failed) for each round; reasons: why one failed; peaks:
    GFLOP/s and shape.
    """

    by_label: dict[str, list[Measurement | None]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    peaks: list[tuple[float, str]] = field(default_factory=list)


def run_rounds(
    job: Job, entrants: Sequence[Entry], rounds: int, say: Callable[[str], None], run: Run
) -> Scores:
    """Measure the machine's peak and every entrant in each round; the first round also splits the
    time.

    job is what all have in common. One that fails is not asked again, and the rest go on.
    """
    scores = Scores({entrant.label: [] for entrant in entrants})
    for number in range(rounds):
        where = f"round {number + 1} of {rounds}"
        try:
            peak = run(replace(job, target=PEAK))
            scores.peaks.append((peak["gflop_per_second"], peak["shape"]))
        except child.ImplementationError as error:
            scores.reasons["peak"] = str(error)
        for entrant in entrants:
            label, found = entrant.label, None
            if label not in scores.reasons:
                say(f"{where}: {label} ...")
                found = _turn(replace(job, split=number == 0), entrant, scores, run)
                say(
                    f"{where}: {label}: "
                    + (f"{found.images_per_second:.2f} images/s" if found else "failed")
                )
            scores.by_label[label].append(found)
    return scores


def _turn(job: Job, entrant: Entry, scores: Scores, run: Run) -> Measurement | None:
    one = CONTESTANTS[entrant.name]
    try:
        return child.measurement(
            run(replace(job, target=one.target, workers=entrant.workers, change=one.change))
        )
    except child.ImplementationError as error:
        scores.reasons[entrant.label] = str(error)
        return None
