"""The verbs that look: arms, slices and plans told, runs judged and scored again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bench_forms import call, refused

from baselines import ARMS
from benchmark.data.slices import SliceSet

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("elsewhere")


def test_arms_are_listed_with_their_class_and_whether_they_need_a_click(capsys: Capture) -> None:
    assert call("arms") == 0
    output = capsys.readouterr().out
    for name, entry in ARMS.items():
        assert re.search(rf"^{name} .*{entry.target}$", output, re.MULTILINE)
    assert "needs a click" in output


def test_data_says_what_is_there_and_exported_slices_are_the_same(
    capsys: Capture, slices: SliceSet
) -> None:
    assert call("data phantoms") == 0
    output = capsys.readouterr().out
    there = (slices.fingerprint, slices.dataset_id, "24, numbers 1 to 24")
    for text in (*there, "phantoms (drawn phantoms)"):
        assert text in output
    assert call("export phantoms pairs") == 0
    output = capsys.readouterr().out
    assert f"24 pairs written to pairs/; fingerprint {slices.fingerprint}" in output
    assert call("data pairs") == 0
    output = capsys.readouterr().out
    assert slices.fingerprint in output
    assert "drawn" not in output


def test_plan_runs_nothing_and_tells_every_cell(capsys: Capture, tmp_path: Path) -> None:
    assert call("plan --data phantoms --format list") == 0
    output = capsys.readouterr().out
    assert "Grid quick: 15 cells, 0 done, into runs-quick/. Splits: by-image-1." in output
    until_then = "your machine's speed is known after the first cell"
    told = " ".join(output.split())
    assert f"(from our records: 2 cores of AMD EPYC; {until_then})." in told
    assert len(re.findall(r"by-image-1 .* pending ", output)) == 15
    assert not list(tmp_path.rglob("spec.json"))


def test_a_run_compared_and_rescored(capsys: Capture, tmp_path: Path) -> None:
    def said(command: str, code: int = 0) -> str:
        assert call(command) == code
        return capsys.readouterr().out

    options = "--data phantoms --only arm=otsu --out out"
    output = said(f"reproduce {options} --threads 1")
    assert "[1/1] otsu(rim=0.2): begins" in output
    assert "[1/1] otsu(rim=0.2): done in" in output
    assert "They show that the machinery works" in output
    output = said(f"reproduce {options} --threads 1")
    assert "1 cells, 1 done" in output
    assert "otsu(rim=0.2): done, from before" in output
    assert "begins" not in output
    assert re.search(r"otsu\(rim=0.2\) +done", said(f"plan {options} --format list"))
    output = said("compare --runs out")
    assert "Judging out: 1 finished runs." in output
    assert "otsu" in output
    said("compare --runs out --strict", code=1)
    rescore = "rescore --runs out --data phantoms"
    assert re.fullmatch(r"otsu_rim0.2_by-image-1_64_\w{8}: unchanged\n", said(rescore))
    scores = next(tmp_path.glob("out/*/scores.csv"))
    whole = scores.read_bytes()
    scores.write_bytes(whole[:40])
    error = refused(capsys, "compare --runs out")
    assert "is not the file that result.json has the hash of" in error
    assert "damaged scores.csv made anew" in said(rescore)
    assert scores.read_bytes() == whole
