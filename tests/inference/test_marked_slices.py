"""What models mark on slices of other tumours, or of none, from the command line to the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bench_forms import call, refused, small_recipe, spec_of
from data_forms import one_line, small_set, snapshot, write_pairs
from model_forms import Spy, model_around
from numpy.typing import NDArray
from PIL import Image

from baselines import ARMS
from benchmark.data import phantoms
from benchmark.data.slices import RawSlice, SliceSet, iterate
from benchmark.errors import DataError
from benchmark.exports.model import write as write_model
from benchmark.inference.marked_slices import against, mark, survey
from benchmark.inference.model_folder import stored_in
from benchmark.inference.trained_model import find_stored, load
from benchmark.inference.training_slices import Seen
from benchmark.report.marked_folder import check, write
from benchmark.runs.prepared_data import PreparedData
from benchmark.runs.runner import RunOptions, run_grid
from benchmark.splits import files
from benchmark.splits.split import make

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, slices: SliceSet) -> Path:
    """A run of the arm threshold, its split beside it as `reproduce` leaves it."""
    recipe, root = small_recipe(), tmp_path_factory.mktemp("runs")
    split = make(slices, recipe.split, 1)
    spec = spec_of("threshold", ARMS["threshold"], slices, split, recipe)
    data = PreparedData(slices, {split.split_id: split}, ARMS)
    run_grid([spec], data, RunOptions(root, keep_models=True))
    place = root / files.SPLITS / slices.dataset_id[:12] / f"{split.split_id}-0.json"
    files.write(split, slices.dataset_id, recipe.split, place)
    return root / spec.run_id


def mixed(slices: SliceSet) -> SliceSet:
    """The phantoms, numbered anew, as a made-up set: gliomas, pituitary tumours, and no tumour."""
    masks = slices.masks.copy()
    masks[16:] = False
    labels = np.repeat([2, 3, 1], 8).astype(np.int64)
    return replace(slices, slice_id=slices.slice_id + 100, label=labels, masks=masks)


def square(top: int, left: int) -> NDArray[np.bool_]:
    mask = np.zeros((64, 64), dtype=bool)
    mask[top : top + 10, left : left + 10] = True
    return mask


def test_a_mark_is_held_against_a_truth_by_hand() -> None:
    """100 pixels each of 0.5 mm2, 50 shared: Dice 2 * 50 / 200, half covered, 25 mm2 outside."""
    found = against(square(5, 5), square(10, 5), (1.0, 0.5))
    assert found == {"truth_mm2": 50.0, "outside_mm2": 25.0, "dice": 0.5, "covered": 0.5}
    apart = against(square(5, 5), square(30, 5), (1.0, 0.5))
    assert apart == {"truth_mm2": 50.0, "outside_mm2": 50.0, "dice": 0.0, "covered": 0.0}


def test_of_no_truth_there_is_no_overlap_and_an_empty_mark_overlaps_nothing() -> None:
    none = np.zeros((64, 64), dtype=bool)
    healthy = {"truth_mm2": 0.0, "outside_mm2": 50.0, "dice": None, "covered": None}
    assert against(square(5, 5), none, (1.0, 0.5)) == healthy
    assert against(none, none, (1.0, 0.5)) == healthy | {"outside_mm2": 0.0}
    missed = {"truth_mm2": 50.0, "outside_mm2": 0.0, "dice": 0.0, "covered": 0.0}
    assert against(none, square(5, 5), (1.0, 0.5)) == missed


def test_a_phantom_without_a_mass_shows_no_tumour_and_all_that_is_marked_is_outside() -> None:
    healthy = phantoms.make(patients=2, slices_per_patient=2, mass=False)
    model = model_around(Spy(level=0.5))
    seen_of = survey([model], iterate(healthy))
    assert seen_of == dict.fromkeys([1, 2, 3, 4], Seen.UNKNOWN)
    rows = [each.row for each in mark([model], iterate(healthy), seen_of)]
    assert [row["shows"] for row in rows] == ["none"] * 4
    assert [row["patient_id"] for row in rows] == ["P01", "P01", "P02", "P02"]
    for row in rows:
        assert row["outside_mm2"] == row["area_mm2"] > 0
        assert (row["dice"], row["covered"], row["truth_mm2"]) == (None, None, 0)


def test_slices_of_several_sizes_are_marked_each_at_its_own() -> None:
    """As Cheng's pituitary tumours are, most of 512 x 512 and some of 256 x 256."""
    model = model_around(Spy())
    slices = [*iterate(small_set(1, label=3)), *iterate(small_set(2, label=3, shape=(128, 64)))][:2]
    slices = [replace(raw, slice_id=number) for number, raw in enumerate(slices)]
    marked = [*mark([model], slices, survey([model], slices))]
    assert [each.found.mask.shape for each in marked] == [(64, 96), (128, 64)]


