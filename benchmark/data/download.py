"""Fetch the figshare archive into the cache folder, checked by MD5."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import DownloadError

DOI = "https://doi.org/10.6084/m9.figshare.1512427"
BASE_URL = "https://ndownloader.figshare.com/files/"
CACHE = "meningioma-bench"
CHUNK = 32 * 1024
TIMEOUT_SECONDS = (15, 60)  # to connect, between two chunks
RETRIES = 2  # of a file whose connection breaks
REFUSALS = {
    403: "the server refuses this network (403 Forbidden; figshare does so for many cloud and "
    "company addresses)",
    404: "the server has no such file (404 Not Found); the record may have moved",
}


@dataclass(frozen=True)
class RemoteFile:
    """One file of the figshare record: its name, ndownloader id, size in bytes and MD5."""

    name: str
    id: int
    size: int
    md5: str


RECORD = (  # figshare record 1512427, version 8; the ids are not in slice order
    ("brainTumorDataPublic_1-766.zip", 3381290, 214401279, "74b949ad33f042e6e103523091cd1428"),
    ("brainTumorDataPublic_767-1532.zip", 3381296, 217848429, "7e8a875500d2c8a346f270538e29890e"),
    ("brainTumorDataPublic_1533-2298.zip", 3381293, 215563856, "8227bf6080cb71f15a88be8d25c79ae7"),
    ("brainTumorDataPublic_2299-3064.zip", 3381302, 231679762, "b378a80d6174e5317d59eb28430c6652"),
    ("cvind.mat", 7005344, 5736, "5ea82eb3212c9fcb84290ccf0beb486d"),
)
FILES = tuple(RemoteFile(*row) for row in RECORD)


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

    A file whose connection breaks is asked for again, and files that came whole are kept for the
    next call. Raises `DownloadError`, naming the manual way, where the server refuses (figshare
    answers 403 to some networks), where there is no network, and where the content is not the
    published one.
    """
    import pooch
    import requests

    folder = cache_folder() if folder is None else folder
    pooch.get_logger().setLevel(logging.WARNING)
    keeper: Any = pooch.create(
        path=folder,
        base_url=base_url,
        registry={file.name: f"md5:{file.md5}" for file in files},
        urls={file.name: f"{base_url.rstrip('/')}/{file.id}" for file in files},
        retry_if_failed=RETRIES,
    )
    for file in files:
        try:
            keeper.fetch(file.name, downloader=_Downloader(file, progress))
        except (DownloadError, OSError, ValueError, requests.RequestException) as error:
            raise DownloadError(
                f"{file.name}: {_reason(error)}. {manual_way(folder, files)}"
            ) from error
    return folder


def manual_way(folder: Path, files: Sequence[RemoteFile] = FILES) -> str:
    """The sentence that tells how to fetch the files in a browser."""
    return (
        f"By hand: open {DOI} in a browser, download {', '.join(file.name for file in files)}, put "
        f"them, unchanged and not unpacked, into {folder}, and run the same command again"
    )


class _Downloader:
    """pooch's own, which hears at once of a refusal, and shows rich's bar where it is asked to."""

    def __init__(self, file: RemoteFile, progress: bool) -> None:
        self.file, self.progress = file, progress

    def __call__(self, url: str, output_file: str, keeper: object) -> None:
        import pooch
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, disable=not self.progress) as shown:
            pooch.HTTPDownloader(
                progressbar=_Bar(shown, self.file),
                chunk_size=CHUNK,
                timeout=TIMEOUT_SECONDS,
                headers={"Accept-Encoding": "identity"},
                hooks={"response": self._check},
            )(url, output_file, keeper)

    def _check(self, response: Any, **_: object) -> None:
        """Raise `DownloadError` before anything is fetched, unless the answer is the file."""
        if response.is_redirect:
            return
        status, size = response.status_code, int(response.headers.get("Content-Length", 0))
        if status == 200 and size <= self.file.size:
            return
        response.close()
        if status == 200:
            raise DownloadError(f"the server sends more than the published {self.file.size} bytes")
        raise DownloadError(REFUSALS.get(status, f"the server answers {status}"))


class _Bar:
    """What pooch asks of a progress bar."""

    def __init__(self, progress: Any, file: RemoteFile) -> None:
        self.total = file.size  # pooch sets it to what the server says
        self._progress, self._task = progress, progress.add_task(file.name, total=file.size)

    def update(self, size: int) -> None:
        self._progress.advance(self._task, size)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        """The display that it stands in is closed by who opened it."""


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection breaks off again and again; files that came whole are kept"
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return (
            "no connection to the server (no network here, or it is blocked); files that came "
            "whole are kept"
        )
    if isinstance(error, ValueError) and not isinstance(error, requests.RequestException):
        return (
            "the server sent other bytes than the published ones (wrong MD5); they were thrown away"
        )
    return str(error)
