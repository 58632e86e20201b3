"""`python -m performance.sharing`: what it asks of its processes, and the ratios that it writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli.devices import WAITING
from performance import child, sharing
from performance.job import Job

TRAINING_SECONDS = {"{}": 2.0, str(WAITING): 2.5, str({"OMP_WAIT_POLICY": "PASSIVE"}): 4.0}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, dict[str, str], bool]]:
    """Processes of known speed: threads, variables and company of each as they are asked for;
    company costs 8 times.
    """
    calls: list[tuple[int, dict[str, str], bool]] = []

    company = [False]

    @contextmanager
    def busy() -> Iterator[None]:
        company[0] = True
        yield
        company[0] = False

    def run(job: Job, **more: str) -> dict[str, Any]:
        calls.append((job.threads, more, company[0]))
        seconds = TRAINING_SECONDS[str(more)] * (1 if not company[0] else 2 if more else 8)
        return {"train_images": 100, "train_seconds": seconds * 2 / job.threads, "val_images": 1, "val_seconds": 1.0,
                "memory": {}, "split": {}}  # fmt: skip

    monkeypatch.setattr(child, "run", run)
    monkeypatch.setattr(sharing, "one_busy_process", busy)
    monkeypatch.setattr(sharing, "usable_cores", lambda: 2)
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.setenv(
            name, "chosen by hand"
        )  # must not reach the children; put back afterwards
    return calls


def test_each_way_of_waiting_is_timed_alone_and_beside_a_busy_process(
    asked: list[tuple[int, dict[str, str], bool]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: ours 100/2.5 = 40 images/s alone against 50, and 20 against 6.25 in company: 0.80
    and 3.20 times.
    """
    monkeypatch.setattr(sharing, "RESULTS", tmp_path / "RESULTS.md")
    words = ["--image-size", "64", "--images", "16", "--rounds", "1", "--data", "phantoms"]
    assert sharing.main(words) == 0
    text = (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    ours = "ours: GOMP_SPINCOUNT=2000, OMP_WAIT_POLICY=PASSIVE"
    assert ["alone", "as torch comes", "50.0", "1.00 (1.00 - 1.00)"] in rows
    assert ["alone", ours, "40.0", "0.80 (0.80 - 0.80)"] in rows
    assert ["beside one busy process", "as torch comes", "6.2", "1.00 (1.00 - 1.00)"] in rows
    assert ["beside one busy process", ours, "20.0", "3.20 (3.20 - 3.20)"] in rows
    assert [company for _, _, company in asked] == [False] * 3 + [True] * 3 + [False] * 3
    assert [threads for threads, _, _ in asked] == [2] * 7 + [1] * 2
    assert (
        "Two processes of one thread train 40.0 images/s in all, 1.00 (1.00 - 1.00) times" in text
    )  # 2 x 100/5
    assert "python -m performance.sharing --image-size 64" in text


def test_a_number_that_makes_no_sense_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert sharing.main(["--rounds", "0"]) == 2
    assert "--rounds 0 must be a whole number above 0" in capsys.readouterr().err
