"""Slices of Cheng's dataset are recognised by their masks, in every form of files."""

from __future__ import annotations

import hashlib
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_forms import (
    refused,
    small_set,
    write_index,
    write_kaggle,
    write_mats,
    write_nifti,
    write_pairs,
    write_zips,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmark.__main__ import main
from benchmark.data import load, registry
from benchmark.data.slices import RawSlice, SliceSet, gather, iterate, mask_hash
from benchmark.errors import DataError
from benchmark.planning.request import Request, load_slices

PUBLISHED = {
    *range(1, 59),
    *range(60, 209),
    *range(211, 709),
    3030,
    3063,
    3064,
}  # the archive's meningiomas
LABELS = (1, 1, 2, 2, 2, 3)
WHOLE = replace(small_set(6), label=np.array(LABELS), patient_id=("A", "B", "C", "C", "D", "E"))
KNOWN = registry.registry_of(WHOLE)
MENINGIOMAS, GLIOMAS = (gather(iterate(WHOLE), labels=[label]) for label in (1, 2))
LINE = (
    "2 of 6 slices are Cheng's meningiomas; left out: 3 gliomas, 1 pituitary tumour, by --labels."
)
STRANGERS = small_set(9)  # its last three masks are not in KNOWN
OTHERS = gather([replace(one, patient_id=None) for one in list(iterate(STRANGERS))[6:]])


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of the drawn slices in place of the shipped one."""
    monkeypatch.setattr(registry, "cheng_registry", lambda: KNOWN)


def loaded(folder: Path, labels: Sequence[int] | None = (1,)) -> SliceSet:
    """`load` with the table of the drawn slices; for laws, which must not ask for a fixture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "cheng_registry", lambda: KNOWN)
        return load(folder, labels=labels)


def recognised(raw: Sequence[RawSlice], labels: Sequence[int] | None = None) -> SliceSet:
    return gather(registry.identify(raw, KNOWN), labels=labels)


def bare(one: RawSlice, number: int) -> RawSlice:
    """What a folder of pictures tells of a slice: no label, no patient, a number that means
    nothing.
    """
    return replace(one, slice_id=number, label=None, patient_id=None)


def pictures(slices: SliceSet, folder: Path, names: Sequence[int] | None = None) -> Path:
    """images/N.png and masks/N.png without an index, N not being the slice's number."""
    return write_pairs(
        replace(slices, slice_id=np.array(names or range(1, len(slices) + 1))), folder, index=False
    )


def with_others(folder: Path) -> Path:
    """All six known slices as 1 to 6, and three that nobody knows as 20, 23 and 26."""
    write_pairs(OTHERS, folder, index=False)
    for name in ("images", "masks"):
        for number, one in enumerate(iterate(WHOLE), start=1):
            array = one.image if name == "images" else one.mask
            Image.fromarray(array).save(folder / name / f"{number}.png")
    return folder


# The table


def test_the_shipped_table_is_the_whole_archive() -> None:
    """3064 slices of 233 patients: meningioma 708 / 82, glioma 1426 / 89, pituitary 930 / 62."""
    rows = registry.cheng_registry().values()
    assert sorted(one.slice_id for one in rows) == list(range(1, 3065))
    assert Counter(one.label for one in rows) == {1: 708, 2: 1426, 3: 930}
    patients = {
        label: {one.patient_id for one in rows if one.label == label} for label in (1, 2, 3)
    }
    assert {label: len(names) for label, names in patients.items()} == {1: 82, 2: 89, 3: 62}
    assert len(set().union(*patients.values())) == 233


def test_its_meningiomas_are_those_of_the_archive() -> None:
    rows = [one for one in registry.cheng_registry().values() if one.label == 1]
    assert {one.slice_id for one in rows} == PUBLISHED
    patients = Counter(one.patient_id for one in rows)
    assert (min(patients.values()), max(patients.values())) == (1, 21)
    assert sum(count == 1 for count in patients.values()) == 6


def test_the_constant_follows_the_definition_of_dataset_id() -> None:
    """sha256 over "number:mask_hash\\n" of the meningiomas in order of number, spelled out here a
    second time.
    """
    rows = sorted(
        (one.slice_id, digest)
        for digest, one in registry.cheng_registry().items()
        if one.label == 1
    )
    text = "".join(f"{number}:{digest}\n" for number, digest in rows)
    assert hashlib.sha256(text.encode()).hexdigest() == registry.CHENG_DATASET_ID
    assert registry.CHENG_DATASET_ID.startswith("6bc431b424f9")  # the folder of the shipped splits


