"""Protocols and grids as files: shipped ones by name, a user's own by path."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmark.errors import SpecError, known


def shipped(kind: str) -> list[str]:
    """The names of the protocols ("protocol") or grids ("grid") that come with the package."""
    folder = files("benchmark") / f"{kind}s"
    return sorted(path.name[:-5] for path in folder.iterdir() if path.name.endswith(".toml"))


def read_table(kind: str, name_or_path: str) -> tuple[str, dict[str, Any]]:
    """Return (name, table) of a protocol or a grid: a shipped name, or a path ending in .toml.

    Raises `SpecError` for an unknown name (listing the known ones), a file that is not
    there or cannot be read, and what is no TOML.
    """
    try:
        if name_or_path.endswith(".toml"):
            path = Path(name_or_path)
            return path.stem, tomllib.loads(path.read_text(encoding="utf-8"))
        if name_or_path not in (names := shipped(kind)):
            raise SpecError(known(kind, name_or_path, names) + ", or a path ending in .toml")
        file = files("benchmark") / f"{kind}s" / f"{name_or_path}.toml"
        return name_or_path, tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SpecError(f"{kind} file {name_or_path} is not there") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SpecError(f"{kind} {name_or_path!r} is not valid TOML: {error}") from error
    except OSError as error:
        name = name_or_path[:200]
        raise SpecError(f"{kind} file {name} cannot be read: {error.strerror}") from error
