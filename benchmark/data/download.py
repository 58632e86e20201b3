"""Fetch the figshare archive into the cache folder: resumable, checked by MD5."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.data.resume import Resuming
from benchmark.errors import DownloadError

DOI = "https://doi.org/10.6084/m9.figshare.1512427"
BASE_URL = "https://ndownloader.figshare.com/files/"
CACHE = "meningioma-bench"


@dataclass(frozen=True)
class RemoteFile:
    """One file of the figshare record: its name, ndownloader id, size in bytes and MD5."""

    name: str
    id: int
    size: int
    md5: str


FILES = (  # figshare record 1512427, version 8; the ids are not in slice order
    RemoteFile(
        "brainTumorDataPublic_1-766.zip", 3381290, 214401279, "74b949ad33f042e6e103523091cd1428"
    ),
    RemoteFile(
        "brainTumorDataPublic_767-1532.zip", 3381296, 217848429, "7e8a875500d2c8a346f270538e29890e"
    ),
    RemoteFile(
        "brainTumorDataPublic_1533-2298.zip", 3381293, 215563856, "8227bf6080cb71f15a88be8d25c79ae7"
    ),
    RemoteFile(
        "brainTumorDataPublic_2299-3064.zip", 3381302, 231679762, "b378a80d6174e5317d59eb28430c6652"
    ),
    RemoteFile("cvind.mat", 7005344, 5736, "5ea82eb3212c9fcb84290ccf0beb486d"),
)


def cache_folder() -> Path:
    """The folder in the user's cache where the archive is kept."""
    import pooch

    return Path(pooch.os_cache(CACHE))


def fetch(
    folder: Path | None = None,
    *,
    base_url: str = BASE_URL,
    files: Sequence[RemoteFile] = FILES,
    progress: bool = True,
) -> Path:
    """Return the folder that holds every file, whole and with the right MD5; fetch what is missing.

    A broken download leaves `NAME.part` and goes on from there at the next call. Raises
    `DownloadError`, naming the manual way, where the server refuses (figshare answers 403 to
    some networks), where there is no network, and where the content is not the published one.
    """
    import pooch
    import requests

    folder = cache_folder() if folder is None else folder
    pooch.get_logger().setLevel(logging.WARNING)
    keeper: Any = pooch.create(
        path=folder,
        base_url=base_url,
        registry={one.name: f"md5:{one.md5}" for one in files},
        urls={one.name: f"{base_url.rstrip('/')}/{one.id}" for one in files},
    )
    for one in files:
        try:
            keeper.fetch(
                one.name, downloader=Resuming(folder / f"{one.name}.part", one.size, progress)
            )
        except (DownloadError, OSError, ValueError, requests.RequestException) as error:
            raise DownloadError(
                f"{one.name}: {_reason(error)}. {manual_way(folder, files)}"
            ) from error
    return folder


def manual_way(folder: Path, files: Sequence[RemoteFile] = FILES) -> str:
    """The sentence that tells how to fetch the files in a browser."""
    return (
        f"By hand: open {DOI} in a browser, download {', '.join(one.name for one in files)}, put them, "
        f"unchanged and not unpacked, into {folder}, and run the same command again"
    )


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return "no connection to the server (no network here, or it is blocked); what came so far is kept"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection breaks off again and again; what came so far is kept"
    if isinstance(error, ValueError) and not isinstance(error, requests.RequestException):
        return (
            "the server sent other bytes than the published ones (wrong MD5); they were thrown away"
        )
    return str(error)
