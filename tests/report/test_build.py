"""The report as a user makes it: from whole folders and partial ones, with pictures or without."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from bench_forms import small_slices
from data_forms import snapshot
from run_records import as_before, halves, join, squares, table, terms, write_run

from baselines import ARMS
from benchmark.__main__ import main
from benchmark.data.nifti import export
from benchmark.data.slices import SliceSet
from benchmark.errors import SpecError
from benchmark.judge.judgement import SECTIONS, Judgement
from benchmark.judge.reference import DATASETS
from benchmark.judge.shipped import shipped as judge_shipped
from benchmark.report import build, figure
from benchmark.report.build import ATTRIBUTION, OWN_DATA, SHEETS, Written, attribution, write
from benchmark.report.chapters import NO_PICTURES, Source, ordered, parts
from benchmark.report.crate import NAME as CRATE
from benchmark.report.crate import recorded
from benchmark.report.page.contents import Part
from benchmark.report.slices.contour import svg_path
from benchmark.runs import run_folder
from benchmark.runs.collect import collect, reproduction_folder, run_folders

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
pytestmark = pytest.mark.slow

ROWS = "".join(f"{epoch},0.9,0.8,0.2\n" for epoch in range(9))
HISTORY = "epoch,train_loss,val_loss,val_dice\n" + ROWS
SLICES = replace(small_slices(), phantom=False)  # like real ones they have levels and a texture
NOTHING = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"></svg>'


def runs_in(root: Path, slices: SliceSet = SLICES) -> SliceSet:
    """Two seeds of the best cell and one of another kernel."""
    for seed, kernel in ((1, 5), (2, 5), (1, 3)):
        own = {"seed": seed, "params": {"alpha": 0.5, "kernel_size": kernel}}
        folder = write_run(root, slices, halves(slices), rows=10 - kernel - seed, **own)
        (folder / run_folder.HISTORY).write_text(HISTORY)
    return slices


def report(root: Path, out: Path, slices: SliceSet | None = None) -> Written:
    return write(Source(root, Judgement(collect(root), *terms()), ARMS, slices), out)


def text_of(written: Written) -> str:
    return written.page.read_text(encoding="utf-8")


def files_of(written: Written) -> set[str]:
    return {path.name for path in (written.page.parent / "figures").iterdir()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    runs_in(folder)
    return folder


@pytest.fixture(scope="module")
def _coarse() -> Iterator[None]:
    """Pictures of few points, which take less time."""
    with Patch.context() as patch:
        patch.setattr(figure, "PNG_DPI", 20)
        yield


@pytest.fixture(scope="module")
def plain(root: Path, _coarse: None, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return report(root, tmp_path_factory.mktemp("plain") / "report")


@pytest.fixture(scope="module")
def pictured(root: Path, _coarse: None, tmp_path_factory: pytest.TempPathFactory) -> Written:
    return report(root, tmp_path_factory.mktemp("pictured") / "report", SLICES)


@pytest.fixture
def unplotted(monkeypatch: Patch) -> None:
    """Figures are empty, which takes no time."""
    monkeypatch.setattr(figure, "_files", lambda figure, forms: dict.fromkeys(forms, NOTHING))


def test_every_figure_is_four_files_that_the_page_names(plain: Written) -> None:
    files = files_of(plain)
    slugs = {name.rpartition(".")[0] for name in files}
    assert files == {f"{slug}.{form}" for slug in slugs for form in ("png", "svg", "pdf", "csv")}
    assert plain.figures == len(slugs) > 10
    assert set(re.findall(r'href="figures/([^"]+)"', text_of(plain))) == files


def test_the_data_alone_brings_pictures_and_whose_they_are(
    plain: Written, pictured: Written
) -> None:
    """These are nobody's we know: no licence is claimed. Without them the page says how."""
    for written, given in ((plain, False), (pictured, True)):
        text = text_of(written)
        assert (NO_PICTURES in text) != given
        assert (OWN_DATA in text) == given
        assert ("data:image/webp" in text) == given
        assert ATTRIBUTION not in text


def test_no_figure_shows_markup_for_numbers(pictured: Written) -> None:
    """Names are no formulas, and so no tick may be one."""
    paths = list((pictured.page.parent / "figures").glob("*.svg"))
    assert len(paths) > 10
    assert [path.stem for path in paths if "$" in path.read_text(encoding="utf-8")] == []