def test_the_hash_of_a_mask_is_defined_by_its_size_and_bits() -> None:
    """A 2x8 mask with rows 00000001 and 10000000: one byte a row, highest bit first."""
    mask = np.zeros((2, 8), dtype=bool)
    mask[0, 7] = mask[1, 0] = True
    assert mask_hash(mask) == hashlib.sha256(b"2x8:\x01\x80").hexdigest()


# Recognition


def moved(
    array: NDArray[np.generic], rows: bool, columns: bool, transposed: bool
) -> NDArray[np.generic]:
    """One of the eight orientations, by mirrors alone."""
    array = array[::-1] if rows else array
    array = array[:, ::-1] if columns else array
    return array.T if transposed else array


@given(
    order=st.permutations(range(6)),
    moves=st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=6, max_size=6),
    value=st.sampled_from([1, 255]),
)
def test_known_masks_come_back_upright_under_their_own_number_label_and_patient(
    order: list[int], moves: list[tuple[bool, bool, bool]], value: int
) -> None:
    ones = list(iterate(WHOLE))
    raw = [
        replace(
            bare(ones[i], 100 + place),
            image=moved(ones[i].image, *moves[i]),
            mask=moved(ones[i].mask, *moves[i]).astype(np.uint8) * value,
        )
        for place, i in enumerate(order)
    ]
    back = recognised(raw)
    assert (back.fingerprint, back.dataset_id) == (WHOLE.fingerprint, WHOLE.dataset_id)
    assert (back.label.tolist(), back.patient_id) == (list(LABELS), WHOLE.patient_id)


@given(
    names=st.lists(st.integers(0, 4000), min_size=6, max_size=6, unique=True),
    form=st.sampled_from(["png", "tif"]),
)
@settings(max_examples=10, deadline=None)
def test_pictures_under_any_names_are_the_same_slices(
    tmp_path_factory: pytest.TempPathFactory, names: list[int], form: str
) -> None:
    """The commonest copy: all slices as images/N.png and masks/N.png, N of no meaning, no label and
    no patient.
    """
    named = replace(WHOLE, slice_id=np.array(names))
    folder = write_pairs(
        named, tmp_path_factory.mktemp("copy") / "set", index=False, suffix=f".{form}"
    )
    for labels in ((1,), (2,), None):
        back, whole = loaded(folder, labels), gather(iterate(WHOLE), labels=labels)
        assert (back.fingerprint, back.dataset_id) == (whole.fingerprint, whole.dataset_id)
        assert (back.label.tolist(), back.patient_id) == (whole.label.tolist(), whole.patient_id)


@pytest.mark.parametrize(
    "write", [pictures, write_pairs, write_nifti, write_kaggle, write_mats, write_zips]
)
def test_one_line_says_what_was_recognised_in_every_form(
    tmp_path: Path, known: None, write: type
) -> None:
    slices = (
        replace(WHOLE, images=WHOLE.images.astype(np.int16))
        if write in (write_mats, write_zips)
        else WHOLE
    )
    back = load(write(slices, tmp_path / "set"))
    assert (back.dataset_id, back.patient_id) == (MENINGIOMAS.dataset_id, MENINGIOMAS.patient_id)
    assert back.note == LINE
    assert load(tmp_path / "set", labels=[2, 3]).note == (
        "4 of 6 slices are Cheng's: 3 gliomas, 1 pituitary tumour; left out: 2 meningiomas, by --labels."
    )
    assert load(tmp_path / "set", labels=None).note == (
        "6 of 6 slices are Cheng's: 2 meningiomas, 3 gliomas, 1 pituitary tumour."
    )


def test_nothing_is_said_where_nothing_was_recognised_and_labels_are_there(tmp_path: Path) -> None:
    assert load(write_pairs(WHOLE, tmp_path / "set")).note == ""


def test_it_is_said_that_unknown_slices_without_a_label_are_taken_for_meningiomas(
    tmp_path: Path,
) -> None:
    back = load(pictures(WHOLE, tmp_path / "set"))
    assert set(back.label) == {1}
    assert set(back.patient_id) == {None}
    assert back.note == (
        "None of the 6 masks is of Cheng's dataset; slices without a label (6) are taken for meningiomas."
    )


