"""What an arm from outside is: its package, and a hash of its source, which is read and not run.

Its source is its module and what that imports, directly or not, from its own package: modules of
its top folder that no other distribution installed there. Names and texts are hashed, never paths;
of a text neither comments nor blank lines, so that it is the same on every Python and system.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import sys
import tokenize
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module
from importlib.machinery import BYTECODE_SUFFIXES, EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from benchmark.errors import ArmError

OURS = ("benchmark", "baselines", "reference_results", "performance")  # packages of the harness
SUFFIXES = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES, *BYTECODE_SUFFIXES)  # as Python looks for them
DYNAMIC = ("import_module", "__import__")  # functions that import what a text names
OPENING = ("FSTRING_START", "TSTRING_START")  # tokens of Python 3.12 and 3.14
CLOSING = ("FSTRING_END", "TSTRING_END")


@dataclass(frozen=True)
class ArmSource:
    """An arm from outside: its distribution (a file without one: its module), and its source.

    version is "" where there is no distribution; sha256 is 64 hex digits.
    """

    package: str
    version: str
    sha256: str


def import_source(name: str) -> ModuleType:
    """Import an arm's module by its name, and leave no bytecode of what is no module of ours.

    Python knows bytecode by its source's size and second: of two edits in one it runs the first.
    """
    if name.split(".")[0] in OURS:
        return import_module(name)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        return import_module(name)
    finally:
        sys.dont_write_bytecode = before


def check_settled(modules: Mapping[str, Path], since: float) -> None:
    """Raise `ArmError` where a file was changed after a moment, in seconds since 1970.

    From then on it was read to be run: what is hashed later may be another text.
    """
    for path in modules.values():
        if path.stat().st_mtime > since:
            raise ArmError(f"{path}: was changed while it was read; give the command again")


def source_of(
    arm: type, modules: Mapping[str, Path], package: str = "", version: str = ""
) -> ArmSource | None:
    """Hash the source of an arm class, which is in `own_modules` of it; None where there are none.

    package and version name the distribution that offers it, if any.
    """
    if not modules:
        return None
    parts = list[tuple[str, ...]]()
    for name, path in sorted(modules.items()):
        content = path.read_bytes()
        if path.suffix in SOURCE_SUFFIXES:
            parts.append((name, _read(content)[0]))
        else:
            parts.append((name, version, hashlib.sha256(content).hexdigest()))
    text = json.dumps([arm.__qualname__, parts], separators=(",", ":"))
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return ArmSource(package or _file_and_place(arm)[2].split(".")[0], version, sha256)


def own_modules(arm: type) -> dict[str, Path]:
    """Return name -> file of the arm's module and what it imports from its own package.

    Empty for a class of this repository; packages on the way to a module are in it. Raises
    `ArmError` for a class that is in no file.
    """
    if arm.__module__.split(".")[0] in OURS:
        return {}
    file, folder, name = _file_and_place(arm)
    top = _TopFolder(folder, name.split(".")[0])
    found, seen, waiting = {name: file}, set[str](), [name, *_imported(file, name)]
    while waiting:
        for name in _on_the_way(waiting.pop()):
            if name in seen:
                continue
            seen.add(name)
            path = found.get(name) or (top.has(name.split(".")[0]) and file_of(folder, name))
            if path:
                found[name] = path
                waiting += _imported(path, name)
    return found


def file_of(folder: Path, name: str) -> Path | None:
    """The file that Python would read for a module under a folder; None where there is none."""
    base = folder.joinpath(*name.split("."))
    for stem in (base / "__init__", base):
        for suffix in SUFFIXES:
            path = stem.with_name(stem.name + suffix)
            if path.is_file():
                return path
    return None


def _file_and_place(arm: type) -> tuple[Path, Path, str]:
    """The file of a class, its top folder, and the name of its module from there."""
    name = arm.__module__
    file = getattr(sys.modules.get(name), "__file__", None)
    if not file or not Path(file).is_file():
        raise ArmError(
            f"{arm.__qualname__}: its module {name!r} is no file on disk, so that a run could not "
            "record what its arm was; write the class into a Python file"
        )
    path = Path(file).absolute()
    parts = [*path.parent.parts, path.name.split(".")[0]]
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    words = name.split(".")
    if parts[-len(words) :] != words:  # loaded by its path, or as a script
        words = parts[-1:]
    return path, Path(*parts[: -len(words)]), ".".join(words)


class _TopFolder:
    """The folder of an arm's top-level module, and which of its modules are the arm's own."""

    def __init__(self, folder: Path, top: str) -> None:
        self.folder = folder
        self.known = {top: True, **dict.fromkeys(OURS, False)}
        self.top = top

    def has(self, name: str) -> bool:
        """True for a top-level module here that no other distribution has installed."""
        if name not in self.known:
            here = (self.folder / name).is_dir() or file_of(self.folder, name) is not None
            own = here and self.owners(name) <= self.owners(self.top)
            self.known[name] = own and not self._elsewhere(name)
        return self.known[name]

    @cached_property
    def installed(self) -> list[tuple[str, list[str]]]:
        """Of each distribution in the folder: the record of its files, and its top-level names."""
        found = distributions(path=[str(self.folder)])
        texts = [(d.read_text("RECORD"), d.read_text("top_level.txt")) for d in found]
        return [(f"\n{record or ''}", (names or "").split()) for record, names in texts]

    def owners(self, name: str) -> set[int]:
        """Which distributions have installed a top-level module."""
        signs = (f"\n{name}/", f"\n{name}.")
        return {
            number
            for number, (record, names) in enumerate(self.installed)
            if name in names or any(sign in record for sign in signs)
        }

    def _elsewhere(self, name: str) -> bool:
        """True where Python finds the module in another folder first, such as its own library.

        Raises `ArmError` where that is no library of Python's and a file lies here: which of the
        two is meant, nobody can tell.
        """
        try:
            spec = find_spec(name)
        except (ImportError, ValueError, AttributeError):
            return False
        if spec is None:  # not to be found now: beside a file that was loaded by its path
            return False
        places = [*(spec.submodule_search_locations or []), spec.origin or ""]
        if any(Path(p).parent.resolve() == self.folder.resolve() for p in places if p):
            return False
        here = file_of(self.folder, name)
        if here and name not in sys.stdlib_module_names:
            raise ArmError(
                f"import {name} takes {spec.origin}, and not {here}, which lies beside the arm; "
                "rename one of them"
            )
        return True


def _on_the_way(name: str) -> Iterator[str]:
    """a.b.c: a, a.b and a.b.c."""
    words = name.split(".")
    return (".".join(words[: i + 1]) for i in range(len(words)))


def _imported(path: Path, name: str) -> Iterator[str]:
    """The names that a module may import; some are of things in a module."""
    if path.suffix not in SOURCE_SUFFIXES:
        return
    package = name.split(".")
    package = package if path.name.startswith("__init__.") else package[:-1]
    for level, imported in _read(path.read_bytes())[1]:
        base = package[: len(package) - level + 1] if level else []
        if words := [*base, *filter(None, imported.split("."))]:
            yield ".".join(words)


@lru_cache(maxsize=512)
def _read(content: bytes) -> tuple[str, tuple[tuple[int, str], ...]]:
    """The text of a source that counts, and its imports: (dots, name)."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = io.TextIOWrapper(io.BytesIO(content), encoding).read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said when it is run
            tree = ast.parse(text)
        return _essence(text), tuple(_imports(tree))
    except (SyntaxError, ValueError, tokenize.TokenError):  # of another Python, or damaged
        return content.replace(b"\r\n", b"\n").decode("latin-1"), ()


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            yield node.level, base
            yield from ((node.level, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node.func) in DYNAMIC:
            for given in node.args[:1]:
                if isinstance(given, ast.Constant) and isinstance(given.value, str):
                    name = given.value.lstrip(".")
                    yield len(given.value) - len(name), name


def _called(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def _essence(text: str) -> str:
    """The text without comments, and outside strings without blank lines and trailing blanks."""
    lines, inside, begun = text.split("\n"), set[int](), list[int]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        first, last, kind = token.start[0], token.end[0], tokenize.tok_name[token.type]
        if kind == "COMMENT":
            line = lines[first - 1].rstrip()
            lines[first - 1] = line.removesuffix(token.string.rstrip())
        elif kind in OPENING:
            begun.append(first)
        elif kind == "STRING" or kind in CLOSING:
            inside.update(range(begun.pop() if begun and kind in CLOSING else first, last))
    kept = (
        line if number in inside else line.rstrip() for number, line in enumerate(lines, start=1)
    )
    return "\n".join(line for number, line in enumerate(kept, start=1) if line or number in inside)