def test_overlays_are_stored_predictions(pictured: Written, root: Path) -> None:
    """Every run and every test slice of it is in the gallery, by the outline of its stored mask."""
    stored = r'<script type="application/json" id="predictions">(.*?)</script>'
    shown = json.loads(re.findall(stored, text_of(pictured), re.DOTALL)[0])
    runs = collect(root).runs["run_id"].tolist()
    assert sorted(shown["outlines"]) == sorted(run["id"] for run in shown["runs"]) == runs
    for run_id in runs:
        masks = run_folder.unpack_masks(root / run_id / run_folder.PREDICTIONS)
        outlines = {int(n): outline["d"] for n, outline in shown["outlines"][run_id].items()}
        assert outlines == {number: svg_path(mask) for number, mask in masks.items()}


@pytest.mark.usefixtures("unplotted")
def test_a_demonstration_says_what_it_is_and_asks_after_the_thesis_last(tmp_path: Path) -> None:
    """It opens with its own map and pictures, which need no attribution."""
    slices = runs_in(tmp_path / "runs", replace(SLICES, phantom=True))
    text = text_of(report(tmp_path / "runs", tmp_path / "out", slices))
    assert "<h1>A demonstration on drawn phantoms</h1>" in text
    assert "3 finished runs on drawn phantoms" in text
    assert "say nothing about the thesis" in text
    assert ATTRIBUTION not in text
    assert "Redraws figure" not in text  # the thesis has none of phantoms
    order = re.findall(r'<section id="(\w+)"', text)
    assert order[:2] == ["grid", "pictures"]
    assert order.index("answers") > order.index("reference")


def test_runs_of_which_none_is_finished(tmp_path: Path) -> None:
    """A report starts on anything: nothing is plotted, and the page says what is missing."""
    folder = write_run(tmp_path / "runs", SLICES, halves(SLICES))
    (folder / run_folder.RESULT).unlink()
    written = report(tmp_path / "runs", tmp_path / "out")
    text = text_of(written)
    assert written.figures == 0
    assert "0 finished runs, 1 not finished" in text
    assert f"{folder.run_id}: partial" in text
    assert re.search(r"<td[^>]*>[^<]*(<[^>]+>[^<]*)*missing", text)


@pytest.mark.usefixtures("unplotted")
def test_lost_files_cost_their_curve_or_pictures_alone(plain: Written, tmp_path: Path) -> None:
    """The page is made to be passed on: it names no folder of its maker."""
    runs_in(tmp_path / "runs")
    for slices, lost, words in (
        (None, run_folder.HISTORY, "The loss curve: unet_alpha0.5_kernel-size5"),
        (SLICES, run_folder.PREDICTIONS, "/predictions.zip: is not the file"),
    ):
        for path in (tmp_path / "runs").glob(f"*/{lost}"):
            path.unlink()
        written = report(tmp_path / "runs", tmp_path / "out", slices)
        assert slices or written.figures == plain.figures - 1
        assert words in text_of(written)
        assert str(tmp_path) not in text_of(written)


def test_slices_of_the_dataset_are_attributed_to_its_author(
    monkeypatch: Patch,
) -> None:
    """By what they are, not by where they came from."""
    assert attribution(SLICES) == OWN_DATA
    monkeypatch.setitem(DATASETS, "cheng-meningioma", SLICES.dataset_id)
    assert attribution(SLICES) == ATTRIBUTION


@pytest.mark.usefixtures("unplotted")
def test_what_older_runs_do_not_hold_is_said(tmp_path: Path) -> None:
    """Before areas and borders were measured: with pictures, and in half of the runs."""
    runs_in(tmp_path / "runs")
    for count, folder in enumerate(run_folders(tmp_path / "runs")):
        as_before(folder)
        text = text_of(report(tmp_path / "runs", tmp_path / f"{count}", SLICES))
        lacking = "kernel-size5" in folder.run_id  # the best cell, which the figures are of
        words = "Some runs lack areas or diameters, so their figures are not drawn; rescore"
        assert (words in text) == ("not measured" in text) == lacking


@pytest.mark.usefixtures("unplotted")
def test_an_older_report_is_brought_up_to_date_and_nothing_else_is_touched(tmp_path: Path) -> None:
    """Figures that are no longer plotted go; a file that a user laid beside them stays."""
    runs, out = tmp_path / "runs", tmp_path / "out"
    runs_in(runs)
    before = report(runs, out)
    old = files_of(before)
    (out / "figures" / "mine.png").write_bytes(b"mine")
    for folder in runs.glob("unet_alpha0.5_kernel-size3*"):
        (folder / run_folder.RESULT).unlink()
    after = report(runs, out)
    assert 0 < after.figures < before.figures
    assert {"mine.png"} < files_of(after) < old | {"mine.png"}


