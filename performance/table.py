"""From measurements to tables. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from performance.clock import ASIDE, TRAINING
from performance.job import Measurement

Rounds = Sequence[Measurement | None]
"""One contestant's rounds in order; None where it failed."""
HEADS = (
    "contestant",
    "images/s",
    "seconds per epoch",
    "",
    "peak memory, MiB",
    "GFLOP/s",
    "share of peak",
)
FASTER = 3  # the column that sets the first contestant beside each
SPLIT = (*TRAINING, "other", "validation", ASIDE)
NONE = "-"


@dataclass(frozen=True)
class Ratio:
    """How many times as fast, paired within rounds: the median and the extremes over rounds."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Work:
    """What an epoch is: its slices, what an image costs, and the machine's peak (None: not
    measured).
    """

    epoch_train: int
    epoch_val: int
    gflop_per_image: float
    peak_gflop_per_second: float | None


def ratio(of: Rounds, to: Rounds) -> Ratio | None:
    """Return how many times as fast `of` trains as `to` does; None where no round has both."""
    found = [
        a.images_per_second / b.images_per_second for a, b in zip(of, to, strict=True) if a and b
    ]
    return Ratio(median(found), min(found), max(found)) if found else None


def epoch_seconds(one: Measurement, work: Work) -> float:
    """Seconds that training on the whole split and validating would take at the measured speeds."""
    train = work.epoch_train * one.train_seconds / one.train_images
    return train + work.epoch_val * one.val_seconds / one.val_images


def heads(beside: str) -> list[str]:
    """`HEADS`, naming the contestant that is set beside each."""
    return [*HEADS[:FASTER], f"{beside} is x times as fast (least - most)", *HEADS[FASTER + 1 :]]


def main_table(by_label: Mapping[str, Rounds], beside: str, work: Work) -> list[list[str]]:
    """One row per contestant under `heads`; medians over rounds."""
    return [
        [label, *_main_row(rounds, by_label.get(beside, []), work)]
        for label, rounds in by_label.items()
    ]


def _main_row(rounds: Rounds, beside: Rounds, work: Work) -> list[str]:
    done = [one for one in rounds if one]
    if not done:
        return [NONE] * (len(HEADS) - 1)
    speed = median(one.images_per_second for one in done)
    against = ratio(beside, rounds) if beside else None
    rate = speed * work.gflop_per_image
    return [
        f"{speed:.2f}",
        f"{median(epoch_seconds(one, work) for one in done):.1f}",
        f"{against.median:.2f} ({against.least:.2f} - {against.most:.2f})" if against else NONE,
        _memory(done),
        f"{rate:.0f}",
        f"{rate / work.peak_gflop_per_second:.0%}" if work.peak_gflop_per_second else NONE,
    ]


def _memory(done: Sequence[Measurement]) -> str:
    """Greatest over rounds, such as "2310", "2310 + 400 a worker" or "2310; card 5120"."""
    process, worker, card = (
        max(
            (value for one in done if (value := getattr(one.memory, part)) is not None),
            default=None,
        )
        for part in ("process", "worker", "card")
    )
    text = NONE if process is None else f"{process:.0f}"
    text += "" if worker is None else f" + {worker:.0f} a worker"
    return text + ("" if card is None else f"; card {card:.0f}")


def split_table(by_label: Mapping[str, Rounds]) -> list[list[str]]:
    """One row per contestant that was split: milliseconds per image under `SPLIT`."""
    rows = []
    for label, rounds in by_label.items():
        split = next((one.split for one in rounds if one and one.split), None)
        if split:
            rows.append(
                [label, *(f"{split[name]:.1f}" if name in split else NONE for name in SPLIT)]
            )
    return rows


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, its columns as wide as they need.

    >>> print(markdown(["a", "b"], [["long", "1"]]))
    | a    | b |
    |------|---|
    | long | 1 |
    """
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
             for row in [heads, *rows]]  # fmt: skip
    return "\n".join(
        [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]
    )
