"""`archive`: runs leave as one file, and others go on from them."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest
from bench_forms import TINY_GRID, call, refused
from data_forms import snapshot
from run_records import halves, squares, write_run

from benchmark.runs.collect import reproduction_folder

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("elsewhere")
GRID = "--data phantoms --grid tiny.toml --device cpu --only arm=otsu,background"
SHIPPED = "background_by-image-1_512_88201c85"


@pytest.fixture
def runs() -> Path:
    """Two finished runs on phantoms, on a split that is drawn for them."""
    Path("tiny.toml").write_text(TINY_GRID)
    assert call(f"reproduce {GRID} --out runs") == 0
    return Path("runs")


def said(capsys: Capture, command: str) -> str:
    capsys.readouterr()
    assert call(command) == 0
    return capsys.readouterr().out


def test_others_go_on_from_runs_that_came_as_a_file(capsys: Capture, runs: Path) -> None:
    out = said(capsys, "archive a.zip")
    assert "2 runs of runs/, each checked: 1 background, 1 otsu; 13 files" in out
    assert "These are runs on drawn phantoms" in out
    sha256 = hashlib.sha256(Path("a.zip").read_bytes()).hexdigest()
    assert f"sha256 of a.zip: {sha256}" in out
    assert "python -m benchmark archive a.zip --unpack --out runs-quick" in out
    out = said(capsys, "archive a.zip --unpack --out there")
    assert f"sha256 of a.zip: {sha256}" in out
    assert "2 runs, each file and record checked: 2 unpacked into there/.\n" in out
    assert snapshot(Path("there")).items() <= snapshot(runs).items()
    out = said(capsys, f"reproduce {GRID} --out there")
    assert "2 cells, 2 done, into there/" in out
    assert "begins" not in out
    assert "Judging there: 2 finished runs." in said(capsys, "compare --runs there")
    out = said(capsys, "archive a.zip --unpack --out there")
    assert "0 unpacked into there/. 2 were there already, the same." in out


def test_runs_are_chosen_by_name_and_by_parameter(capsys: Capture, runs: Path) -> None:
    otsu, background = sorted((p.name for p in runs.glob("*_*")), reverse=True)
    for number, words in enumerate((f"--id {otsu}", "--only arm=otsu", "--only rim=0.2")):
        said(capsys, f"archive {number}.zip {words}")
        said(capsys, f"archive {number}.zip --unpack --out {number}")
        assert [p.name for p in Path(f"{number}").glob("*_*")] == [otsu]
    says = refused(capsys, f"archive a.zip --id {background} --only arm=otsu")
    assert "--only: unknown arm 'otsu'; known: background" in says
    assert "grid" not in says  # no grid is asked here
    assert "unknown key 'kernel_size'; known: arm, rim" in refused(
        capsys, "archive a.zip --only kernel_size=3"
    )
    says = refused(capsys, "archive a.zip --only arm=background rim=0.2")
    assert "--only: unknown key 'rim'; known: arm" in says
    assert f"has no such run; the nearest is {otsu}" in refused(
        capsys, f"archive a.zip --id {otsu[:12]}"
    )
    assert not Path("a.zip").exists()


def test_an_unfinished_run_is_refused_by_name_and_passed_over_else(
    capsys: Capture, runs: Path
) -> None:
    partial = next(runs.glob("otsu*"))
    (partial / "result.json").unlink()
    says = refused(capsys, f"archive a.zip --id {partial.name}")
    assert f"--id {partial.name}: is partial, and only finished runs are packed; give" in says
    assert "1 runs of runs/" in said(capsys, "archive a.zip")
    says = refused(capsys, f"archive a.zip --unpack --out {runs}x --with-models")
    shutil.rmtree(next(runs.glob("background*")))
    says = refused(capsys, "archive b.zip --runs runs")
    assert "--runs runs: holds no finished run; let reproduce finish one first" in says


def test_the_records_shipped_here_are_packed_where_there_are_no_own_runs(capsys: Capture) -> None:
    """And what `--from-shipped` copies is what is in the archive."""
    out = said(capsys, f"archive ours.zip --id {SHIPPED}")
    assert "1 runs of the runs shipped here, each checked: 1 background; 6 files" in out
    assert "doi:10.6084/m9.figshare.1512427, CC BY 4.0" in " ".join(out.split())
    shutil.copytree(reproduction_folder() / SHIPPED, Path("runs") / SHIPPED)
    out = said(capsys, "archive ours.zip --unpack")
    assert "0 unpacked into runs/. 1 was there already, the same." in out


def test_of_ones_own_slices_it_says_that_patients_travel_as_they_are_named(
    capsys: Capture, tmp_path: Path
) -> None:
    slices = squares()
    write_run(tmp_path / "own", slices, halves(slices))
    out = said(capsys, f"archive {tmp_path / 'a.zip'} --runs {tmp_path / 'own'}")
    assert "the patients in index.csv are numbers: scores.csv has them" in " ".join(out.split())


def test_models_go_along_where_runs_kept_them(capsys: Capture, runs: Path) -> None:
    says = refused(capsys, "archive a.zip --with-models")
    assert "none of these runs of runs kept its model; leave it out, or train with" in says
    assert call(f"reproduce {GRID} --keep-models --out kept") == 0
    out = said(capsys, "archive a.zip --runs kept --with-models")
    assert re.search(r"15 files, \d+\.\d MB, 2 of the runs with their model", out)
    said(capsys, "archive a.zip --unpack --out there")
    assert call("predict no.png --run otsu --runs there") == 2
    assert len(list(Path("there").glob("*/model.pt"))) == 2


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("a.zip --unpack --runs x", "--runs goes without --unpack alone"),
        ("a.zip --unpack --id x", "--id goes without --unpack alone"),
        ("a.zip --unpack --only a=1", "--only goes without --unpack alone"),
        ("a.zip --unpack --with-models", "--with-models goes without --unpack alone"),
        ("a.zip --out x", "--out goes with --unpack alone"),
        ("a.zip --unpack", "a.zip: there is no such file; give the archive to unpack"),
        (
            "here.zip --unpack",
            "here.zip: cannot be read (BadZipFile: File is not a zip file)",
        ),
        ("here.zip --unpack --out here.zip", "--out here.zip: is a file; name the folder"),
        ("here.zip", "here.zip: exists already and is left as it is; choose another name"),
        ("no/a.zip --runs no", "--runs no: there is no such folder"),
    ],
)
def test_what_is_wrong_is_one_line(capsys: Capture, command: str, says: str) -> None:
    Path("here.zip").write_text("no zip")
    assert says in refused(capsys, f"archive {command}")
    assert [path.name for path in Path().iterdir()] == ["here.zip"]