def test_unknown_slices_keep_what_they_have() -> None:
    slices = replace(small_set(3, seed=1, shape=(96, 64)), patient_id=(None, "A", None))
    back = gather(registry.identify(iterate(slices)))
    assert (back.fingerprint, back.patient_id) == (slices.fingerprint, (None, "A", None))


def test_slices_that_are_left_out_are_not_kept_in_memory(known: None) -> None:
    """Of 6 slices 2 are kept; beside them no more are ever alive than the one in hand and the one
    before it.
    """
    images: list[weakref.ref[NDArray[np.generic]]] = []
    alive: list[int] = []

    def read() -> Iterator[RawSlice]:
        for one in iterate(WHOLE):
            image = one.image.copy()
            images.append(weakref.ref(image))
            alive.append(sum(ref() is not None for ref in images))
            yield replace(bare(one, one.slice_id), image=image)
            del image

    assert len(gather(registry.identify(read()))) == 2
    assert max(alive) <= 2 + 2


# Sizes


def with_small_ones(folder: Path) -> Path:
    """The six slices and, as 7.png and 8.png, two known pituitary slices of another size."""
    pictures(WHOLE, folder)
    for number in (7, 8):
        mask = small_ones()[number - 7].mask
        Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(
            folder / "images" / f"{number}.png"
        )
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return folder


def small_ones() -> list[RawSlice]:
    ones = iterate(small_set(2, shape=(64, 64), label=3))
    return [replace(one, slice_id=50 + i, patient_id="E") for i, one in enumerate(ones)]


def test_slices_of_another_size_do_not_hinder_the_labels_that_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive's fifteen slices of 256x256 are all pituitary."""
    small = {
        mask_hash(one.mask): registry.RegisteredSlice(one.slice_id, 3, "E") for one in small_ones()
    }
    monkeypatch.setattr(registry, "cheng_registry", lambda: {**KNOWN, **small})
    folder = with_small_ones(tmp_path / "set")
    assert load(folder).fingerprint == MENINGIOMAS.fingerprint
    assert load(folder, labels=[2]).fingerprint == GLIOMAS.fingerprint
    words = ("images/7.png, 8.png: 2 of 64x64", "one run needs one size", "choose labels", "resize")
    refused(folder, *words, "the other 6 of these 8 slices are 64x96", labels=None)
    for name in ("7", "8"):
        for part in ("images", "masks"):
            (folder / part / f"{name}.png").unlink()
    assert load(folder, labels=[3]).slice_id.tolist() == [17]


# What contradicts the table


@pytest.mark.parametrize("write", [write_pairs, write_nifti, write_kaggle, write_mats, write_zips])
def test_a_label_that_contradicts_the_table_is_refused(
    tmp_path: Path, known: None, write: type
) -> None:
    wrong = replace(WHOLE, images=WHOLE.images.astype(np.int16), label=np.array([1, 2, 2, 2, 2, 3]))
    if write is write_pairs:
        wrong = replace(wrong, images=WHOLE.images)
    folder = write(wrong, tmp_path / "set")
    refused(
        folder,
        "its label is 2 (glioma)",
        "slice 5 of Cheng's",
        "label is 1 (meningioma)",
        "correct",
        "index.csv",
    )


def test_an_empty_label_contradicts_nothing(tmp_path: Path, known: None) -> None:
    folder = pictures(WHOLE, tmp_path / "set")
    (folder / "index.csv").write_text("slice,label\n1,\n2,1\n3,\n4,\n5, \n6,3\n")
    assert load(folder).fingerprint == MENINGIOMAS.fingerprint


def named(*patients: str | None) -> list[RawSlice]:
    return [
        replace(one, patient_id=name) for one, name in zip(iterate(WHOLE), patients, strict=True)
    ]


def test_patients_that_are_renamed_throughout_keep_their_new_names() -> None:
    assert recognised(named("1", "2", "3", "3", "4", "5")).patient_id == (
        "1",
        "2",
        "3",
        "3",
        "4",
        "5",
    )
    assert recognised(named("B", "A", "3", "3", None, None)).patient_id == (
        "B",
        "A",
        "3",
        "3",
        "D",
        "E",
    )