def test_a_slice_at_fault_is_named_before_a_model_is_asked() -> None:
    spy = Spy()
    (raw,) = iterate(small_set(1))
    long = np.arange(2 * 8000, dtype=np.uint16).reshape(2, 8000)
    slices = [raw, RawSlice(9, 2, long, long > 5, "made 9", "b", (0.49, 0.49))]
    with one_line(DataError, "made 9: filled up to the form", "8000x8000 pixels; crop it"):
        survey([model_around(spy)], slices)
    flat = np.full((2048, 2048), 60_000, np.uint16)
    flat[5, 5] += 1
    slices = [RawSlice(9, 2, flat, flat > 60_000, "made 9", "b", (0.49, 0.49))]
    model = model_around(spy)
    with one_line(DataError, "made 9: at 64x64 pixels: constant image"):
        list(mark([model], slices, survey([model], slices)))
    assert spy.fed == []


def told(capsys: Capture, command: str) -> str:
    capsys.readouterr()
    assert call(command) == 0
    return capsys.readouterr().out


def test_other_tumours_and_none_from_files_to_the_table(
    run: Path, slices: SliceSet, tmp_path: Path, capsys: Capture
) -> None:
    """8 gliomas, 8 pituitary tumours, 8 slices without a tumour; masks as those of `predict`."""
    made = mixed(slices)
    source, out = write_pairs(made, tmp_path / "set"), tmp_path / "out"
    command = f"predict --data {source} --run {run} --device cpu --out {out} --spacing 3.92 3.92"
    text = told(capsys, f"{command} --labels all --allow-empty-masks")
    for line in ("glioma", "pituitary", "none"):
        assert f"\n{line} " in text
    assert "research tool and no medical device" in text
    measures = pd.read_csv(out / "measures.csv", dtype={"patient_id": str}, na_filter=False)
    assert measures["shows"].tolist() == ["glioma"] * 8 + ["pituitary"] * 8 + ["none"] * 8
    assert measures["patient_id"].tolist() == list(made.patient_id)
    assert set(measures["in_training"]) == {"not known"}  # a run of other slices
    assert measures["run_id"].unique().tolist() == [run.name]
    call(f"predict {source / 'images'} --run {run} --device cpu --out {tmp_path / 'plain'}")
    for number in made.slice_id:
        name = f"{number}_mask.png"
        assert (out / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
        area = np.count_nonzero(np.asarray(Image.open(out / name)))
        assert int(measures.set_index("slice").loc[number, "area_pixels"]) == area
    by_kind = pd.read_csv(out / "by-kind.csv")
    assert by_kind["shows"].tolist() == ["glioma", "pituitary", "none"]
    assert by_kind["slices"].tolist() == [8, 8, 8]
    assert by_kind["dice_mean"].isna().tolist() == [False, False, True]
    sheets = {path.name for path in out.glob("marked-*")}
    assert sheets == {"marked-glioma-1.png", "marked-pituitary-1.png", "marked-none-1.png"}


def test_what_was_trained_on_stands_apart(
    run: Path, slices: SliceSet, tmp_path: Path, capsys: Capture
) -> None:
    """16 slices trained and 4 validated on, by image: the 4 tested have their patient there too."""
    source, out = write_pairs(slices, tmp_path / "set"), tmp_path / "out"
    command = f"predict --data {source} --run {run} --device cpu --out {out} --spacing 3.92 3.92"
    text = told(capsys, command)
    assert "slice seen" in text
    assert "says nothing of new patients" in text
    (split,) = (run.parent / files.SPLITS).rglob("*.json")
    sets = files.read(split.read_text(), "").split
    rows = pd.read_csv(out / "measures.csv").set_index("slice")["in_training"]
    assert {*rows[[*sets.train, *sets.val]]} == {"slice seen"}
    patients = {slices.patient_of[number] for number in (*sets.train, *sets.val)}
    for number in sets.test:
        kept = slices.patient_of[number] in patients
        assert rows[number] == ("patient seen" if kept else "not seen")


def test_a_model_that_travelled_knows_what_it_was_trained_on(
    run: Path, slices: SliceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it was exported twice, and where it is named by a dot."""
    write_model(find_stored(run.parent, run.name), tmp_path / "first" / "mine")
    write_model(stored_in(tmp_path / "first" / "mine"), tmp_path / "second" / "mine")
    expected = survey([load(run.parent, run.name, ARMS, "cpu")], iterate(slices))
    assert {*expected.values()} >= {Seen.SLICE, Seen.PATIENT}
    monkeypatch.chdir(tmp_path / "second" / "mine")
    for named in ("../../first/mine", "."):
        model = load(Path("runs"), named, ARMS, "cpu")
        assert survey([model], iterate(slices)) == expected


def test_two_runs_are_one_in_the_table_and_a_map_stands_beside_each_mask(
    run: Path, slices: SliceSet, tmp_path: Path, capsys: Capture
) -> None:
    recipe = small_recipe()
    split = make(slices, recipe.split, 1)
    spec = spec_of("otsu", ARMS["otsu"], slices, split, recipe)
    data = PreparedData(slices, {split.split_id: split}, ARMS)
    run_grid([spec], data, RunOptions(run.parent, keep_models=True))
    source, out = write_pairs(mixed(slices), tmp_path / "set"), tmp_path / "out"
    command = f"predict --data {source} --labels 2 --device cpu --runs {run.parent} --out {out}"
    text = told(capsys, f"{command} --spacing 3.92 3.92 --run {run.name} {spec.run_id}")
    assert "The 2 models, here averaged, were trained on 16 drawn phantoms" in text
    measures = pd.read_csv(out / "measures.csv")
    assert measures["run_id"].unique().tolist() == [f"{spec.run_id} {run.name}"]
    assert measures["member_dice"].between(0, 1).all()
    assert len([*out.glob("*_disagreement.png")]) == len(measures) == 8


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "no images are given; name them before --run, or give slices"),
        ("--data phantoms a.png", "--data phantoms: a.png is given too; give images, or a data"),
        ("a.png --labels 2", "--labels and --allow-empty-masks choose slices of a --data source"),
        ("a.png --allow-empty-masks", "--labels and --allow-empty-masks choose slices"),
        ("--data no/such", "no/such: not there; give a folder or zip of slices"),
        ("--data set", "no slice with label [1] was found"),
        ("--data set --labels all", "mask is empty; allow it with --allow-empty-masks"),
        ("--data set --labels 2 --run {run}", "is named 2 times"),
        ("--data set --labels 2 --out taken", "taken/measures.csv: exists already and is left"),
        ("--data set --labels 2 --out masks", "masks/101_mask.png: exists already and is left"),
    ],
)
def test_bad_words_are_one_line(
    run: Path, slices: SliceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture,
    words: str, says: str,
) -> None:  # fmt: skip
    made = mixed(slices)
    rows = [0, 20]
    masks, label = made.masks[rows], np.array([2, 3])
    few = replace(made, images=made.images[rows], masks=masks, slice_id=made.slice_id[rows],
                  label=label, patient_id=("a", "b"))  # fmt: skip
    write_pairs(few, tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    for name in ("taken/measures.csv", "masks/101_mask.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    before = snapshot(tmp_path)
    named = f"{words.format(run=run)} --device cpu --run {run}"
    assert says in refused(capsys, f"predict {named}")
    assert snapshot(tmp_path) == before


def test_a_sheet_that_is_there_is_told_before_the_work_and_not_after_it(tmp_path: Path) -> None:
    (tmp_path / "marked-glioma-1.png").touch()
    with one_line(DataError, "marked-glioma-1.png: exists already and is left as it is"):
        check(tmp_path, overwrite=False)
    check(tmp_path, overwrite=True)


def test_a_stop_half_way_leaves_nothing_and_an_earlier_folder_as_it_was(tmp_path: Path) -> None:
    slices = [*iterate(small_set(3, label=2))]
    model = model_around(Spy())
    seen_of, out = survey([model], slices), tmp_path / "out"

    def tired(fresh: bool) -> None:
        def two_of_three() -> Any:
            yield from mark([model], slices[:2], seen_of)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write(two_of_three(), out, phantom=False, several=False, overwrite=not fresh)

    tired(fresh=True)
    assert not out.exists()
    marked = mark([model], slices, seen_of)
    written = write(marked, out, phantom=False, several=False, overwrite=False)
    assert written.sheets == 1
    before = sorted(out.iterdir()), snapshot(out)
    tired(fresh=False)
    assert (sorted(out.iterdir()), snapshot(out)) == before
    with one_line(DataError, "measures.csv: exists already"):
        again = mark([model], slices, seen_of)
        write(again, out, phantom=False, several=False, overwrite=False)
    again = mark([model], slices[1:], seen_of)
    write(again, out, phantom=False, several=False, overwrite=True)
    assert pd.read_csv(out / "measures.csv")["slice"].tolist() == [5, 8]