def test_sheets_and_crate_lie_beside_the_page_that_names_them(plain: Written) -> None:
    """The crate has every file of the report but itself, as it is."""
    out, text = plain.page.parent, text_of(plain)
    beside = {path.name for path in out.iterdir()} - {"index.html", "figures"}
    assert beside == {*SHEETS, CRATE}
    assert [name for name in beside if f'<a href="{name}">{name}</a>' not in text] == []
    files = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    del files[CRATE]
    assert recorded(out) == {name: run_folder.file_sha256(path) for name, path in files.items()}
    order = re.findall(r'<section id="(\w+)"', text)
    assert order[-4:] == ["choices", "reviewers", "tables", "data"]


@pytest.mark.usefixtures("unplotted")
def test_a_sheet_that_a_person_filled_in_is_left_as_it_is(root: Path, tmp_path: Path) -> None:
    """A report made again is the same to the byte; over words of a person it is not written."""
    out = tmp_path / "out"
    report(root, out)
    before = snapshot(out)
    report(root, out)
    assert snapshot(out) == before
    with (out / "claim-2024.md").open("a") as sheet:
        sheet.write("Funded by nobody.")
    before = snapshot(out)
    with pytest.raises(SpecError, match=r"claim-2024\.md: is not as a report wrote it"):
        report(root, out)
    assert snapshot(out) == before
    (out / "claim-2024.md").unlink()
    report(root, out)