@pytest.mark.parametrize(
    ("patients", "words"),
    [
        (
            (None, None, "x", "y", None, None),
            "slice 11: patient y.*Cheng's patient C, but slice 8: patient x",
        ),
        ((None, None, "x", None, None, None), "slice 11: patient C is .*but slice 8: patient x"),
        (
            ("x", "x", None, None, None, None),
            "slice 5: patient x is .*patient B, but slice 2: patient x is .*patient A",
        ),
        (
            ("B", None, None, None, None, None),
            "slice 5: patient B is .*patient B, but slice 2: patient B is .*patient A",
        ),
    ],
    ids=["one split in two", "one named in part", "two made one", "one named as another"],
)
def test_patients_that_are_grouped_otherwise_than_in_the_table_are_refused(
    patients: tuple[str | None, ...], words: str
) -> None:
    """Else slices of one patient could stand in two sets of a by-patient split."""
    with pytest.raises(DataError, match=f"{words}.*correct patient_id, or leave it empty"):
        recognised(named(*patients))


# Others beside them


def test_unknown_slices_without_a_label_beside_known_ones_are_refused(
    tmp_path: Path, known: None
) -> None:
    for labels in ((1,), (2,), None):
        folder = with_others(tmp_path / f"set{labels}")
        words = ("images/20.png", "3 of 9 slices", "beside 6", "index.csv", "remove")
        refused(folder, *words, labels=labels)


def test_unknown_slices_with_a_label_stand_beside_known_ones(tmp_path: Path, known: None) -> None:
    folder = with_others(tmp_path / "set")
    lines = [f"{number},,\n" for number in range(1, 7)] + ["20,1,mine\n", "23,2,\n", "26,1,mine\n"]
    (folder / "index.csv").write_text("slice,label,patient_id\n" + "".join(lines))
    back = load(folder)
    assert back.slice_id.tolist() == [2, 5, 20, 26]
    assert back.patient_id == ("A", "B", "mine", "mine")
    assert back.note == (
        "2 of 9 slices are Cheng's meningiomas; beside them 2 meningiomas from elsewhere; "
        "left out: 4 gliomas, 1 pituitary tumour, by --labels."
    )


def test_one_slice_under_two_names_is_refused(tmp_path: Path, known: None) -> None:
    folder = pictures(MENINGIOMAS, tmp_path / "set")
    for part in ("images", "masks"):
        (folder / part / "9.png").write_bytes((folder / part / "1.png").read_bytes())
    refused(folder, "slice 2 is there twice", "9.png", "1.png", "remove one")


def test_an_unknown_slice_with_the_number_of_a_known_one_is_refused(
    tmp_path: Path, known: None
) -> None:
    """Nothing is renumbered in silence: its number may stand in a split of the user's."""
    folder = pictures(MENINGIOMAS, tmp_path / "set", names=[1, 3])
    Image.fromarray(OTHERS.images[0]).save(folder / "images" / "5.png")
    Image.fromarray(OTHERS.masks[0]).save(folder / "masks" / "5.png")
    (folder / "index.csv").write_text("slice,label\n1,\n3,\n5,1\n")
    refused(
        folder,
        "slice 5 is there twice",
        "images/5.png",
        "images/3.png",
        "renumber one that is not Cheng's",
    )


# What the user sees


def test_each_verb_says_once_what_was_recognised(
    tmp_path: Path, known: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_index(WHOLE, folder := pictures(WHOLE, tmp_path / "set", names=WHOLE.slice_id.tolist()))
    assert main(["data", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == LINE
    assert main(["export", str(folder), str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.count(LINE) == 1
    load_slices(Request(str(folder)), say=None)
    assert capsys.readouterr().out == ""


def test_a_list_of_run_ids_holds_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A batch script reads it; `plan` for people begins with the line."""
    words = [
        "plan",
        "--data",
        str(pictures(small_set(12), tmp_path / "set")),
        "--out",
        str(tmp_path / "runs"),
    ]
    assert main([*words, "--format", "ids"]) == 0
    ids = capsys.readouterr().out.splitlines()
    assert len(ids) == 108
    assert not any(" " in run_id for run_id in ids)
    assert main(words) == 0
    assert (
        capsys.readouterr()
        .out.splitlines()[0]
        .startswith("None of the 12 masks is of Cheng's dataset")
    )


def test_slices_left_out_are_counted_where_no_mask_is_known_too() -> None:
    tally = registry.SourceCounts(labelled=Counter({2: 1}), unlabelled=3)
    assert tally.note([1]) == (
        "None of the 4 masks is of Cheng's dataset; slices without a label (3) are taken for meningiomas; "
        "left out: 1 glioma, by --labels."
    )
    assert tally.note([2]).endswith("left out: 3 meningiomas, by --labels.")
