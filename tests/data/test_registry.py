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
from data_forms import WRITERS, refused, registry_of, small_set, unlisted_pairs, write_pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmark.__main__ import main
from benchmark.data import load, registry
from benchmark.data.slices import RawSlice, SliceSet, gather, iterate, mask_hash
from benchmark.errors import DataError
from benchmark.planning.request import Request, load_slices

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
# of the archive's meningiomas
PUBLISHED = {*range(1, 59), *range(60, 209), *range(211, 709), 3030, 3063, 3064}
LABELS = (1, 1, 2, 2, 2, 3)
WHOLE = replace(small_set(6), label=np.array(LABELS), patient_id=("A", "B", "C", "C", "D", "E"))
DEEP = replace(WHOLE, images=WHOLE.images.astype(np.int16))
KNOWN = registry_of(WHOLE)
MENINGIOMAS, GLIOMAS = (gather(iterate(WHOLE), labels=[label]) for label in (1, 2))
LEFT_OUT = "left out: 3 gliomas, 1 pituitary tumour, by --labels."
LINE = f"2 of 6 slices are Cheng's meningiomas; {LEFT_OUT}"
OTHERS = list(iterate(small_set(9)))[6:]  # 20, 23 and 26: their masks are not in KNOWN
WRITE = {**WRITERS, "unlisted": unlisted_pairs}


def written(name: str, slices: SliceSet, folder: Path) -> Path:
    """A folder in one of the forms; pictures hold no int16."""
    picture = name in ("pairs", "unlisted")
    return WRITE[name](replace(slices, images=(WHOLE if picture else DEEP).images), folder)


@pytest.fixture
def known(monkeypatch: Patch) -> None:
    """The registry of the small slices in place of the shipped one."""
    monkeypatch.setattr(registry, "cheng_registry", lambda: KNOWN)


def recognised(raw: Sequence[RawSlice]) -> SliceSet:
    return gather(registry.identify(raw, KNOWN), labels=None)


def bare(raw: RawSlice, number: int) -> RawSlice:
    """What a folder of pictures tells of a slice: a number that means nothing, and no more."""
    return replace(raw, slice_id=number, label=None, patient_id=None)


def pictures(slices: SliceSet, folder: Path, names: Sequence[int] | None = None) -> Path:
    """images/N.png and masks/N.png without an index, N not being the slice's number."""
    numbers = np.array(names or range(1, len(slices) + 1))
    return unlisted_pairs(replace(slices, slice_id=numbers), folder)


def add(raw: RawSlice, folder: Path, number: int | None = None) -> None:
    """Another picture and its mask, in a folder of them."""
    for name, array in (("images", raw.image), ("masks", raw.mask)):
        Image.fromarray(array).save(folder / name / f"{number or raw.slice_id}.png")


def with_others(folder: Path) -> Path:
    """All six known slices as 1 to 6, and three that nobody knows as 20, 23 and 26."""
    pictures(WHOLE, folder)
    for raw in OTHERS:
        add(raw, folder)
    return folder


# The registry


def test_the_shipped_registry_is_the_whole_archive() -> None:
    """3064 slices of 233 patients: meningioma 708 / 82, glioma 1426 / 89, pituitary 930 / 62."""
    rows = registry.cheng_registry().values()
    assert sorted(row.slice_id for row in rows) == list(range(1, 3065))
    assert Counter(row.label for row in rows) == {1: 708, 2: 1426, 3: 930}
    patients = {(row.label, row.patient_id) for row in rows}
    assert Counter(label for label, _ in patients) == {1: 82, 2: 89, 3: 62}
    assert len({row.patient_id for row in rows}) == 233
    meningiomas = [row for row in rows if row.label == 1]
    assert {row.slice_id for row in meningiomas} == PUBLISHED
    counts = Counter(row.patient_id for row in meningiomas).values()
    assert (min(counts), max(counts), list(counts).count(1)) == (1, 21, 6)