@pytest.mark.usefixtures("unplotted")
def test_a_sheet_filled_in_while_figures_are_drawn_is_left_as_it_is(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawing takes a minute, in which a person may save."""
    out = tmp_path / "out"
    report(root, out)

    def saved_meanwhile(*words: object) -> bytes:
        (out / "reforms.csv").write_text("a person's words")
        return b""

    monkeypatch.setattr(build, "metadata", saved_meanwhile)
    page = (out / "index.html").read_bytes()
    with pytest.raises(SpecError, match=r"reforms\.csv: is not as a report wrote it"):
        report(root, out)
    assert (out / "reforms.csv").read_text() == "a person's words"
    assert (out / "index.html").read_bytes() == page


@pytest.mark.usefixtures("unplotted")
def test_two_sets_of_terms_that_are_called_the_same_have_files_of_their_own(tmp_path: Path) -> None:
    """Phantoms made in two ways are two datasets."""
    runs = tmp_path / "runs"
    runs_in(runs, replace(SLICES, phantom=True))
    first = report(runs, tmp_path / "first")
    other = squares(phantom=True)
    (write_run(runs, other, halves(other), seed=1) / run_folder.HISTORY).write_text(HISTORY)
    both = report(runs, tmp_path / "both")
    assert files_of(first) < files_of(both)
    assert len(files_of(both)) == 4 * both.figures


@cache
def shipped() -> dict[str, Part]:
    source = Source(reproduction_folder(), judge_shipped(), ARMS, None)
    return {part.slug: part for part in parts(source)}


class TestParts:
    """What a reader wants to see first, and within it each set of terms, the thesis's own first."""

    def test_their_order(self) -> None:
        """The answers with the headline figure, pictures, the map of the grid; then the rest."""
        slugs = "answers pictures grid patients readers made-of claims arms reference"
        assert " ".join(shipped()) == slugs
        assert [figure.slug for figure in shipped()["answers"].figures] == ["headline"]
        assert len(shipped()["answers"].answers) == 4

    def test_the_order_of_the_sets_of_terms(self) -> None:
        """The thesis's image size, then those with more runs; then what is not on its terms."""
        titles = [chapter.title for chapter in shipped()["reference"].chapters]
        sizes = ("512x512, fp32", "256x256, fp32", "256x256, bf16")
        assert titles[:3] == [f"cheng-meningioma, protocol thesis, {size}" for size in sizes]
        others = ("patient, 512x512", "patient, 256x256", "thesis (5c4e2f), 256x256")
        assert titles[3:] == [f"cheng-meningioma, protocol {terms}, fp32" for terms in others]

    def test_the_map_of_the_grid_is_shown_and_its_other_figures_are_folded(self) -> None:
        *maps, rest = shipped()["grid"].chapters
        assert len(maps) == 3
        for chapter in maps:
            assert [figure.title for figure in chapter.figures] == ["Mean Dice"]
        assert len(maps[0].more) > 3
        assert "protocol thesis, 256x256, bf16" in rest.notes[0]

    def test_every_table_of_the_judgement_is_there_once(self) -> None:
        """Under its figure or in its part; that of the runs stands where it says how they ran."""
        judgement = judge_shipped()
        tables = [table.title for part in shipped().values() for table in part.tables]
        sections = [make for name, make in SECTIONS.items() if name != "runs"]
        assert sorted(tables) == sorted(t.title for make in sections for t in make(judgement))
        headline = [table.title for table in shipped()["answers"].figures[0].tables]
        first = (*judgement.patients()[:1], *judgement.verdicts(), *judgement.rules())
        assert headline == [table.title for table in first]
        assert "What the verdict hangs on: a training that was replaced." in headline

    def test_every_claim_stands_on_every_set_of_terms_with_all_that_is_known_of_it(self) -> None:
        """Those that no run can test yet too, whose power and measured values wait for runs; the
        terms nearest the thesis's are opened.
        """
        judgement, chapters = judge_shipped(), shipped()["claims"].chapters
        assert [chapter.opened for chapter in chapters] == [True, False, False]
        for chapter, (panel, _) in zip(chapters, judgement.claims, strict=True):
            assert panel.title in chapter.tables[0].title
            ids = [row["claim"] for row in chapter.tables[0].records]
            assert ids == [claim.id for claim in judgement.reference.claims]

    def test_phantoms_come_last(self) -> None:
        """However many they are."""
        phantoms = {"phantom": True, "dataset_id": "drawn"}
        runs = [table({1: [0.9, 0.8, 0.7]}, "pqr", **more) for more in ({}, *[phantoms] * 3)]
        panels = ordered(Judgement(join(*runs), *terms()))
        assert [bool(panel.runs["phantom"].iloc[0]) for panel in panels] == [False, True]

    def test_the_printed_number_stands_beside_its_own_experiment_alone(self) -> None:
        """In the chapter at the thesis's size; figures off its terms redraw none of its."""
        figures = [figure for part in shipped().values() for figure in part.figures]
        for own in figures:
            if "512x512-fp32" not in own.slug and not own.slug.startswith("headline"):
                assert "0.898" not in own.caption
            if own.slug.startswith("patient-"):
                assert own.thesis == ""
        assert any(own.thesis == "15" for own in figures)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("notes.txt", "holds other files and no report; choose a"),
        ("index.html", "not a report of ours; choose a"),
        ("figures/headline.csv", "holds other files and no report"),  # such as of a text in LaTeX
    ],
)
def test_a_folder_of_other_things_is_left_alone(
    root: Path, tmp_path: Path, name: str, words: str
) -> None:
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(SpecError, match=words):
        report(root, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == "mine"
    with pytest.raises(SpecError, match="is a file; name a folder"):
        report(root, mine)


@pytest.mark.usefixtures("unplotted")
class TestTheVerb:
    @pytest.mark.parametrize(
        ("slices", "by_environment", "code", "words"),
        [
            (None, False, 0, "No pictures of slices"),
            (SLICES, False, 0, "shows slices of yours: see that they may be passed on"),
            (squares(6, first=20), False, 2, "none of the 3 runs is of these slices"),
            (squares(6, first=20), True, 0, "No pictures of slices"),  # which is no error
        ],
        ids=["none", "the user's copy", "other slices", "others named by the environment alone"],
    )
    def test_pictures_come_from_the_slices_that_are_given(
        self, root: Path, tmp_path: Path, monkeypatch: Patch, capsys: Capture,
        slices: SliceSet | None, by_environment: bool, code: int, words: str,
    ) -> None:  # fmt: skip
        """It says what it wrote; what is refused is refused before anything is written."""
        out, copy = tmp_path / "out", str(tmp_path / "slices")
        if slices is not None:
            export(slices, Path(copy))
        if by_environment:
            monkeypatch.setenv("MENINGIOMA_DATA", copy)
        given = ["--data", copy] if slices is not None and not by_environment else []
        assert main(["report", "--runs", str(root), "--out", str(out), *given]) == code
        printed = capsys.readouterr()
        assert words in printed.out + printed.err
        assert out.exists() == (code == 0)
        if not code:
            assert printed.out.startswith(f"Judging {root}: 3 finished runs.\n")
            assert f"Open {out / 'index.html'}" in printed.out

    def test_a_folder_without_runs_is_named(self, tmp_path: Path, capsys: Capture) -> None:
        assert main(["report", "--runs", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
        assert "holds no run" in capsys.readouterr().err
