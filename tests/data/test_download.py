"""Fetching the archive: always from a server of our own on 127.0.0.1, never from figshare."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from benchmark.data.resume import CHUNK
from data_forms import small_set, write_zips

from benchmark import data
from benchmark.data.download import BASE_URL, FILES, RemoteFile, cache_folder, fetch, manual_way
from benchmark.errors import DownloadError

CONTENT = {7: bytes(range(256)) * 4000, 8: b"folds" * 100}  # id -> bytes
TABLE = tuple(
    RemoteFile(name, key, len(CONTENT[key]), hashlib.md5(CONTENT[key]).hexdigest())
    for name, key in (("brainTumorDataPublic_1-766.zip", 7), ("cvind.mat", 8))
)


class Server(ThreadingHTTPServer):
    """Serves CONTENT at /files/<id>; the attributes make it misbehave."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[int, str | None]] = []  # id, Range
        self.status: int | None = None
        self.ranges = True
        self.cut_at: list[int] = []  # close the next connections after so many bytes
        self.content = dict(CONTENT)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/files/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        key = int(self.path.rsplit("/", 1)[1])
        asked = self.headers.get("Range")
        self.server.asked.append((key, asked))
        if self.server.status:
            self.send_error(self.server.status)
            return
        whole = self.server.content[key]
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.server.ranges else 0  # type: ignore[index]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        self.send_header("Content-Length", str(len(whole) - start))
        self.end_headers()
        stop = start + self.server.cut_at.pop(0) if self.server.cut_at else None
        self.wfile.write(whole[start:stop])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as one:
        thread = Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def get(server: Server, folder: Path) -> Path:
    return fetch(folder, base_url=server.url, files=TABLE, progress=False)


def holds_all(folder: Path) -> bool:
    whole = {one.name: CONTENT[one.id] for one in TABLE}
    return {p.name: p.read_bytes() for p in folder.iterdir()} == whole


def test_everything_is_fetched_once(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "cache"
    assert get(server, folder) == folder
    assert holds_all(folder)
    get(server, folder)
    assert server.asked == [(7, None), (8, None)]


def test_a_dropped_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.cut_at = [10 * CHUNK, 6 * CHUNK]
    get(server, tmp_path)
    assert holds_all(tmp_path)
    assert server.asked == [
        (7, None),
        (7, f"bytes={10 * CHUNK}-"),
        (7, f"bytes={16 * CHUNK}-"),
        (8, None),
    ]


def test_a_kept_part_is_continued_by_the_next_call(server: Server, tmp_path: Path) -> None:
    (tmp_path / "brainTumorDataPublic_1-766.zip.part").write_bytes(CONTENT[7][:400_000])
    get(server, tmp_path)
    assert holds_all(tmp_path)
    assert server.asked[0] == (7, "bytes=400000-")


def test_a_server_that_knows_no_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    (tmp_path / "brainTumorDataPublic_1-766.zip.part").write_bytes(CONTENT[7][:400_000])
    server.ranges = False
    get(server, tmp_path)
    assert holds_all(tmp_path)


def test_a_part_that_is_too_long_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cvind.mat.part").write_bytes(bytes(10_000))
    get(server, tmp_path)
    assert holds_all(tmp_path)


def test_a_broken_download_keeps_its_part(server: Server, tmp_path: Path) -> None:
    server.cut_at = [CHUNK + 1000, 0]
    with pytest.raises(DownloadError, match=r"1-766\.zip: .*is kept"):
        get(server, tmp_path)
    assert [(p.name, p.stat().st_size) for p in tmp_path.iterdir()] == [
        ("brainTumorDataPublic_1-766.zip.part", CHUNK)
    ]
    get(server, tmp_path)
    assert holds_all(tmp_path)


@pytest.mark.parametrize(
    ("status", "words"), [(403, "403 Forbidden"), (404, "404"), (202, "202"), (503, "503")]
)
def test_a_refusal_names_the_manual_way(
    server: Server, tmp_path: Path, status: int, words: str
) -> None:
    server.status = status
    with pytest.raises(DownloadError) as caught:
        get(server, tmp_path)
    for needed in (
        words,
        "10.6084/m9.figshare.1512427",
        "cvind.mat",
        str(tmp_path),
        "run the same command again",
    ):
        assert needed in str(caught.value)


def test_no_network_names_the_manual_way(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: every connection is refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(
            DownloadError, match=r"no network.*By hand: open https://doi\.org/10\.6084"
        ):
            fetch(tmp_path, base_url=url, files=TABLE, progress=False)


def test_other_bytes_than_the_published_ones(server: Server, tmp_path: Path) -> None:
    server.content[7] = CONTENT[7][::-1]
    with pytest.raises(DownloadError, match="MD5"):
        get(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_more_bytes_than_the_published_ones(server: Server, tmp_path: Path) -> None:
    server.content[7] = CONTENT[7] * 2
    with pytest.raises(DownloadError, match="more than the published 1024000 bytes"):
        get(server, tmp_path)


def test_files_put_there_by_hand_are_taken(server: Server, tmp_path: Path) -> None:
    for one in TABLE:
        (tmp_path / one.name).write_bytes(CONTENT[one.id])
    get(server, tmp_path)
    assert server.asked == []


def test_progress_goes_to_the_terminal(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(tmp_path, base_url=server.url, files=TABLE[1:])
    assert "cvind.mat" in capsys.readouterr().out


def test_the_word_figshare_loads_what_was_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slices = small_set(dtype="int16")
    monkeypatch.setattr(
        "benchmark.data.download.fetch", lambda: write_zips(slices, tmp_path / "cache")
    )
    assert data.load("figshare").fingerprint == slices.fingerprint


def test_the_table_of_the_record() -> None:
    assert BASE_URL == "https://ndownloader.figshare.com/files/"
    assert all(re.fullmatch("[0-9a-f]{32}", one.md5) for one in FILES)
    assert len({one.id for one in FILES}) == len(FILES) == 5
    assert cache_folder().name == "meningioma-bench"
    assert all(one.name in manual_way(Path("x")) for one in FILES)
