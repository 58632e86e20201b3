"""Fetching the archive: always from a server of our own on 127.0.0.1, never from figshare."""

from __future__ import annotations

import hashlib
import re
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from data_forms import small_set, write_zips

from benchmark import data
from benchmark.data.download import BASE_URL, FILES, RemoteFile, cache_folder, fetch, manual_way
from benchmark.errors import DownloadError

Patch = pytest.MonkeyPatch
CONTENT = {7: bytes(range(256)) * 4000, 8: b"folds" * 100}  # id -> bytes
NAMES = {7: "brainTumorDataPublic_1-766.zip", 8: "cvind.mat"}
TABLE = tuple(
    RemoteFile(NAMES[key], key, len(content), hashlib.md5(content).hexdigest())
    for key, content in CONTENT.items()
)


class Server(ThreadingHTTPServer):
    """Serves CONTENT at /files/<id>, by way of a redirect; the attributes make it misbehave."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[int] = []  # ids
        self.status = 200
        self.cut_at: list[int] = []  # close the next connections after so many bytes
        self.content = dict(CONTENT)

    def handle_error(self, *args: object) -> None:
        """Nothing to say where the client hangs up."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/files/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        key = int(self.path.rsplit("/", 1)[1])
        if self.path.startswith("/files"):  # as figshare does
            self.send_response(302)
            self.send_header("Location", f"/store/{key}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.server.asked.append(key)
        whole = self.server.content[key]
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        self.wfile.write(whole[: self.server.cut_at.pop(0) if self.server.cut_at else None])


@pytest.fixture
def server(monkeypatch: Patch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # before a file is asked for again
    with Server() as running:
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def get(server: Server, folder: Path) -> Path:
    return fetch(folder, base_url=server.url, files=TABLE, progress=False)


def holds(folder: Path, *keys: int) -> bool:
    whole = {NAMES[key]: CONTENT[key] for key in keys}
    return {p.name: p.read_bytes() for p in folder.iterdir()} == whole


def test_everything_is_fetched_once(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "cache"
    assert get(server, folder) == folder
    assert holds(folder, 7, 8)
    get(server, folder)
    assert server.asked == [7, 8]


def test_a_file_whose_connection_drops_is_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.cut_at = [300_000, 200_000]
    get(server, tmp_path)
    assert holds(tmp_path, 7, 8)
    assert server.asked == [7, 7, 7, 8]


def test_a_broken_download_keeps_the_files_that_came_whole(server: Server, tmp_path: Path) -> None:
    server.cut_at = [len(CONTENT[7]), 100, 100, 100]
    with pytest.raises(DownloadError, match=r"cvind\.mat: .*breaks off.*whole are kept"):
        get(server, tmp_path)
    assert holds(tmp_path, 7)
    get(server, tmp_path)
    assert holds(tmp_path, 7, 8)
    assert server.asked == [7, 8, 8, 8, 8]


@pytest.mark.parametrize(
    ("status", "words"), [(403, "403 Forbidden"), (404, "404"), (202, "202"), (503, "503")]
)
def test_a_refusal_names_the_manual_way(
    server: Server, tmp_path: Path, status: int, words: str
) -> None:
    server.status = status
    with pytest.raises(DownloadError) as caught:
        get(server, tmp_path)
    by_hand = ("10.6084/m9.figshare.1512427", "cvind.mat", "run the same command again")
    for needed in (words, *by_hand, str(tmp_path)):
        assert needed in str(caught.value)
    assert server.asked == [7]


def test_no_network_names_the_manual_way(server: Server, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: every connection is refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        says = r"no network.*By hand: open https://doi\.org/10\.6084"
        with pytest.raises(DownloadError, match=says):
            fetch(tmp_path, base_url=url, files=TABLE, progress=False)


@pytest.mark.parametrize(
    ("content", "says"),
    [(CONTENT[7][::-1], "MD5"), (CONTENT[7] * 2, "more than the published 1024000 bytes")],
    ids=["other bytes", "more bytes"],
)
def test_other_content_is_thrown_away(
    server: Server, tmp_path: Path, content: bytes, says: str
) -> None:
    server.content[7] = content
    with pytest.raises(DownloadError, match=says):
        get(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_put_there_by_hand_are_taken(server: Server, tmp_path: Path) -> None:
    for key, name in NAMES.items():
        (tmp_path / name).write_bytes(CONTENT[key])
    get(server, tmp_path)
    assert server.asked == []


def test_progress_goes_to_the_terminal(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(tmp_path, base_url=server.url, files=TABLE[1:])
    assert "cvind.mat" in capsys.readouterr().out


def test_the_word_loads_what_was_fetched(monkeypatch: Patch, tmp_path: Path) -> None:
    slices = small_set(dtype="int16")
    folder = write_zips(slices, tmp_path / "cache")
    monkeypatch.setattr("benchmark.data.download.fetch", lambda: folder)
    assert data.load("figshare").fingerprint == slices.fingerprint


def test_the_table_of_the_record() -> None:
    assert BASE_URL == "https://ndownloader.figshare.com/files/"
    assert all(re.fullmatch("[0-9a-f]{32}", file.md5) for file in FILES)
    assert len({file.id for file in FILES}) == len(FILES) == 5
    assert cache_folder().name == "meningioma-bench"
    assert all(file.name in manual_way(Path("x")) for file in FILES)
