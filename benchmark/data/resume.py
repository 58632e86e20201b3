"""A downloader for pooch that goes on where a broken download stopped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from benchmark.errors import DownloadError

CHUNK = 32 * 1024  # what a broken connection loses at most
TIMEOUT_SECONDS = (15, 60)  # to connect, between two chunks
REFUSALS = {
    403: "the server refuses this network (403 Forbidden; figshare does so for many cloud and company addresses)",
    404: "the server has no such file (404 Not Found); the record may have moved",
}


class Resuming:
    """Fetches one file of known size into `part`, then moves it to where pooch checks it."""

    def __init__(self, part: Path, size: int, progress: bool = True) -> None:
        self.part, self.size, self.progress = part, size, progress

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        """Download url to output_file; a dropped connection is taken up again as long as bytes
        still come.
        """
        import requests

        if self._have() > self.size:
            self.part.unlink()
        while (before := self._have()) < self.size:
            try:
                self._continue(url, before)
            except requests.RequestException:
                if self._have() <= before:
                    raise
            if self._have() <= before:
                raise DownloadError(f"the server sends nothing after {before} of {self.size} bytes")
        self.part.replace(output_file)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _continue(self, url: str, have: int) -> None:
        """Ask for the rest of the file and append it; start over where the server ignores the
        range.
        """
        import requests

        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as answer:
            if answer.status_code not in (200, 206):
                raise DownloadError(
                    REFUSALS.get(answer.status_code, f"the server answers {answer.status_code}")
                )
            if answer.status_code == 206:
                begins = re.match(r"bytes ([0-9]+)-", answer.headers.get("Content-Range", ""))
                if not have or not begins or int(begins[1]) != have:
                    raise DownloadError(
                        f"the server sends another part than was asked for (from byte {have})"
                    )
            else:
                have = 0
            with self.part.open("ab" if have else "wb") as file, self._bar(have) as bar:
                for chunk in answer.iter_content(CHUNK):
                    have += len(chunk)
                    if have > self.size:
                        file.truncate(0)
                        raise DownloadError(
                            f"the server sends more than the published {self.size} bytes"
                        )
                    file.write(chunk)
                    bar.update(have)

    def _bar(self, have: int) -> _Bar:
        return _Bar(self.part.stem, have, self.size, self.progress)


class _Bar:
    """A progress bar of bytes, or nothing."""

    def __init__(self, name: str, have: int, size: int, shown: bool) -> None:
        self._progress: Any = None
        if shown:
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns)
            self._task = self._progress.add_task(name, total=size, completed=have)

    def __enter__(self) -> _Bar:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, have: int) -> None:
        if self._progress is not None:
            self._progress.update(self._task, completed=have)
