"""Rounds: every implementation in turn, so that a slow minute of the machine meets them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from performance.job import Job, Measurement
from performance.peak import Peak
from performance.process import ImplementationError

Run = Callable[[Job], Any]
Fields = Mapping[str, Any]


@dataclass
class Scores:
    """by_label: of each round a measurement, or None where it failed; reasons: why one failed."""

    by_label: dict[str, list[Measurement | None]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    peaks: list[Peak] = field(default_factory=list)


def run_rounds(
    job: Job, rows: Mapping[str, Fields], rounds: int, say: Callable[[str], None], run: Run
) -> Scores:
    """Measure the machine's peak and every row in each round; the first round also splits the time.

    job is what all have in common, rows the fields of each by label, as from `job_fields`. One that
    fails is not asked again, and the rest go on.
    """
    scores = Scores({label: [] for label in rows})

    def attempt(label: str, **fields: Any) -> Any:
        try:
            return None if label in scores.reasons else run(replace(job, **fields))
        except ImplementationError as error:
            scores.reasons[label] = str(error)

    for number in range(rounds):
        peak = attempt("peak", target="performance.peak", busy=0)
        scores.peaks += [peak] if peak else []
        for label, fields in rows.items():
            result, turn = None, f"round {number + 1} of {rounds}: {label}"
            if label not in scores.reasons:
                say(f"{turn} ...")
                result = attempt(label, split=number == 0, **fields)
                speed = f"{result.images_per_second:.2f} images/s" if result else "failed"
                say(f"{turn}: {speed}")
            scores.by_label[label].append(result)
    return scores
