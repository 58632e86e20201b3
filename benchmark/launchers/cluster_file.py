"""What tasks ask of a cluster: cluster.toml, and words of the command line that overrule it."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from benchmark.errors import SpecError
from benchmark.runs.spec import RunSpec

CELLS, ONLY, SBATCH = "cells", "only", "sbatch"
OURS = {  # sbatch's names of what has a key here, or is for this program to say
    "partition": "partition", "account": "account", "gpus-per-node": "gpus", "gpus": "gpus",
    "cpus-per-task": "cpus", "mem": "memory", "time": "time", "signal": "notice_seconds",
    "array": "at_once", "job-name": "", "output": "", "error": "", "requeue": "", "open-mode": "",
    "ntasks-per-node": "", "nodes": "",
}  # fmt: skip


@dataclass(frozen=True)
class Needs:
    """What a task asks for. Cells of the same needs are tasks of one array.

    minutes: the time limit; memory: as sbatch has it, such as 16G, 0 for all, "" for the default;
    setup: lines of a shell before the task; sbatch: further options of sbatch and their values;
    at_once: at most so many tasks of an array run at once; cells_per_task: 0 where
    minutes_per_task decides; notice_seconds: a task is told so long before its limit.
    """

    partition: str = ""
    account: str = ""
    gpus: int = 0
    cpus: int = 1
    memory: str = ""
    minutes: int = 240
    setup: tuple[str, ...] = ()
    sbatch: tuple[tuple[str, Any], ...] = ()
    at_once: int = 256
    cells_per_task: int = 0
    minutes_per_task: float = 30.0
    notice_seconds: int = 90


KEYS = ("time", *(field.name for field in fields(Needs) if field.name != "minutes"))


@dataclass(frozen=True)
class Rule:
    """Cells whose arm and parameters take these values have these needs instead."""

    only: Mapping[str, Sequence[Any]]
    changes: Mapping[str, Any]

    def holds(self, spec: RunSpec) -> bool:
        """Whether it speaks of this cell."""
        own = {**spec.params, "arm": spec.arm}
        return all(own.get(key) in values for key, values in self.only.items())


@dataclass(frozen=True)
class Cluster:
    """The needs of every cell: those of most, and rules for some, of which later ones win."""

    most: Needs = Needs()
    rules: tuple[Rule, ...] = ()

    def needs(self, spec: RunSpec) -> Needs:
        """Those of a cell."""
        needs = self.most
        for rule in self.rules:
            needs = _changed(needs, rule.changes) if rule.holds(spec) else needs
        return needs

    def sizing_rule(self, spec: RunSpec) -> int:
        """Which rule, from 1, says how long a task with this cell is; 0 for none."""
        sizes = {"cells_per_task", "minutes_per_task"}
        own = (i for i, r in enumerate(self.rules, 1) if r.holds(spec) and sizes & {*r.changes})
        return max(own, default=0)


def load_cluster(words: Sequence[str], axes: Collection[str]) -> Cluster:
    """Read the words of `--cluster`: a file, or none, and KEY=VALUE, which overrules it.

    axes: what `only` may name. Raises `SpecError` for a file that is not there or is no TOML, an
    unknown key (with the nearest) and a value that does not fit.
    """
    files = [word for word in words if "=" not in word]
    if len(files) > 1:
        raise SpecError(f"--cluster: {files[0]} and {files[1]}: one file; what overrules it is "
                        "written KEY=VALUE")  # fmt: skip
    table = _read(Path(files[0])) if files else {}
    where = f"--cluster {files[0]}" if files else "--cluster"
    own = {key: value for key, value in table.items() if key != CELLS}
    most = _checked(own, f"{where}: ")
    for word in (word for word in words if "=" in word):
        key, _, text = word.partition("=")
        most = _joined(most, _checked(_nested(key, text), f"--cluster {word}: "))
    entries = table.get(CELLS, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SpecError(f"{where}: cells must be written as [[cells]], with double brackets")
    rules = [_rule(entry, axes, f"{where}: [[cells]] {i}: ") for i, entry in enumerate(entries, 1)]
    return Cluster(_changed(Needs(), most), tuple(rules))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SpecError(f"--cluster {path}: there is no such file") from error
    except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
        raise SpecError(f"--cluster {path}: is not valid TOML: {error}") from error
    except OSError as error:
        raise SpecError(f"--cluster {path}: cannot be read: {error.strerror}") from error


def _rule(entry: Mapping[str, Any], axes: Collection[str], where: str) -> Rule:
    only = entry.get(ONLY)
    if not isinstance(only, dict) or not only:
        raise SpecError(f"{where}needs only = {{kernel_size = [9]}} or the like: which cells")
    for key in only:
        _check_known(key, axes, f"{where}only: ")
    values = {key: value if isinstance(value, list) else [value] for key, value in only.items()}
    return Rule(values, _checked({k: v for k, v in entry.items() if k != ONLY}, where))


def _checked(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The keys of a table in the form of `Needs`; `SpecError` for an unknown or a wrong one."""
    checked: dict[str, Any] = {}
    for key, value in table.items():
        _check_known(key, KEYS, where)
        try:
            checked["minutes" if key == "time" else key] = FORMS[key](value)
        except (TypeError, ValueError) as error:
            raise SpecError(f"{where}{key} = {value!r} {error}") from error
    per_task = [key for key in ("cells_per_task", "minutes_per_task") if key in checked]
    if len(per_task) == 2:
        raise SpecError(f"{where}{' and '.join(per_task)}: one of them says how long a task is")
    return checked


