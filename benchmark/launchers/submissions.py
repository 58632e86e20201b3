"""What was given to Slurm from a folder of runs, and which of its cells still wait there."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmark.runs.claim import holder
from benchmark.runs.run_folder import RunFolder, write_json
from benchmark.runs.slurm_queue import cluster, waiting_or_running
from benchmark.storage.atomic import writing

FOLDER = ".slurm"  # below the runs


@dataclass(frozen=True)
class Submission:
    """One array. name: the job's, no other's; submitted: seconds since 1970, by the file server.

    tasks: the run_ids of each task, by what squeue calls it: 12_0, or 15 of an array of one.
    """

    name: str
    submitted: float
    tasks: Mapping[str, tuple[str, ...]]


def new_folder(runs: Path) -> Path:
    """A hidden folder of a name of its own, for what one submission writes."""
    folder = runs / FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    with writing(folder):
        folder.mkdir(parents=True)
        (folder.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    return folder


def record(folder: Path, tasks: Mapping[str, tuple[str, ...]]) -> None:
    """Keep what was submitted out of a folder of `new_folder`, beside it."""
    submission = Submission(folder.name, folder.stat().st_mtime, tasks)
    write_json(folder.with_suffix(".json"), asdict(submission))


def submissions(runs: Path) -> list[Submission]:
    """Every one, the oldest first; one whose file is damaged is passed over."""
    found = []
    for path in sorted((runs / FOLDER).glob("*.json")):
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            tasks = {task: tuple(ids) for task, ids in table["tasks"].items()}
            found.append(Submission(str(table["name"]), float(table["submitted"]), tasks))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # of a process that was killed: its cells are held by their claims alone
    return found


@dataclass(frozen=True)
class Queue:
    """What Slurm's queue says of open runs.

    waiting: those that a task has yet to come to, or is at, and the task of each; ended: those that
    a task seems to be at which is gone from the queue, as after a node's end; before: those that an
    earlier task had, which is gone, and the folder of its logs.
    """

    waiting: Mapping[str, str] = field(default_factory=dict)
    ended: frozenset[str] = frozenset()
    before: Mapping[str, Path] = field(default_factory=dict)


def queue_of(runs: Path, open_ids: Iterable[str]) -> Queue:
    """Ask squeue once, of all that was submitted from this folder of runs or holds one of them.

    open_ids are read, and squeue is asked, only where runs were submitted. A run that has failed
    since is not waiting: its task goes on with the others and leaves it. Raises `SlurmError` where
    squeue cannot be asked.
    """
    every = submissions(runs)
    open_now = set(open_ids) if every else set()
    of_interest = [s for s in every if any(open_now & {*ids} for ids in s.tasks.values())]
    jobs = {task.partition("_")[0] for s in of_interest for task in s.tasks}
    found = {run_id: holder(runs / run_id) for run_id in open_now}
    held = {i: f.claim for i, f in found.items() if f and f.ours}  # squeue may hide others' jobs
    here = cluster() if any(claim.job for claim in held.values()) else ""
    held = {i: c for i, c in held.items() if c.job and c.cluster == here}
    there = waiting_or_running(jobs | {claim.job.partition("_")[0] for claim in held.values()})
    waiting, before = dict[str, str](), dict[str, Path]()
    for submission in of_interest:
        for task, ids in submission.tasks.items():
            before |= dict.fromkeys(open_now.intersection(ids), runs / FOLDER / submission.name)
            if task in there and there[task].name == submission.name:
                failed = {i for i in ids if RunFolder(runs, i).failed_since(submission.submitted)}
                waiting |= dict.fromkeys(open_now.intersection(ids) - failed, task)
    ended = frozenset(i for i, claim in held.items() if claim.job not in there)
    return Queue(waiting, ended, {i: logs for i, logs in before.items() if i not in waiting})
