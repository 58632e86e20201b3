"""Files that appear whole or not at all, alone or together; what the disk refuses, in one line."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from benchmark.errors import DataError, OutputError

STAGING = ".unfinished-"  # begins the name of a hidden folder in which files wait
REPLACED = ".replaced-"  # of one in which files wait that others are taking the place of


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Inside, what the disk refuses becomes an `OutputError` that names path, as the user gave it.

    One within another: the outer path is named, for the inner may be a temporary name.
    """
    try:
        yield
    except BrokenPipeError:  # of standard output, not of a disk
        raise
    except (OSError, OutputError) as error:
        refused = error.__cause__ if isinstance(error, OutputError) else error
        why = getattr(refused, "strerror", None) or refused
        raise OutputError(
            f"{path}: cannot be written ({why}); "
            "free some space, mend its permissions, or choose another place"
        ) from refused


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Inside, a stream of what replaces a file, flushed, synced and renamed last.

    Raises `OutputError` where the disk refuses; then, or after any other error inside, the file is
    as it was and nothing else is left.
    """
    owner = f"{platform.node()}.{os.getpid()}"  # nodes share disks, and have the same pids
    temporary = path.with_name(f".{path.name}.{owner}.tmp")
    with writing(path):
        try:
            with temporary.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file by these bytes, as `replacing` does."""
    with replacing(path) as stream:
        stream.write(content)


def check_absent(folder: Path, names: Sequence[str]) -> None:
    """Raise `DataError` for the first of these names that the folder has already."""
    for name in names:
        if os.path.lexists(folder / name):
            raise DataError(
                f"{folder / name}: exists already and is left as it is; "
                "give another --out, or --overwrite to replace it"
            )


def check_replaceable(folder: Path, names: Sequence[str]) -> None:
    """Raise `DataError` for the first of these names that the folder has for no file or link."""
    for name in names:
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            raise DataError(f"{folder / name}: is a folder, not overwritten; give another --out")


def check_writable(path: Path) -> None:
    """Raise `OutputError` where the disk would refuse a new file of this name; nothing is left.

    Folders that are missing are not made: the nearest one that is there is tried.
    """
    with writing(path):
        nearest = next(filter(os.path.lexists, path.parents), Path())
        with tempfile.TemporaryFile(dir=nearest):
            return


def check_new(folder: Path) -> None:
    """Raise `DataError` for a folder that is to appear where something is already."""
    if os.path.lexists(folder):
        raise DataError(
            f"{folder}: exists already and is left as it is; choose another folder or remove it"
        )


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Inside, a folder to fill, that gets its name at the end: it appears whole or not at all.

    Raises `DataError` where the name is taken, and `OutputError` where the disk refuses.
    """
    check_new(folder)
    with staging_folder(folder.parent, asked=folder) as staging:
        (staging / folder.name).mkdir()
        yield staging / folder.name
        (staging / folder.name).rename(folder)


@contextlib.contextmanager
def staging_folder(folder: Path, asked: Path | None = None) -> Iterator[Path]:
    """A hidden folder beside where files are to appear, gone afterwards.

    Where the work fails, so are folders made. Raises `OutputError`, which names asked (default: the
    folder), where the disk refuses a folder or a file.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with writing(asked or folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=STAGING, dir=folder) as staging:
                yield Path(staging)
    except BaseException:
        for path in missing:
            with contextlib.suppress(OSError):  # another call has written there meanwhile
                path.rmdir()
        raise


def move_into(staging: Path, folder: Path, names: Sequence[str]) -> None:
    """Let staged files appear in a folder, in this order; at any stop the folder is as it was.

    Of two calls at once that share the first name one places all, and the other raises `DataError`.
    """
    try:
        for name in names:
            put(staging / name, folder / name)
    except BaseException as error:
        for name in names:
            if _is_ours(staging / name, folder / name):
                (folder / name).unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            check_absent(folder, names)
        raise


def replace_into(staging: Path, folder: Path, names: Sequence[str]) -> None:
    """As `move_into`, but what has one of these names is replaced; at any stop it is back.

    It waits in a hidden folder beside, `REPLACED`, until all has appeared: there it lies where the
    process was killed in that moment, or could not put it back.
    """
    there = [name for name in names if os.path.lexists(folder / name)]
    aside = Path(tempfile.mkdtemp(prefix=REPLACED, dir=folder))
    try:
        for name in there:
            os.replace(folder / name, aside / name)
        move_into(staging, folder, names)
    except BaseException:
        for name in there:
            if os.path.lexists(aside / name):
                os.replace(aside / name, folder / name)
        aside.rmdir()
        raise
    shutil.rmtree(aside)


def put(source: Path, target: Path) -> None:
    """Give a file a name that nothing has; `FileExistsError` where something has it."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        target.open("xb").close()
        os.replace(source, target)


def _is_ours(source: Path, target: Path) -> bool:
    """True for a link to what waits in the staging folder, and for what has left it."""
    return not source.exists() or (target.exists() and source.samefile(target))