def test_the_constant_follows_the_definition_of_dataset_id() -> None:
    """sha256 over "number:mask_hash\\n" of the meningiomas in order of number, a second time."""
    rows = registry.cheng_registry().items()
    hashes = sorted((row.slice_id, digest) for digest, row in rows if row.label == 1)
    text = "".join(f"{number}:{digest}\n" for number, digest in hashes)
    assert hashlib.sha256(text.encode()).hexdigest() == registry.CHENG_DATASET_ID
    assert registry.CHENG_DATASET_ID.startswith("6bc431b424f9")  # the folder of the shipped splits


def test_the_hash_of_a_mask_is_defined_by_its_size_and_bits() -> None:
    """A 2x8 mask with rows 00000001 and 10000000: one byte a row, highest bit first."""
    mask = np.zeros((2, 8), dtype=bool)
    mask[0, 7] = mask[1, 0] = True
    assert mask_hash(mask) == hashlib.sha256(b"2x8:\x01\x80").hexdigest()


# Recognition


def moved(array: NDArray[np.generic], rows: bool, columns: bool, transposed: bool) -> NDArray:
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
    slices = list(iterate(WHOLE))
    shuffled = [(bare(slices[i], 100 + place), moves[i]) for place, i in enumerate(order)]
    turned = [
        replace(raw, image=moved(raw.image, *how), mask=moved(raw.mask, *how) * np.uint8(value))
        for raw, how in shuffled
    ]
    back = recognised(turned)
    assert (back.fingerprint, back.dataset_id) == (WHOLE.fingerprint, WHOLE.dataset_id)
    assert (back.label.tolist(), back.patient_id) == (list(LABELS), WHOLE.patient_id)


@given(
    names=st.lists(st.integers(0, 4000), min_size=6, max_size=6, unique=True),
    suffix=st.sampled_from([".png", ".tif"]),
)
@settings(max_examples=10, deadline=None)
def test_pictures_under_any_names_are_the_same_slices(
    tmp_path_factory: pytest.TempPathFactory, names: list[int], suffix: str
) -> None:
    """The commonest copy: images/N.png and masks/N.png, N of no meaning, no label, no patient."""
    folder = tmp_path_factory.mktemp("copy") / "set"
    unlisted_pairs(replace(WHOLE, slice_id=np.array(names)), folder, suffix=suffix)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "cheng_registry", lambda: KNOWN)
        for labels in ((1,), (2,), None):
            back, whole = load(folder, labels=labels), gather(iterate(WHOLE), labels=labels)
            assert (back.fingerprint, back.dataset_id) == (whole.fingerprint, whole.dataset_id)
            assert back.label.tolist() == whole.label.tolist()
            assert back.patient_id == whole.patient_id


@pytest.mark.parametrize("name", WRITE)
def test_one_line_says_what_was_recognised(tmp_path: Path, known: None, name: str) -> None:
    folder = written(name, WHOLE, tmp_path / "set")
    back = load(folder)
    assert (back.dataset_id, back.patient_id) == (MENINGIOMAS.dataset_id, MENINGIOMAS.patient_id)
    assert back.note == LINE
    assert load(folder, labels=[2, 3]).note == (
        "4 of 6 slices are Cheng's: 3 gliomas, 1 pituitary tumour; "
        "left out: 2 meningiomas, by --labels."
    )
    assert load(folder, labels=None).note == (
        "6 of 6 slices are Cheng's: 2 meningiomas, 3 gliomas, 1 pituitary tumour."
    )


def test_it_is_said_what_unknown_slices_are_taken_for(tmp_path: Path) -> None:
    assert load(write_pairs(WHOLE, tmp_path / "labelled")).note == ""
    back = load(pictures(WHOLE, tmp_path / "set"))
    assert (set(back.label), set(back.patient_id)) == ({1}, {None})
    taken = "is of Cheng's dataset; slices without a label ({}) are taken for meningiomas"
    assert back.note == f"None of the 6 masks {taken.format(6)}."
    counts = registry.SourceCounts(labelled=Counter({2: 1}), unlabelled=3)
    left_out = "left out: 1 glioma, by --labels."
    assert counts.note([1]) == f"None of the 4 masks {taken.format(3)}; {left_out}"
    assert counts.note([2]).endswith("left out: 3 meningiomas, by --labels.")