def _check_known(key: str, known: Collection[str], where: str) -> None:
    if key not in known:
        near = get_close_matches(key, known, 1, 0.0)[0]
        raise SpecError(f"{where}unknown key {key!r}; the nearest is {near!r} (known: "
                        f"{', '.join(sorted(known))})")  # fmt: skip


def _nested(key: str, text: str) -> dict[str, Any]:
    """KEY=VALUE as a table of TOML has it."""
    outer, _, inner = key.partition(".")
    switch = {"true": True, "false": False}.get(text, text)
    return {outer: {inner: switch}} if inner and outer == SBATCH else {key: text}


def _joined(before: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of both, the later ones winning; options of sbatch one by one."""
    both = {**before, **more}
    if SBATCH in more:
        both[SBATCH] = tuple({**dict(before.get(SBATCH, ())), **dict(more[SBATCH])}.items())
    if "minutes_per_task" in more and "cells_per_task" not in more:
        both["cells_per_task"] = 0
    return both


def _changed(needs: Needs, changes: Mapping[str, Any]) -> Needs:
    own = {SBATCH: needs.sbatch} if needs.sbatch else {}
    return replace(needs, **_joined(own, changes))


def _whole(least: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number = int(value) if isinstance(value, str) and value.isdecimal() else value
        if type(number) is not int or number < least:
            raise ValueError(f"must be a whole number from {least} up")
        return number

    return read


def _word(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        raise ValueError("must be a word")
    return value


def _memory(value: Any) -> str:
    text = "0" if type(value) is int and value == 0 else value
    if not isinstance(text, str) or not re.fullmatch(r"\d+[KMGT]|0", text):
        raise ValueError("must be a whole number and K, M, G or T, such as '16G', or 0 for all")
    return text


def _minutes(value: Any) -> float:
    number = float(value) if isinstance(value, str) else value
    known = isinstance(number, int | float) and not isinstance(number, bool)
    if not known or not 0 < number <= sys.float_info.max:
        raise ValueError("must be a number of minutes above 0")
    return float(number)


def _setup(value: Any) -> tuple[str, ...]:
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ValueError("must be a list of lines of a shell")
    return tuple(lines)


def _sbatch(value: Any) -> tuple[tuple[str, Any], ...]:
    if not isinstance(value, dict):
        raise ValueError("must be a table of sbatch's options, such as {constraint = 'icelake'}")
    for key, own in value.items():
        if (name := key.replace("_", "-")) in OURS:  # submitit takes either
            here = OURS[name]
            key_here = f"the key {here} says it" if here else "it is said by this program"
            raise ValueError(f"has {key!r}: {key_here}")
        if not isinstance(own, str | int | float):
            raise ValueError(f"has {key!r}, whose value must be a word, a number, true or false")
    return tuple(value.items())


def time_limit(value: Any) -> int:
    """Whole minutes of a time limit as Slurm has it, rounded up; `ValueError` for another form.

    >>> [time_limit(text) for text in (90, "90", "90:30", "4:00:00", "1-12", "2-00:30")]
    [90, 90, 91, 240, 2160, 2910]
    """
    text = "" if isinstance(value, bool) else str(value)
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if not match:
        raise ValueError("must be minutes, or a time such as '4:00:00' or '1-12:00:00'")
    days, *given = match.groups()
    parts = [int(part) for part in given if part is not None]
    if days is None and len(parts) < 3:  # minutes, minutes:seconds
        parts = [0, *parts]
    hours, minutes, seconds = (*parts, 0, 0)[:3]
    total = ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
    if not total:
        raise ValueError("must be above 0")
    return -(-total // 60)


FORMS: dict[str, Callable[[Any], Any]] = {
    "partition": _word,
    "account": _word,
    "gpus": _whole(0),
    "cpus": _whole(1),
    "memory": _memory,
    "time": time_limit,
    "setup": _setup,
    "sbatch": _sbatch,
    "at_once": _whole(1),
    "cells_per_task": _whole(1),
    "minutes_per_task": _minutes,
    "notice_seconds": _whole(1),
}
