"""The report as a user makes it: from whole folders and partial ones, with pictures and without,
again and again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from bench_forms import small_slices
from run_records import as_before, halves, join, squares, table, terms, write_run

from baselines import ARMS
from benchmark.__main__ import main
from benchmark.data.nifti import export
from benchmark.data.slices import SliceSet
from benchmark.errors import SpecError
from benchmark.judge.judgement import SECTIONS, Judgement
from benchmark.judge.reference import DATASETS
from benchmark.report import figure
from benchmark.report.build import ATTRIBUTION, OWN_DATA, Written, attribution, write
from benchmark.report.chapters import NO_PICTURES, Source, ordered, parts
from benchmark.report.page.contents import Part
from benchmark.report.slices.contour import svg_path
from benchmark.runs import run_folder
from benchmark.runs.collect import collect, reproduction_folder, run_folders

pytestmark = pytest.mark.slow

HISTORY = "epoch,train_loss,val_loss,val_dice\n" + "".join(
    f"{epoch},0.9,0.8,0.2\n" for epoch in range(9)
)
DRAWN = {"phantom": True, "dataset_id": "drawn"}
SLICES = replace(
    small_slices(), phantom=False
)  # as good as real ones: they have grey levels and a texture
NOTHING = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"></svg>'


def runs_in(root: Path, *, phantom: bool = False) -> SliceSet:
    """Two seeds of the best cell and one of another kernel."""
    slices = replace(SLICES, phantom=phantom)
    for seed, params in ((1, 5), (2, 5), (1, 3)):
        folder = write_run(
            root,
            slices,
            halves(slices),
            rows=10 - params - seed,
            seed=seed,
            params={"alpha": 0.5, "kernel_size": params},
        )
        (folder / run_folder.HISTORY).write_text(HISTORY)
    return slices


def report(root: Path, out: Path, slices: SliceSet | None = None) -> Written:
    return write(Source(root, Judgement(collect(root), *terms()), ARMS, slices), out)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    runs_in(folder)
    return folder


@pytest.fixture(scope="module")
def _coarse() -> Iterator[None]:
    """Pictures of few points, which take less time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figure, "PNG_DPI", 20)
        yield