def test_unknown_slices_keep_what_they_have() -> None:
    slices = replace(small_set(3, seed=1, shape=(96, 64)), patient_id=(None, "A", None))
    back = gather(registry.identify(iterate(slices)))
    assert (back.fingerprint, back.patient_id) == (slices.fingerprint, (None, "A", None))


def test_slices_that_are_left_out_are_not_kept_in_memory(known: None) -> None:
    """Of 6 slices 2 are kept; beside them only the one in hand and the one before it are alive."""
    images: list[weakref.ref[NDArray[np.generic]]] = []
    alive: list[int] = []

    def read() -> Iterator[RawSlice]:
        for raw in iterate(WHOLE):
            image = raw.image.copy()
            images.append(weakref.ref(image))
            alive.append(sum(ref() is not None for ref in images))
            yield replace(bare(raw, raw.slice_id), image=image)
            del image

    assert len(gather(registry.identify(read()))) == 2
    assert max(alive) <= 2 + 2


def test_another_size_hinders_only_the_labels_that_have_it(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    """The archive's fifteen slices of 256x256 are all pituitary."""
    numbered = enumerate(iterate(small_set(2, shape=(64, 64), label=3)), start=7 + 43)
    small = [replace(raw, slice_id=number, patient_id="E") for number, raw in numbered]
    rows = {mask_hash(raw.mask): registry.RegisteredSlice(raw.slice_id, 3, "E") for raw in small}
    monkeypatch.setattr(registry, "cheng_registry", lambda: {**KNOWN, **rows})
    folder = pictures(WHOLE, tmp_path / "set")
    for raw in small:
        add(raw, folder, raw.slice_id - 43)
    assert load(folder).fingerprint == MENINGIOMAS.fingerprint
    assert load(folder, labels=[2]).fingerprint == GLIOMAS.fingerprint
    words = ("images/7.png, 8.png: 2 of 64x64", "one run needs one size", "choose labels", "resize")
    refused(folder, *words, "the other 6 of these 8 slices are 64x96", labels=None)
    for path in [*folder.rglob("7.png"), *folder.rglob("8.png")]:
        path.unlink()
    assert load(folder, labels=[3]).slice_id.tolist() == [17]


# What contradicts the registry


@pytest.mark.parametrize("name", WRITERS)
def test_a_label_that_the_registry_denies_is_refused(
    tmp_path: Path, known: None, name: str
) -> None:
    wrong = replace(WHOLE, label=np.array([1, 2, 2, 2, 2, 3]))
    words = ("its label is 2 (glioma)", "slice 5 of Cheng's", "label is 1 (meningioma)")
    refused(written(name, wrong, tmp_path / "set"), *words, "correct", "index.csv")


def test_an_empty_label_contradicts_nothing(tmp_path: Path, known: None) -> None:
    folder = pictures(WHOLE, tmp_path / "set")
    (folder / "index.csv").write_text("slice,label\n1,\n2,1\n3,\n4,\n5, \n6,3\n")
    assert load(folder).fingerprint == MENINGIOMAS.fingerprint


def named(*patients: str | None) -> list[RawSlice]:
    """The six slices, their patients named so; "." is for None."""
    pairs = zip(iterate(WHOLE), patients, strict=True)
    return [replace(raw, patient_id=None if name == "." else name) for raw, name in pairs]


def test_patients_that_are_renamed_throughout_keep_their_new_names() -> None:
    assert recognised(named(*"123345")).patient_id == tuple("123345")
    assert recognised(named(*"BA33..")).patient_id == tuple("BA33DE")


@pytest.mark.parametrize(
    ("patients", "words"),
    [
        ("..xy..", "slice 11: patient y.*Cheng's patient C, but slice 8: patient x"),
        ("..x...", "slice 11: patient C is .*but slice 8: patient x"),
        ("xx....", "slice 5: patient x is .*patient B, but slice 2: patient x is .*patient A"),
        ("B.....", "slice 5: patient B is .*patient B, but slice 2: patient B is .*patient A"),
    ],
    ids=["one split in two", "one named in part", "two made one", "one named as another"],
)
def test_patients_grouped_otherwise_than_there_are_refused(patients: str, words: str) -> None:
    """Else slices of one patient could stand in two sets of a by-patient split."""
    with pytest.raises(DataError, match=f"{words}.*correct patient_id, or leave it empty"):
        recognised(named(*patients))


# Others beside them


@pytest.mark.parametrize("labels", [(1,), (2,), None])
def test_unknown_slices_without_a_label_beside_known_ones_are_refused(
    tmp_path: Path, known: None, labels: tuple[int, ...] | None
) -> None:
    words = ("images/20.png", "3 of 9 slices", "beside 6", "index.csv", "remove")
    refused(with_others(tmp_path / "set"), *words, labels=labels)


def test_unknown_slices_with_a_label_stand_beside_known_ones(tmp_path: Path, known: None) -> None:
    folder = with_others(tmp_path / "set")
    lines = [f"{number},," for number in range(1, 7)] + ["20,1,mine", "23,2,", "26,1,mine"]
    (folder / "index.csv").write_text("\n".join(["slice,label,patient_id", *lines]))
    back = load(folder)
    assert back.slice_id.tolist() == [2, 5, 20, 26]
    assert back.patient_id == ("A", "B", "mine", "mine")
    assert back.note == (
        "2 of 9 slices are Cheng's meningiomas; beside them 2 meningiomas from elsewhere; "
        "left out: 4 gliomas, 1 pituitary tumour, by --labels."
    )


def test_two_slices_of_one_number_are_refused(tmp_path: Path, known: None) -> None:
    """One slice under two names, or an unknown one with the number of a known one.

    Nothing is renumbered in silence: its number may stand in a split of the user's.
    """
    folder = pictures(MENINGIOMAS, tmp_path / "set")
    add(next(iterate(MENINGIOMAS)), folder, 9)
    refused(folder, "slice 2 is there twice", "9.png", "1.png", "remove one")
    folder = pictures(MENINGIOMAS, tmp_path / "other", names=[1, 3])
    add(OTHERS[0], folder, 5)
    (folder / "index.csv").write_text("slice,label\n1,\n3,\n5,1\n")
    words = ("slice 5 is there twice", "images/5.png", "images/3.png")
    refused(folder, *words, "renumber one that is not Cheng's")


# What the user sees


def test_each_verb_says_it_once(tmp_path: Path, known: None, capsys: Capture) -> None:
    folder = write_pairs(WHOLE, tmp_path / "set")
    assert main(["data", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == LINE
    assert main(["export", str(folder), str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.count(LINE) == 1
    load_slices(Request(str(folder)), say=None)
    assert capsys.readouterr().out == ""


def test_a_list_of_run_ids_holds_nothing_else(tmp_path: Path, capsys: Capture) -> None:
    """A batch script reads it; `plan` for people begins with the line."""
    folder, out = pictures(small_set(12), tmp_path / "set"), tmp_path / "runs"
    words = ["plan", "--data", str(folder), "--out", str(out)]
    assert main([*words, "--format", "ids"]) == 0
    ids = capsys.readouterr().out.splitlines()
    assert len(ids) == 108
    assert not any(" " in run_id for run_id in ids)
    assert main(words) == 0
    line = "None of the 12 masks is of Cheng's dataset"
    assert capsys.readouterr().out.splitlines()[0].startswith(line)
