"""What is printed at the end and appended to RESULTS.md: machine, versions, data, command,
tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmark.runs.environment import describe
from benchmark.storage.atomic import write_bytes
from performance.contestants import CONTESTANTS, OURS
from performance.job import Job
from performance.prepare import Workload
from performance.rounds import Scores
from performance.table import SPLIT, Work, heads, main_table, markdown, split_table

PACKAGES = ("torch", "monai", "lightning", "torchio", "numpy")
TITLE = """\
# Speed

Every section is written by `nox -s speed` or the command that it names; nothing here is written by hand.
Contestants take turns, each in a fresh process: same slices, batch size, kernel, image size and machine. Medians
over rounds; a ratio is taken within a round. images/s is of training alone; seconds per epoch are the whole split's,
training and validation, at the measured speeds. GFLOP/s counts forward and backward of the network; the peak is the
best of some matrix products and convolutions. Memory of a worker is what it does not share with the training process.
"""


def section(
    job: Job, course: Workload, scores: Scores, gflop_per_image: float, command: str
) -> str:
    """Return one dated section in Markdown."""
    peak = max(scores.peaks, default=None)
    work = Work(course.epoch_train, course.epoch_val, gflop_per_image, peak[0] if peak else None)
    rounds = max(map(len, scores.by_label.values()), default=0)
    beside = OURS if OURS in scores.by_label else next(iter(scores.by_label))
    facts = describe(job.device, job.threads)
    training = job.recipe.training
    recipe = (
        f"kernel {job.kernel_size}, batch {training.batch_size}, {training.precision}, {job.device}"
    )
    best = (
        f"{peak[0]:.0f} GFLOP/s ({peak[1]})"
        if peak
        else f"not measured: {scores.reasons.get('peak')}"
    )
    about = f"- peak: {best}; an image costs {gflop_per_image:.2f} GFLOP"
    parts = [
        f"## {datetime.now().astimezone():%Y-%m-%d %H:%M}, {course.side}x{course.side}, {recipe}",
        facts_of(facts, course, job, rounds, command, about),
        markdown(heads(beside), main_table(scores.by_label, beside, work)),
    ]
    split = split_table(scores.by_label)
    if split:
        parts += [
            "Milliseconds per image, from a pass of its own in the first round (validation: per validation image):",
            markdown(("contestant", *SPLIT), split),
        ]
    failed = [f"- {label} failed: {reason}" for label, reason in scores.reasons.items()]
    return "\n\n".join([*parts, *(["\n".join(failed)] if failed else [])]) + "\n"


def facts_of(
    facts: Mapping[str, object],
    course: Workload,
    job: Job,
    rounds: int,
    command: str,
    more: str = "",
) -> str:
    """What a section's numbers depend on: machine, versions, data, rounds, command, a line each;
    more: another line.
    """
    data = "phantoms" if course.phantom else "real slices"
    timed = f"{len(job.train)} training and {len(job.val)} validation images"
    lines = [
        f"- machine: {machine(facts)}",
        f"- versions: python {facts['python']}, {versions()}, commit {_commit(facts)}",
        f"- data: {course.slices} {data}; of {course.epoch_train} and {course.epoch_val} an epoch, {timed} timed",
        f"{more}; {rounds} rounds" if more else f"- {rounds} rounds",
        f"- command: `{command}`",
    ]
    return "\n".join(lines)


def legend(names: list[str]) -> str:
    """What each contestant is, a line each."""
    return "\n".join(f"{name}: {CONTESTANTS[name].what}" for name in names)


def machine(facts: Mapping[str, object]) -> str:
    """Processor, cores, threads and card in a line."""
    words = f"{facts['processor']}, {facts['cores']} cores, {facts['threads']} threads, {facts['system']}"
    return words + (f", {facts['gpu']}, CUDA {facts['cuda']}" if facts["gpu"] else "")


def versions() -> str:
    """The versions that decide speed; a package that is not there is left out."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _commit(facts: Mapping[str, object]) -> str:
    commit = str(facts["git_commit"] or "unknown")[:7]
    return commit + (" with changes" if facts["git_dirty"] else "")


def append(path: Path, text: str) -> None:
    """Add a section to a file of results, which is begun if it is not there; all of it or
    nothing.
    """
    before = path.read_text(encoding="utf-8") if path.exists() else TITLE
    write_bytes(path, f"{before.rstrip()}\n\n{text}".encode())
