"""`reproduce` without data: what its phantoms ask of an arm, and the page that it ends with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmark.__main__ import main
from benchmark.data import phantoms
from benchmark.data.nifti import export
from benchmark.report import build
from benchmark.runs.collect import collect

Capture = pytest.CaptureFixture[str]
PAGE = Path("report-quick/index.html")
OTSU = ["reproduce", "--only", "arm=otsu", "--threads", "1"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_learns_nothing_or_little_misses_many_of_its_tumours() -> None:
    """On real slices Otsu, threshold and region growing reach 0.541, 0.469 and 0.575.

    Measured here: 0.41, 0.49 and 0.43; the 5x5 network at alpha 0.5 is to stand 0.1 above each.
    """
    automatic = ["otsu", "threshold", "region-growing"]
    only = f"arm={','.join(automatic)},click-region-growing"
    assert main(["reproduce", "--data", "phantoms", "--only", only, "--threads", "1"]) == 0
    dice = collect(Path("runs-quick")).runs.set_index("arm")["test.dice_mean"]
    assert set(dice.index) == {*automatic, "click-region-growing"}
    assert dice[automatic].between(0.3, 0.55).all()
    # they find the wrong thing, more than outline it badly
    assert dice["click-region-growing"] > dice[automatic].max() + 0.1


@pytest.mark.usefixtures("few_phantoms")
def test_it_ends_by_writing_its_report_of_what_was_done_now_or_before(capsys: Capture) -> None:
    assert main(OTSU) == 0
    output = capsys.readouterr().out
    assert output.endswith(f"\nOpen {PAGE}\n")
    words, report = "They show that the machinery works", "Writing their report into report-quick/"
    assert 0 < output.index(words) < output.index(report)
    page = PAGE.read_text(encoding="utf-8")
    assert "1 finished run" in page
    assert "Pictures of slices: drawn phantoms." in page  # nobody asked for them with --data
    shutil.rmtree(PAGE.parent)
    assert main(OTSU) == 0
    output = capsys.readouterr().out
    assert "done, from before" in output
    assert output.endswith(f"\nOpen {PAGE}\n")
    assert PAGE.is_file()


@pytest.mark.usefixtures("few_phantoms")
@pytest.mark.parametrize("words", [["--data", "phantoms"], ["--data", "slices", "--grid", "quick"]])
def test_whoever_names_slices_is_told_how_to_see_them(
    words: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(phantoms.make(), Path("slices"))
    assert main([*OTSU, *words, "--out", "my runs"]) == 0
    output = capsys.readouterr().out
    assert not PAGE.exists()
    assert output.endswith(
        f"See them on one page: nox -s report -- --runs 'my runs' --data {words[1]}\n"
    )


@pytest.mark.usefixtures("few_phantoms")
def test_a_report_that_cannot_be_written_is_told_and_takes_nothing_from_the_runs(
    capsys: Capture,
) -> None:
    PAGE.parent.mkdir()
    (PAGE.parent / "letter.txt").write_text("mine")
    assert main(OTSU) == 0
    why, again = capsys.readouterr().out.splitlines()[-2:]
    assert why.startswith("The report could not be written: report-quick: holds other files and no")
    assert again.endswith(
        "try again with: python -m benchmark report --runs runs-quick --out ANOTHER_FOLDER"
    )
    assert [path.name for path in PAGE.parent.iterdir()] == ["letter.txt"]
    assert len(collect(Path("runs-quick")).runs) == 1


@pytest.mark.usefixtures("few_phantoms")
def test_an_interrupted_report_ends_as_interrupted_and_the_runs_are_there(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "write", stopped)
    assert main(OTSU) == 130
    assert capsys.readouterr().err == "\nstopped; the same command skips what is done\n"
    assert len(collect(Path("runs-quick")).runs) == 1