@pytest.fixture(scope="module")
def plain(root: Path, _coarse: None, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return report(root, tmp_path_factory.mktemp("plain") / "report")


@pytest.fixture(scope="module")
def pictured(root: Path, _coarse: None, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return report(root, tmp_path_factory.mktemp("pictured") / "report", SLICES)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are empty, which takes no time."""
    monkeypatch.setattr(figure, "_drawn", lambda one, forms: dict.fromkeys(forms, NOTHING))


def files_of(written: Written) -> set[str]:
    return {path.name for path in (written.page.parent / "figures").iterdir()}


def test_every_figure_is_four_files_that_the_page_names(plain: Written) -> None:
    text = plain.page.read_text(encoding="utf-8")
    slugs = {name.rpartition(".")[0] for name in files_of(plain)}
    assert files_of(plain) == {
        f"{slug}.{form}" for slug in slugs for form in ("png", "svg", "pdf", "csv")
    }
    assert plain.figures == len(slugs) > 10
    assert set(re.findall(r'href="figures/([^"]+)"', text)) == files_of(plain)


def test_without_the_data_there_is_no_picture_of_it(plain: Written) -> None:
    """And the page says how to get some; no attribution is owed."""
    text = plain.page.read_text(encoding="utf-8")
    assert NO_PICTURES in text
    assert ATTRIBUTION not in text
    assert "data:image/webp" not in text


def test_no_figure_shows_markup_for_numbers(pictured: Written) -> None:
    """Names are no formulas, and so no tick may be one."""
    drawn = {
        path.stem: path.read_text(encoding="utf-8")
        for path in (pictured.page.parent / "figures").glob("*.svg")
    }
    assert len(drawn) > 10
    assert [name for name, text in drawn.items() if "$" in text] == []


def test_with_the_data_there_are_pictures_and_whose_they_are(pictured: Written) -> None:
    """These are nobody's we know: no licence is claimed for them."""
    text = pictured.page.read_text(encoding="utf-8")
    assert OWN_DATA in text
    assert ATTRIBUTION not in text
    assert NO_PICTURES not in text
    assert "data:image/webp" in text


def test_overlays_are_stored_predictions(pictured: Written, root: Path) -> None:
    """Every run and every test slice of it is in the gallery, by the outline of its stored mask."""
    page = pictured.page.read_text(encoding="utf-8")
    shown = json.loads(
        re.findall(
            r'<script type="application/json" id="predictions">(.*?)</script>', page, re.DOTALL
        )[0]
    )
    runs = collect(root).runs["run_id"].tolist()
    assert sorted(shown["outlines"]) == sorted(run["id"] for run in shown["runs"]) == runs
    for run_id in runs:
        masks = run_folder.unpack_masks(root / run_id / run_folder.PREDICTIONS)
        drawn = {int(number): one["d"] for number, one in shown["outlines"][run_id].items()}
        assert drawn == {number: svg_path(mask) for number, mask in masks.items()}


@pytest.mark.usefixtures("undrawn")
def test_phantoms_need_no_attribution_and_say_what_they_are(tmp_path: Path) -> None:
    slices = runs_in(tmp_path / "runs", phantom=True)
    text = report(tmp_path / "runs", tmp_path / "out", slices).page.read_text(encoding="utf-8")
    assert ATTRIBUTION not in text
    assert "say nothing about the thesis" in text
    assert "Redraws figure" not in text  # the thesis has none of phantoms


def test_runs_of_which_none_is_finished(tmp_path: Path) -> None:
    """A report starts on anything: nothing is drawn, and the page says what is missing."""
    folder = write_run(tmp_path / "runs", SLICES, halves(SLICES))
    (folder / run_folder.RESULT).unlink()
    written = report(tmp_path / "runs", tmp_path / "out")
    text = written.page.read_text(encoding="utf-8")
    assert written.figures == 0
    assert "0 finished runs, 1 not finished" in text
    assert f"{folder.run_id}: partial" in text
    assert re.search(r"<td[^>]*>[^<]*(<[^>]+>[^<]*)*missing", text)


@pytest.mark.usefixtures("undrawn")
def test_a_lost_history_costs_its_curve_alone(plain: Written, tmp_path: Path) -> None:
    runs_in(tmp_path / "runs")
    for path in (tmp_path / "runs").glob(f"*/{run_folder.HISTORY}"):
        path.unlink()
    written = report(tmp_path / "runs", tmp_path / "out")
    assert written.figures == plain.figures - 1
    text = written.page.read_text(encoding="utf-8")
    assert "The loss curve: unet_alpha0.5_kernel-size5" in text
    assert str(tmp_path) not in text  # the page is made to be passed on


def test_slices_of_the_dataset_are_attributed_to_its_author(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By what they are, not by where they came from."""
    assert attribution(SLICES) == OWN_DATA
    monkeypatch.setitem(DATASETS, "cheng-meningioma", SLICES.dataset_id)
    assert attribution(SLICES) == ATTRIBUTION


@pytest.mark.usefixtures("undrawn")
def test_what_older_runs_do_not_hold_is_said(tmp_path: Path) -> None:
    """Before areas and borders were measured: with pictures of the data, and in half of the
    runs.
    """
    runs_in(tmp_path / "runs")
    for count, folder in enumerate(run_folders(tmp_path / "runs")):
        as_before(folder)
        text = report(tmp_path / "runs", tmp_path / f"{count}", SLICES).page.read_text(
            encoding="utf-8"
        )
        lacking = "kernel-size5" in folder.run_id  # the best cell, which the figures are of
        assert (
            "Some runs lack areas or diameters, so their figures are not drawn; rescore" in text
        ) == lacking
        assert ("not measured" in text) == lacking


@pytest.mark.usefixtures("undrawn")
def test_lost_predictions_cost_their_pictures_alone(tmp_path: Path) -> None:
    runs_in(tmp_path / "runs")
    for path in (tmp_path / "runs").glob(f"*/{run_folder.PREDICTIONS}"):
        path.unlink()
    text = report(tmp_path / "runs", tmp_path / "out", SLICES).page.read_text(encoding="utf-8")
    assert "/predictions.zip: is not the file" in text
    assert str(tmp_path) not in text


@pytest.mark.usefixtures("undrawn")
def test_an_older_report_is_brought_up_to_date_and_nothing_else_is_touched(
    root: Path, tmp_path: Path
) -> None:
    """Figures that are no longer drawn go; a file that a user laid beside them stays."""
    runs = tmp_path / "runs"
    runs_in(runs)
    before = report(runs, tmp_path / "out")
    old = files_of(before)
    (tmp_path / "out" / "figures" / "mine.png").write_bytes(b"mine")
    for folder in runs.glob("unet_alpha0.5_kernel-size3*"):
        (folder / run_folder.RESULT).unlink()
    after = report(runs, tmp_path / "out")
    assert 0 < after.figures < before.figures
    assert files_of(after) < old | {"mine.png"}
    assert "mine.png" in files_of(after)


@pytest.mark.usefixtures("undrawn")
def test_two_sets_of_terms_that_are_called_the_same_have_files_of_their_own(tmp_path: Path) -> None:
    """Phantoms drawn in two ways are two datasets."""
    runs_in(tmp_path / "runs", phantom=True)
    one = report(tmp_path / "runs", tmp_path / "one")
    other = squares(phantom=True)
    (write_run(tmp_path / "runs", other, halves(other), seed=1) / run_folder.HISTORY).write_text(
        HISTORY
    )
    two = report(tmp_path / "runs", tmp_path / "two")
    assert files_of(one) < files_of(two)
    assert len(files_of(two)) == 4 * two.figures


@cache
def shipped() -> dict[str, Part]:
    root = reproduction_folder()
    return {
        part.slug: part
        for part in parts(Source(root, Judgement(collect(root), *terms()), ARMS, None))
    }


class TestParts:
    """What a reader wants to see first, and within it each set of terms, the thesis's own first."""

    def test_their_order(self) -> None:
        """The answers with the headline figure, pictures, the map of the grid; then the rest."""
        assert list(shipped()) == [
            "answers",
            "pictures",
            "grid",
            "patients",
            "claims",
            "arms",
            "reference",
        ]
        assert [figure.slug for figure in shipped()["answers"].figures] == ["headline"]
        assert len(shipped()["answers"].answers) == 3

    def test_the_order_of_the_sets_of_terms(self) -> None:
        """The thesis's image size, then those with more runs; then what is not on its terms."""
        titles = [chapter.title for chapter in shipped()["reference"].chapters]
        own = "cheng-meningioma, protocol thesis"
        assert titles[:3] == [
            f"{own}, {name}" for name in ("512x512, fp32", "256x256, fp32", "256x256, bf16")
        ]
        assert titles[3:] == ["cheng-meningioma, protocol patient, 256x256, fp32"]

    def test_the_map_of_the_grid_is_shown_and_its_other_figures_are_folded(self) -> None:
        first, second, rest = shipped()["grid"].chapters
        assert [[figure.title for figure in chapter.figures] for chapter in (first, second)] == [
            ["Mean Dice"]
        ] * 2
        assert len(first.more) > 3
        assert "protocol patient, 256x256, fp32" in rest.notes[0]

    def test_every_table_of_the_judgement_is_there_once(self) -> None:
        """Under its figure or in its part; that of the runs stands where it says how they were
        made.
        """
        found = Judgement(collect(reproduction_folder()), *terms())
        tables = [table for part in shipped().values() for table in part.tables]
        asked = [
            table for name, make in SECTIONS.items() if name != "runs" for table in make(found)
        ]
        assert sorted(table.title for table in tables) == sorted(table.title for table in asked)
        assert [table.title for table in shipped()["answers"].figures[0].tables] == [
            table.title for table in (*found.patients()[:1], *found.verdicts())
        ]

    def test_claims_that_can_be_tested_are_rows_and_the_others_one_line(self) -> None:
        """Of ten claims six can be tested on no set of terms: they are named once, and in no
        table.
        """
        *tables, last = shipped()["claims"].chapters
        rows = [set(chapter.tables[0].numbers["claim"]) for chapter in tables]
        assert set.union(*rows) == {
            "extremes-worse",
            "alpha-direction",
            "small-tumours",
            "necrotic-centres",
        }
        assert all(
            "not testable yet" not in set(chapter.tables[0].numbers["standing"])
            for chapter in tables
        )
        assert last.lead == (
            "Not testable yet: 6 of the 10 claims (best-cell, small-kernels-mean, small-kernels-spread, "
            "tversky-no-gain, image-spread, vessels-excluded)."
        )
        assert last.tables == ()

    @pytest.mark.usefixtures("undrawn")
    def test_a_demonstration_opens_with_its_own_map_and_pictures(self, tmp_path: Path) -> None:
        """It says what it is, and asks after the thesis last."""
        slices = runs_in(tmp_path / "runs", phantom=True)
        text = report(tmp_path / "runs", tmp_path / "out", slices).page.read_text(encoding="utf-8")
        assert "<h1>A demonstration on drawn phantoms</h1>" in text
        assert "3 finished runs on drawn phantoms" in text
        order = re.findall(r'<section id="(\w+)"', text)
        assert order[:2] == ["grid", "pictures"]
        assert order.index("answers") > order.index("reference")

    def test_phantoms_come_last(self, tmp_path: Path) -> None:
        """However many they are."""
        parts = [
            table({1: [0.9, 0.8, 0.7]}, ["p", "q", "r"], alpha=0.5, **more)
            for more in ({}, *[DRAWN] * 3)
        ]
        found = Judgement(join(*parts), *terms())
        assert [bool(panel.runs["phantom"].iloc[0]) for panel in ordered(found)] == [False, True]

    def test_the_printed_number_stands_beside_its_own_experiment_alone(self) -> None:
        """In the chapter at the thesis's size; figures off its terms redraw none of its."""
        drawn = [one for part in shipped().values() for one in part.figures]
        for one in drawn:
            if "512x512-fp32" not in one.slug and not one.slug.startswith("headline"):
                assert "0.898" not in one.caption
            if one.slug.startswith("patient-"):
                assert one.thesis == ""
        assert any(one.thesis == "15" for one in drawn)


@pytest.mark.parametrize("name", ["notes.txt", "index.html"])
def test_a_folder_of_other_things_is_left_alone(root: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(SpecError, match="choose a"):
        report(root, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_figures_of_something_else_are_left_alone(root: Path, tmp_path: Path) -> None:
    """A folder of figures without a report of ours beside it, such as of a text in LaTeX."""
    mine = tmp_path / "figures" / "headline.csv"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(SpecError, match="holds other files and no report"):
        report(root, tmp_path)
    assert mine.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["figures"]


def test_a_file_in_the_way_is_named(root: Path, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine")
    with pytest.raises(SpecError, match="is a file; name a folder"):
        report(root, tmp_path / "report")


@pytest.mark.usefixtures("undrawn")
class TestTheVerb:
    def test_it_says_what_it_wrote(
        self, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["report", "--runs", str(root), "--out", str(tmp_path / "out")]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"Judging {root}: 3 finished runs.\n")
        assert "No pictures of slices" in said
        assert f"Open {tmp_path / 'out' / 'index.html'}" in said

    def test_pictures_from_the_users_copy(
        self, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        export(SLICES, tmp_path / "slices")
        words = ["--data", str(tmp_path / "slices")]
        assert main(["report", "--runs", str(root), "--out", str(tmp_path / "out"), *words]) == 0
        assert "keep its attribution line" in capsys.readouterr().out

    def test_other_slices_are_refused_before_anything_is_written(
        self, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        export(squares(6, first=20), tmp_path / "slices")
        words = ["--data", str(tmp_path / "slices")]
        assert main(["report", "--runs", str(root), "--out", str(tmp_path / "out"), *words]) == 2
        assert "none of the 3 runs is of these slices" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_slices_named_by_the_environment_alone_are_no_error(
        self,
        root: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        export(squares(6, first=20), tmp_path / "slices")
        monkeypatch.setenv("MENINGIOMA_DATA", str(tmp_path / "slices"))
        assert main(["report", "--runs", str(root), "--out", str(tmp_path / "out")]) == 0
        assert "No pictures of slices" in capsys.readouterr().out

    def test_a_folder_without_runs_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["report", "--runs", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
        assert "holds no run" in capsys.readouterr().err
