"""Files that appear in a folder together or not at all, and never in the place of another's."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.errors import DataError

ROOM = ".predict-"  # begins the name of a hidden folder in which files wait


def check_free(folder: Path, names: Sequence[str]) -> None:
    """Raise `DataError` for the first of these names that the folder has already."""
    for name in names:
        if os.path.lexists(folder / name):
            raise DataError(f"{folder / name}: exists already and is left as it is; give another --out, or remove it")


@contextlib.contextmanager
def room_in(folder: Path) -> Iterator[Path]:
    """A hidden folder beside where files are to appear, gone afterwards; where the work fails, so is a folder made."""
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=ROOM, dir=folder) as room:
            yield Path(room)
    except BaseException:
        if made:
            with contextlib.suppress(OSError):  # another call has written there meanwhile
                folder.rmdir()
        raise


def place(room: Path, folder: Path, names: Sequence[str]) -> None:
    """Let the files of a room appear in a folder, in this order; at any stop the folder is left as it was.

    Of two calls at once that share the first name one places all, and the other raises `DataError`.
    """
    try:
        for name in names:
            _put(room / name, folder / name)
    except BaseException as error:
        for name in names:
            if _is_ours(room / name, folder / name):
                (folder / name).unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            check_free(folder, names)
        raise


def _put(source: Path, target: Path) -> None:
    """Give a file a name that nothing has; `FileExistsError` where something has it."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        target.open("xb").close()
        os.replace(source, target)


def _is_ours(source: Path, target: Path) -> bool:
    """True for a link to what waits in the room, and for what has left it."""
    return not source.exists() or (target.exists() and source.samefile(target))
