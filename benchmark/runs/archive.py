"""Finished runs as one zip that travels: packed with a manifest, unpacked only where all is sound.

Its files are held as they are, not compressed: so the same runs give the same bytes whatever zlib
there is, and nothing can unpack to more than the archive itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from benchmark import __version__
from benchmark.data.guard import decoding
from benchmark.errors import RecordError, SplitError, UnsafeDataError
from benchmark.runs import run_folder
from benchmark.runs.collect import read_table_row, refuse_mixing
from benchmark.runs.reader import FinishedRun, read_run
from benchmark.runs.run_folder import MODEL, PREDICTIONS, RunFolder
from benchmark.splits import files as split_files
from benchmark.splits.files import SPLITS
from benchmark.storage.atomic import move_into, replacing, staging_folder

FORMAT = 1
MANIFEST = "MANIFEST.json"
ABOUT = (
    "Finished runs of meningioma-bench, each in a folder named by its run_id. "
    "To check and unpack: python -m benchmark archive THIS.zip --unpack --out runs"
)
NEEDED = (
    run_folder.SPEC, run_folder.ENVIRONMENT, run_folder.SCORES, PREDICTIONS, run_folder.TIMING,
    run_folder.RESULT,
)  # fmt: skip
FILES = (*NEEDED, run_folder.HISTORY, MODEL)  # of an arm with epochs; where it is asked for
RUN_ID = r"[\w.+-]+_[0-9a-f]{8}"
MEMBER = re.compile(rf"({RUN_ID})/({'|'.join(map(re.escape, FILES))})")
SPLIT = re.compile(rf"{SPLITS}/[0-9a-f]{{12}}/[\w.+-]+\.json")
CHUNK = 2**20
AGAIN = "copy or download the archive again"
UNTOUCHED = "nothing was unpacked"


@dataclass(frozen=True, eq=False)
class Archive:
    """What an archive holds.

    runs: by run_id; there: those that were in the folder already, the same, when it was unpacked;
    files and size: their number and their bytes in all; sha256: of the archive itself.
    """

    runs: tuple[FinishedRun, ...]
    files: int
    size: int
    sha256: str
    there: frozenset[str] = frozenset()


def pack(folders: Sequence[RunFolder], path: Path, *, models: bool = False) -> Archive:
    """Write finished runs of one folder, each checked, and the splits kept beside them, to a zip.

    models: with `model.pt` where a run kept it. Locks, claims, checkpoints and whatever else lies
    in their folders stay. The same runs give the same bytes, by one version of this package. Raises
    `RecordError` for a run that is damaged, and `DataError` where path exists; at any stop nothing
    is there.
    """
    further = (run_folder.HISTORY, MODEL) if models else (run_folder.HISTORY,)
    listed: dict[str, dict[str, Any]] = {}
    runs = []
    with staging_folder(path.parent, asked=path) as room:
        with replacing(room / path.name) as stream, zipfile.ZipFile(stream, "w") as archive:
            for folder in sorted(folders, key=lambda folder: folder.run_id):
                read_table_row(folder)
                runs.append(run := read_run(folder))
                there = (name for name in further if (folder / name).exists())
                for name in sorted((*NEEDED, *there)):
                    listed[f"{folder.run_id}/{name}"] = _add(archive, folder / name)
                _check_hashes(run, listed)
            for split in _splits_of(runs):
                listed[split.relative_to(split.parents[2]).as_posix()] = _add(archive, split, 3)
            _add_manifest(archive, runs, listed)
        sha256 = sha256_of(room / path.name)
        move_into(room, path.parent, [path.name])
    return Archive(tuple(runs), len(listed), _size(listed), sha256)


def unpack(path: Path, out: Path) -> Archive:
    """Check every file of an archive, and let its runs appear in a folder of runs.

    All of them or none, at any stop. A run that is there already, the same, is left as it is.
    Raises `UnsafeDataError` for members that are compressed, links or none of a run's files,
    `RecordError` for another format, what the manifest does not say, a run that is damaged, and one
    of which the folder has another; `DataError` for what is no zip; `SpecError` where phantoms
    would lie beside runs on real slices.
    """
    with contextlib.ExitStack() as stack:
        with decoding(path, AGAIN):
            archive = stack.enter_context(zipfile.ZipFile(path))
            sha256 = sha256_of(path)
        members = _members(archive, path)
        listed = _manifest(archive, path, members)
        there = {name for name in listed if _is_there(out, name, listed)}
        run_ids = sorted({name.partition("/")[0] for name in listed} - {SPLITS})
        new = [name for name in run_ids if f"{name}/{run_folder.RESULT}" not in there]
        room = stack.enter_context(staging_folder(out))
        for name, told in listed.items():
            _extract(archive, members[name], path, room, told)
        runs = tuple(_checked(path, RunFolder(room, name), listed) for name in run_ids)
        splits = sorted(name for name in listed if name.startswith(f"{SPLITS}/"))
        for name in splits:
            _check_split(path, room, name, runs)
        if len({run.phantom for run in runs}) > 1:
            raise _damaged(path, "holds runs on phantoms beside runs on real slices")
        refuse_mixing(out, runs[0].phantom)
        _place(room, out, new, [name for name in splits if name not in there])
    runs = tuple(replace(run, folder=RunFolder(out, run.run_id)) for run in runs)
    return Archive(runs, len(listed), _size(listed), sha256, frozenset(run_ids) - set(new))


def sha256_of(path: Path) -> str:
    """64 hex digits of a file's content, which need not fit into memory."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size(listed: Mapping[str, Mapping[str, Any]]) -> int:
    return sum(told["bytes"] for told in listed.values())


