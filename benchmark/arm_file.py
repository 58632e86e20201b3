"""The arms of a single Python file, which needs no packaging: `--arm-file my_arm.py`."""

from __future__ import annotations

import keyword
import re
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from importlib import invalidate_caches
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from benchmark.arm import ArmEntry, is_arm_class
from benchmark.arm_source import import_source
from benchmark.errors import ArmError


def with_arm_files(arms: Mapping[str, ArmEntry], files: Sequence[Path]) -> dict[str, ArmEntry]:
    """Add the arms of these files to a table of arms.

    Raises `ArmError` as `arms_of` does, and for a name that another arm has.
    """
    table = dict(arms)
    for file in files:
        for name, entry in arms_of(file).items():
            if name in table and table[name].target != entry.target:
                _, _, own = entry.target.partition(":")
                raise ArmError(
                    f"--arm-file {file}: {own} would be called {name!r}, which is "
                    f"{table[name].target}; rename the class"
                )
            table[name] = entry
    return table


def arms_of(path: Path) -> dict[str, ArmEntry]:
    """Return the arms of a Python file by name: class `MyArm` is my-arm.

    An arm is a class defined in the file, its name without a leading underscore, that has `fit` and
    `predict`, as a subclass of `NetworkArm` does. The file's folder is appended to `sys.path`, so
    that its siblings can be imported, and that worker processes find them too. Raises `ArmError`
    for a file that is not there, is not `NAME.py`, has the name of another module, cannot be
    imported, or holds no arm, or two of one name.
    """
    since, module, entries = time.time(), _imported(path), dict[str, ArmEntry]()
    for arm in dict.fromkeys(v for v in vars(module).values() if isinstance(v, type)):
        if not _is_arm(arm, module):
            continue
        name = _kebab(arm.__name__)
        if name in entries:
            raise ArmError(f"--arm-file {path}: two classes would be called {name!r}; rename one")
        try:
            entries[name] = ArmEntry.of(arm, since=since)
        except ArmError as error:
            raise ArmError(f"--arm-file {path}: {error}") from error
    if not entries:
        raise ArmError(
            f"--arm-file {path}: holds no arm; an arm is a class with fit and predict, such as a "
            "NetworkArm with build, and its name begins with no underscore"
        )
    return entries


def _is_arm(arm: object, module: ModuleType) -> bool:
    """Whether this is a public class that the module defines, with what every arm has."""
    if not isinstance(arm, type) or arm.__module__ != module.__name__:
        return False
    return is_arm_class(arm) and not arm.__name__.startswith("_")


def _imported(path: Path) -> ModuleType:
    """The file as the module of its name, its folder appended to `sys.path`."""
    _check_name(path)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    invalidate_caches()  # the file may be younger than what was seen of its folder
    try:
        return import_source(path.stem)
    except (Exception, SystemExit) as error:  # the file is the user's: anything may be in it
        message = str(error).partition("\n")[0]
        if isinstance(error, SyntaxError):
            message = error.msg
        raise ArmError(
            f"--arm-file {path}: cannot be imported{_line(error, Path(folder))}: "
            f"{type(error).__name__}: {message}; mend it"
        ) from error


def _check_name(path: Path) -> None:
    """Raise `ArmError` where no file is, or its name cannot be that of a module of its own."""
    if path.suffix != ".py":
        raise ArmError(
            f"--arm-file {path}: must be a Python file, NAME.py; a package is installed "
            "(nox does that for folders in BENCH_PLUGINS)"
        )
    if not path.is_file():
        raise ArmError(f"--arm-file {path}: there is no such file")
    name = path.stem
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ArmError(
            f"--arm-file {path}: {name!r} is no name of a Python module; rename the file, to "
            "letters, digits and underscores"
        )
    if other := _other_module(name, path.resolve()):
        raise ArmError(
            f"--arm-file {path}: {name!r} is the name of another module ({other}); rename the file"
        )


def _other_module(name: str, path: Path) -> str:
    """Where another module of this name is from, or ""."""
    if name in sys.builtin_module_names:
        return "built into Python"
    if name in sys.modules:
        origin = getattr(sys.modules[name], "__file__", None)
        return "" if origin and Path(origin).resolve() == path else str(origin)
    elsewhere = [entry for entry in sys.path if Path(entry).resolve() != path.parent]
    spec = PathFinder.find_spec(name, elsewhere)
    return spec.origin or "" if spec else ""  # a folder that only may be a package has no origin


def _line(error: BaseException, folder: Path) -> str:
    """Say " (my_arm.py, line 3)" where the error is from, as far as the user's folder knows."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({Path(error.filename).name}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve().parent == folder]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _kebab(name: str) -> str:
    """MyArm -> my-arm, UNetPlus -> u-net-plus, My_Arm2 -> my-arm2."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name)
    return re.sub("[-_]+", "-", words).strip("-").lower()
