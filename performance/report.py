"""From measurements to tables, and to the section that is appended to RESULTS.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from tabulate import tabulate

from benchmark.runs.environment import describe
from benchmark.storage.atomic import write_bytes
from performance.clock import ASIDE, TRAINING
from performance.implementations import OURS
from performance.job import Job, Measurement
from performance.rounds import Scores
from performance.workload import Workload

Rounds = Sequence[Measurement | None]
"""One implementation's rounds in order; None where it failed."""
HEAD = "implementation"
SPLIT = (*TRAINING, "other", "validation", ASIDE)
NONE = "-"
PACKAGES = ("torch", "monai", "lightning", "torchio", "numpy")
TITLE = """\
# Speed

Every section is written by `nox -s speed` or the command that it names; nothing here is written by
hand. Implementations take turns, each in a fresh process: same slices, batch size, kernel, image
size and machine. Medians over rounds; a ratio is taken within a round. images/s is of training
alone; seconds per epoch are the whole split's, training and validation, at the measured speeds.
GFLOP/s counts forward and backward of the network; the peak is the best of some matrix products and
convolutions. Memory of a worker is what it does not share with the training process.
"""


@dataclass(frozen=True)
class Ratio:
    """How many times as fast, paired within rounds: the median and the extremes over rounds."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} - {self.most:.2f})"


@dataclass(frozen=True)
class Work:
    """An epoch's slices, an image's cost, and the machine's peak (None: not measured)."""

    epoch_train: int
    epoch_val: int
    gflop_per_image: float
    peak_gflop_per_second: float | None


def ratio(of: Rounds, to: Rounds) -> Ratio | None:
    """Return how many times as fast `of` trains as `to` does; None where no round has both."""
    pairs = [(a, b) for a, b in zip(of, to, strict=True) if a and b]
    ratios = [a.images_per_second / b.images_per_second for a, b in pairs]
    return Ratio(median(ratios), min(ratios), max(ratios)) if ratios else None


def main_table(by_label: Mapping[str, Rounds], beside: str, work: Work) -> list[dict[str, str]]:
    """A row an implementation, heading -> text; medians over rounds; beside is set beside each."""
    peak, rows = work.peak_gflop_per_second, []
    for label, rounds in by_label.items():
        done = [turn for turn in rounds if turn]
        epochs, times = [epoch_seconds(t, work) for t in done], ratio(by_label[beside], rounds)
        speed = median(turn.images_per_second for turn in done) if done else None
        rate = speed * work.gflop_per_image if speed else None
        row = {
            HEAD: label,
            "images/s": f"{speed:.2f}" if speed else NONE,
            "seconds per epoch": f"{median(epochs):.1f}" if epochs else NONE,
            f"{beside} is x times as fast (least - most)": str(times or NONE),
            "peak memory, MiB": _memory(done),
            "GFLOP/s": f"{rate:.0f}" if rate else NONE,
            "share of peak": f"{rate / peak:.0%}" if rate and peak else NONE,
        }
        rows.append(row)
    return rows


def epoch_seconds(turn: Measurement, work: Work) -> float:
    """Seconds that training on the whole split and validating would take at the measured speeds."""
    train = work.epoch_train * turn.train_seconds / turn.train_images
    return train + work.epoch_val * turn.val_seconds / turn.val_images


def _memory(done: Sequence[Measurement]) -> str:
    """Greatest over rounds, such as "2310", "2310 + 400 a worker" or "2310; card 5120"."""

    def most(part: str, form: str, otherwise: str = "") -> str:
        values = [value for turn in done if (value := getattr(turn.memory, part)) is not None]
        return form.format(max(values)) if values else otherwise

    worker, card = most("worker", " + {:.0f} a worker"), most("card", "; card {:.0f}")
    return most("process", "{:.0f}", NONE) + worker + card


def split_table(by_label: Mapping[str, Rounds]) -> list[dict[str, str]]:
    """A row for each implementation that was split, heading -> milliseconds per image."""
    splits = {
        label: next((turn.split for turn in rounds if turn and turn.split), None)
        for label, rounds in by_label.items()
    }
    return [
        {HEAD: label, **{name: f"{split[name]:.1f}" if name in split else NONE for name in SPLIT}}
        for label, split in splits.items()
        if split
    ]


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """A table in Markdown."""
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)


def section(
    job: Job, workload: Workload, scores: Scores, gflop_per_image: float, command: str
) -> str:
    """Return one dated section in Markdown: what its numbers depend on, the tables, failures."""
    peak = max(scores.peaks, default=None)
    gflop_per_second = peak.gflop_per_second if peak else None
    work = Work(workload.epoch_train, workload.epoch_val, gflop_per_image, gflop_per_second)
    beside = OURS if OURS in scores.by_label else next(iter(scores.by_label))
    training, side = job.recipe.training, job.train.shape[0]
    recipe = (
        f"kernel {job.kernel_size}, batch {training.batch_size}, {training.precision}, {job.device}"
    )
    recipe += ", processor time" if job.processor_time else ""
    company = f", beside {job.busy} busy process{'' if job.busy == 1 else 'es'}" if job.busy else ""
    parts = [
        f"## {datetime.now().astimezone():%Y-%m-%d %H:%M}, {side}x{side}, {recipe}{company}",
        _facts(job, workload, scores, f"{gflop_per_image:.2f}", command),
        markdown(main_table(scores.by_label, beside, work)),
    ]
    split = split_table(scores.by_label)
    if split:
        of = "from a pass of its own in the first round (validation: per validation image)"
        parts += [f"Milliseconds per image, {of}:", markdown(split)]
    failed = [f"- {label} failed: {reason}" for label, reason in scores.reasons.items()]
    return "\n\n".join([*parts, *(["\n".join(failed)] if failed else [])]) + "\n"


def _facts(job: Job, workload: Workload, scores: Scores, gflop: str, command: str) -> str:
    """Machine, versions, data, peak, rounds and command, a line each."""
    facts = describe(job.device, job.threads)
    cores = f"{facts['cores']} cores, {facts['threads']} threads, {facts['system']}"
    card = f", {facts['gpu']}, CUDA {facts['cuda']}" if facts["gpu"] else ""
    commit = str(facts["git_commit"] or "unknown")[:7]
    commit += " with changes" if facts["git_dirty"] else ""
    data = "phantoms" if workload.phantom else "real slices"
    an_epoch = f"of {workload.epoch_train} and {workload.epoch_val} an epoch"
    timed = f"{len(job.train)} training and {len(job.val)} validation images timed"
    peak, why = max(scores.peaks, default=None), scores.reasons.get("peak")
    best = f"{peak[0]:.0f} GFLOP/s ({peak[1]})" if peak else f"not measured: {why}"
    rounds = max(map(len, scores.by_label.values()))
    lines = [
        f"- machine: {facts['processor']}, {cores}{card}",
        f"- versions: python {facts['python']}, {_versions()}, commit {commit}",
        f"- data: {workload.slices} {data}; {an_epoch}, {timed}",
        f"- peak: {best}; an image costs {gflop} GFLOP; {rounds} rounds",
        f"- command: `{command}`",
    ]
    return "\n".join(lines)


def _versions() -> str:
    """The versions that decide speed; a package that is not there is left out."""
    versions = []
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions.append(f"{name} {version(name)}")
    return ", ".join(versions)


def append(path: Path, text: str) -> None:
    """Add a section to a file of results, begun if it is not there; all of it or nothing."""
    before = path.read_text(encoding="utf-8") if path.exists() else TITLE
    write_bytes(path, f"{before.rstrip()}\n\n{text}".encode())