def _splits_of(runs: Sequence[FinishedRun]) -> list[Path]:
    """The files of splits, kept in the folders of these runs, that some of the runs were on."""
    wanted = {run.spec.split_fingerprint for run in runs}
    roots = {run.folder.path.parent for run in runs}
    paths = sorted(path for root in roots for path in root.glob(f"{SPLITS}/*/*.json"))
    return [path for path in paths if _stored(path).split.fingerprint in wanted]


def _stored(path: Path) -> split_files.StoredSplit:
    return split_files.read(path.read_text(encoding="utf-8"), str(path))


def _add(archive: zipfile.ZipFile, source: Path, parts: int = 2) -> dict[str, Any]:
    """Add a file under the last parts of its path; return what the manifest says of it."""
    try:
        stream = source.open("rb")
    except OSError as error:
        why = error.strerror
        raise RecordError(f"{source}: cannot be read ({why}); {run_folder.CURE}") from error
    member, digest, size = _member("/".join(source.parts[-parts:])), hashlib.sha256(), 0
    with stream:
        member.file_size = os.fstat(stream.fileno()).st_size  # more than 4 GB take another header
        with archive.open(member, "w") as target:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                size += target.write(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _member(name: str) -> zipfile.ZipInfo:
    """A name in a zip that is the same on every day and system."""
    member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    member.create_system, member.external_attr = 3, (stat.S_IFREG | 0o644) << 16
    return member


def _add_manifest(
    archive: zipfile.ZipFile, runs: Sequence[FinishedRun], listed: Mapping[str, Any]
) -> None:
    made_by, run_ids = f"meningioma-bench {__version__}", [run.run_id for run in runs]
    content = {"about": ABOUT, "format": FORMAT, "made_by": made_by}
    text = json.dumps({**content, "runs": run_ids, "files": listed}, indent=1)
    archive.writestr(_member(MANIFEST), f"{text}\n")


def _check_hashes(run: FinishedRun, listed: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise `RecordError` unless masks and model are those that result.json has the hash of.

    The scores were held against it when they were read.
    """
    for name in (PREDICTIONS, MODEL):
        told = listed.get(f"{run.run_id}/{name}")
        if told and told["sha256"] != run.hash_of(name):
            raise RecordError(
                f"{run.folder / name}: is not the file that result.json has the hash of; "
                f"{run_folder.CURE}"
            )


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The members by name; `UnsafeDataError` for what `pack` never writes, `RecordError` for an
    archive without a manifest.
    """
    if MANIFEST not in archive.namelist():
        raise RecordError(
            f"{path}: holds no {MANIFEST}, so it is cut short or no archive of runs; {AGAIN}, or "
            "give one that `archive` has made"
        )
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.orig_filename
        if name != member.filename or not (name == MANIFEST or _is_ours(name)):
            raise _unsafe(path, f"{name[:200]!r} is no file of a run")
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise _unsafe(path, f"{name} is a link, or no plain file")
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise _unsafe(path, f"{name} is compressed, and `archive` compresses nothing")
        if name in members:
            raise _unsafe(path, f"{name} is there twice")
        members[name] = member
    if sum(member.file_size for member in members.values()) > path.stat().st_size:
        raise _unsafe(path, "it would unpack to more than it holds")
    return members


def _is_ours(name: str) -> bool:
    return bool(MEMBER.fullmatch(name) or SPLIT.fullmatch(name))


def _unsafe(path: Path, what: str) -> UnsafeDataError:
    return UnsafeDataError(f"{path}: {what}; {UNTOUCHED}: take an archive that `archive` has made")


def _damaged(path: Path, what: str) -> RecordError:
    return RecordError(f"{path}: {what}; {UNTOUCHED}: {AGAIN}")


def _manifest(
    archive: zipfile.ZipFile, path: Path, members: Mapping[str, zipfile.ZipInfo]
) -> dict[str, dict[str, Any]]:
    """Size and sha256 of every file by name; `RecordError` unless these are the files there are."""
    with decoding(f"{path}: {MANIFEST}", AGAIN):
        content = json.loads(archive.read(members[MANIFEST]))
        if (form := content["format"]) != FORMAT:
            raise RecordError(
                f"{path}: has format {_one_line(form)}, made by "
                f"{_one_line(content.get('made_by'))}, but this version "
                f"({__version__}) reads {FORMAT}; install the version that made it"
            )
        listed = {
            str(name): {"bytes": int(told["bytes"]), "sha256": str(told["sha256"])}
            for name, told in content["files"].items()
        }
        run_ids = [str(run_id) for run_id in content["runs"]]
    if not run_ids:
        raise _damaged(path, "holds no run")
    if strange := sorted(members.keys() - {MANIFEST} - listed.keys()):
        raise _damaged(path, f"holds {strange[0]}, which its manifest does not name")
    needed = {f"{run_id}/{name}" for run_id in run_ids for name in NEEDED}
    if lacking := sorted((listed.keys() | needed) - (members.keys() & listed.keys())):
        raise _damaged(path, f"lacks {_one_line(lacking[0])}")
    homeless = {name.partition("/")[0] for name in listed} - {SPLITS, *run_ids}
    if homeless:
        raise _damaged(path, f"its manifest names no run {min(homeless)}")
    return listed


def _one_line(told: object) -> str:
    """What a manifest holds, as it can be shown: no line break, nothing that a terminal obeys."""
    text = str(told)[:200]
    return text if text.isprintable() else ascii(text)


def _is_there(out: Path, name: str, listed: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a folder of runs has this file; `RecordError` where it has another, or half a run."""
    path = out / name
    home = path if name.startswith(f"{SPLITS}/") else path.parent
    if not os.path.lexists(home):
        return False
    if not path.is_file() or sha256_of(path) != listed[name]["sha256"]:
        which = "it" if home == path else f"its {path.name}"
        raise RecordError(
            f"{home}: exists already, and {which} is not the archive's; {UNTOUCHED}: move it away, "
            "or give another --out"
        )
    return True


def _extract(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, room: Path, told: Any
) -> None:
    """Write a member below room, where its name was checked to lie."""
    origin, target = f"{path}: {member.filename}", room / member.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with decoding(origin, AGAIN):
        source = archive.open(member)
    with source, target.open("xb") as sink:
        for chunk in _chunks(source, origin):
            digest.update(chunk)
            size += sink.write(chunk)
    if told != {"bytes": size, "sha256": digest.hexdigest()}:
        raise _damaged(path, f"{member.filename} is not the file that its manifest has the hash of")


def _chunks(source: IO[bytes], origin: str) -> Iterator[bytes]:
    while True:
        with decoding(origin, AGAIN):
            chunk = source.read(CHUNK)
        if not chunk:
            return
        yield chunk


@contextlib.contextmanager
def _reading(path: Path, room: Path, what: str) -> Iterator[None]:
    """Inside, what is wrong with a file in the staging folder is told as of the archive."""
    try:
        with decoding(f"{path}: {what}", AGAIN):
            yield
    except (RecordError, SplitError) as error:
        told, _, _ = str(error).replace(f"{room}{os.sep}", "").partition(";")
        raise _damaged(path, told) from error


def _checked(path: Path, folder: RunFolder, listed: Mapping[str, Any]) -> FinishedRun:
    """A run in the staging folder after the checks of `collect`, and of its other hashes."""
    with _reading(path, folder.path.parent, folder.run_id):
        read_table_row(folder)
        run = read_run(folder)
        _check_hashes(run, listed)
    return run


def _check_split(path: Path, room: Path, name: str, runs: Sequence[FinishedRun]) -> None:
    """Raise `RecordError` unless a file holds the split of some run, of its slices."""
    with _reading(path, room, name):
        stored = _stored(room / name)
    known = {(run.spec.split_fingerprint, run.spec.dataset_id) for run in runs}
    its_own = Path(name).parent.name == stored.dataset_id[:12]
    if not its_own or (stored.split.fingerprint, stored.dataset_id) not in known:
        raise _damaged(path, f"{name} is the split of none of its runs")


def _place(room: Path, out: Path, run_ids: Sequence[str], splits: Sequence[str]) -> None:
    """Let folders of runs and files of splits appear; at any stop what had appeared is gone."""
    try:
        for run_id in run_ids:
            (room / run_id).rename(out / run_id)
        for name in splits:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
        move_into(room, out, splits)
    except BaseException:
        for run_id in run_ids:
            if not (room / run_id).exists():
                (out / run_id).rename(room / run_id)
        for name in splits:
            with contextlib.suppress(OSError):  # others lie there, or it was not made
                (out / name).parent.rmdir()
                (out / SPLITS).rmdir()
        raise
