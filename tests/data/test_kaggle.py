"""The Kaggle copy: pickled object arrays without slice numbers, read without trusting them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_forms import damaged, loads_or_refuses, objects, refused, small_set, write_kaggle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.data import kaggle, load, registry, safe_npy
from benchmark.data.slices import SliceSet, gather
from benchmark.errors import DataError, UnsafeDataError

SLICES = small_set(5, dtype="int16")


def known_load(folder: Path, known: registry.Registry) -> SliceSet:
    """What `load` does, with a table that knows the drawn slices."""
    return gather(registry.identify(kaggle.read(folder), known))


@pytest.mark.parametrize("pickled", [True, False])
@given(order=st.permutations(range(5)))
@settings(max_examples=8, deadline=None)
def test_a_shuffled_triple_loads_to_the_same_slices(
    tmp_path_factory: pytest.TempPathFactory, pickled: bool, order: list[int]
) -> None:
    """Law: "a shuffled Kaggle triple loads to the same SliceSet" with the dataset_id of every other
    form.
    """
    folder = write_kaggle(
        SLICES, tmp_path_factory.mktemp("kaggle") / "set", order=order, pickled=pickled
    )
    back = known_load(folder, registry.registry_of(SLICES))
    assert (back.dataset_id, back.fingerprint) == (SLICES.dataset_id, SLICES.fingerprint)
    assert back.patient_id == SLICES.patient_id


def test_unknown_slices_get_numbers_that_do_not_depend_on_the_order(tmp_path: Path) -> None:
    one = load(write_kaggle(SLICES, tmp_path / "a"))
    two = load(write_kaggle(SLICES, tmp_path / "b", order=[3, 1, 4, 0, 2]))
    assert one.fingerprint == two.fingerprint
    assert set(one.patient_id) == {None}


def test_unknown_slices_are_told_apart_by_image_mask_and_sides(tmp_path: Path) -> None:
    """Two slices of one patient can share an image or a mask; each has a number of its own."""
    image, mask = SLICES.images[0], SLICES.masks[0]
    turned = image.reshape(96, 64), mask.reshape(96, 64)  # the same bytes
    rows = [
        (image, mask),
        (SLICES.images[1], mask),
        (image, SLICES.masks[1]),
        (turned[0], mask),
        turned,
    ]
    images, masks = zip(*rows, strict=True)
    for name, content in (
        ("images", objects(images)),
        ("masks", objects(masks)),
        ("labels", np.ones(len(rows))),
    ):
        np.save(tmp_path / f"{name}.npy", content, allow_pickle=True)
    numbers = [one.slice_id for one in kaggle.read(tmp_path)]
    assert len(set(numbers)) == len(rows)
    assert min(numbers) >= kaggle.FIRST_UNKNOWN


def test_ragged_rows_load_where_only_the_even_ones_are_chosen(tmp_path: Path) -> None:
    """images.npy is ragged "because of the 256x256 ones"; they are all pituitary."""
    folder = write_kaggle(SLICES, tmp_path / "set")
    images, masks = list(SLICES.images), list(SLICES.masks)
    images[1], masks[1] = images[1][:32, :32], masks[1][:32, :32]
    np.save(folder / "images.npy", objects(images), allow_pickle=True)
    np.save(folder / "masks.npy", objects(masks), allow_pickle=True)
    np.save(folder / "labels.npy", np.array([1, 3, 1, 1, 1]))
    assert len(load(folder)) == 4
    refused(folder, "row", "32x32", labels=None)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([1, 1, 1, 1, 1], dtype=object),
        np.array([np.int64(1)] * 5, dtype=object),
        objects(
            [
                np.array(1),
                np.array([1]),
                np.array([[1.0]]),
                np.array(1, np.uint8),
                np.array(1, ">i4"),
            ]
        ),
        np.ones((5, 1), np.uint8),
        np.ones(5),
    ],
)
def test_labels_of_any_plain_kind(tmp_path: Path, labels: Any) -> None:
    folder = write_kaggle(SLICES, tmp_path / "set")
    np.save(folder / "labels.npy", labels, allow_pickle=True)
    assert len(load(folder)) == 5


@pytest.mark.parametrize("name", kaggle.NAMES)
def test_a_missing_file_of_the_three_is_named(tmp_path: Path, name: str) -> None:
    folder = write_kaggle(SLICES, tmp_path / "set")
    (folder / name).unlink()
    refused(folder, name, "not there", "side by side")


def test_files_of_different_lengths_are_refused(tmp_path: Path) -> None:
    folder = write_kaggle(SLICES, tmp_path / "set")
    np.save(folder / "labels.npy", np.ones(4))
    refused(folder, "images.npy 5, masks.npy 5, labels.npy 4")


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("labels", np.array([1, 1, 9, 1, 1]), "label 9 is unknown"),
        ("labels", np.array([1, 1, 1.5, 1, 1]), "row 2: label"),
        ("labels", np.array([1, 1, np.nan, 1, 1]), "row 2: label"),
        ("labels", np.array(["a"] * 5), "not numbers"),
        ("masks", objects([*list(SLICES.masks[:4]), SLICES.masks[4] * 0]), "row 4: mask is empty"),
        ("masks", objects([m * np.arange(96) for m in SLICES.masks]), "row 0: mask holds"),
        ("masks", SLICES.masks.astype(np.float32), "mask dtype float32"),
        ("masks", SLICES.masks[:, :32], "64x96 but its mask is 32x96"),
        ("images", SLICES.images.astype(float), "image dtype float64"),
        ("images", SLICES.images[..., None], "row 0: shape (64, 96, 1)"),
    ],
)
def test_a_row_that_breaks_a_rule_is_named(
    tmp_path: Path, name: str, array: Any, words: str
) -> None:
    folder = write_kaggle(SLICES, tmp_path / "set")
    np.save(folder / f"{name}.npy", array, allow_pickle=True)
    refused(folder, words)


def test_the_same_row_twice_is_refused(tmp_path: Path) -> None:
    refused(
        write_kaggle(SLICES, tmp_path / "set", order=[0, 1, 1]), "row 2", "there twice", "row 1"
    )


# What a hostile file could hold


def npy(payload: bytes, shape: tuple[int, ...] = (5,), descr: str = "|O") -> bytes:
    """A .npy file with a header of our choice."""
    header = (
        repr({"descr": descr, "fortran_order": False, "shape": shape}).ljust(117).encode() + b"\n"
    )
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + payload


class Runs:
    """Pickles to a call of any function."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> Any:
        return self.call


def hostile(folder: Path, payload: bytes, **header: Any) -> pytest.ExceptionInfo[UnsafeDataError]:
    write_kaggle(SLICES, folder)
    (folder / "images.npy").write_bytes(npy(payload, **header))
    with pytest.raises(UnsafeDataError) as caught:
        load(folder)
    assert "images.npy" in str(caught.value)
    return caught


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_code_in_a_pickle_does_not_run(tmp_path: Path, protocol: int) -> None:
    """np.load(allow_pickle=True) would run it."""
    planted = tmp_path / "planted"
    wrapped = np.array([Runs(Path.touch, planted), 1], dtype=object)
    for i, payload in enumerate(
        (Runs(Path.touch, planted), wrapped, [Runs(eval, f"open({str(planted)!r}, 'w')")])
    ):
        hostile(tmp_path / f"set{i}", pickle.dumps(payload, protocol))
    assert not planted.exists()
    pickle.loads(pickle.dumps(Runs(Path.touch, planted)))
    assert planted.exists()  # the bait works where it is trusted


@pytest.mark.parametrize(
    "function",
    [np.ndarray, np.dtype, np.empty, np.load, getattr, eval, object.__new__, bytearray],
    ids=lambda one: one.__name__,
)
def test_nothing_but_numpy_arrays_can_be_named(
    tmp_path: Path, function: Callable[..., Any]
) -> None:
    """Even numpy.ndarray may only be named, never called: ndarray((10**13,)) would be ten
    terabytes.
    """
    hostile(tmp_path / "set", pickle.dumps(Runs(function, (10**13,)), 4))


def test_object_array_built_from_raw_bytes(tmp_path: Path) -> None:
    """A dtype state without the list flag makes numpy take raw bytes for pointers; here no state
    reaches numpy.
    """
    dtype = Runs(np.dtype, "O8", False, True)
    state = (1, (5,), np.dtype(object), False, b"\x41" * 40)
    reconstruct = np.array([1]).__reduce__()[0]
    array = type(
        "A", (), {"__reduce__": lambda self: (reconstruct, (np.ndarray, (0,), b"b"), state)}
    )()
    caught = hostile(tmp_path / "set", pickle.dumps(array, 4))
    assert "does not suit its dtype" in str(caught.value)
    hostile(tmp_path / "bare", pickle.dumps(dtype, 4))


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (
            b"\x80\x04\x8e" + (10**13).to_bytes(8, "little"),
            "asks for 10000000000000 bytes",
        ),  # BINBYTES8
        (
            b"\x80\x04\x95" + (10**13).to_bytes(8, "little"),
            "asks for 10000000000000 bytes",
        ),  # FRAME
        (b"\x80\x05\x96" + (10**13).to_bytes(8, "little"), "instruction 150"),  # BYTEARRAY8
        (b"\x80\x04}.", "instruction 125"),  # EMPTY_DICT
        (
            b"\x80\x02\x82\x01.",
            "instruction 130",
        ),  # EXT1, which looks up a registry of this process
        (b"Pid\n.", "instruction 80"),  # PERSID
        (b"\x80\x04].", "a list where an array belongs"),
        (b"\x80\x04K\x01.", "a int where an array belongs"),
    ],
)
def test_instructions_that_no_array_needs_are_refused(
    tmp_path: Path, payload: bytes, words: str
) -> None:
    assert words in str(hostile(tmp_path / "set", payload).value)


@pytest.mark.parametrize("descr", ["<i2", "|u1", "<f8"])
def test_header_that_promises_terabytes(tmp_path: Path, descr: str) -> None:
    caught = hostile(tmp_path / "set", b"1234", shape=(10**6, 4096, 4096), descr=descr)
    assert "but 4 follow" in str(caught.value)


def test_object_header_that_disagrees_with_its_pickle(tmp_path: Path) -> None:
    hostile(tmp_path / "set", pickle.dumps(objects(list(SLICES.images)), 4), shape=(10**12,))


def test_old_pickles_of_numpy_1(tmp_path: Path) -> None:
    """Files of numpy 1 name numpy.core, written with protocol 3; those of numpy 2 name
    numpy._core.
    """
    path = tmp_path / "a.npy"
    payload = pickle.dumps(objects(list(SLICES.images)), 3).replace(
        b"numpy._core.multiarray", b"numpy.core.multiarray"
    )
    path.write_bytes(npy(payload))
    assert (np.stack(list(safe_npy.read(path))) == SLICES.images).all()


@given(
    array=st.sampled_from(["i1", "<i2", ">i2", "u2", "<f4", "?"]).flatmap(
        lambda dtype: st.tuples(st.just(dtype), st.integers(0, 3), st.integers(0, 4), st.booleans())
    )
)
@settings(max_examples=20, deadline=None)
def test_what_numpy_saves_comes_back(
    tmp_path_factory: pytest.TempPathFactory, array: tuple[str, int, int, bool]
) -> None:
    """Law: reading equals numpy's own trusting reader, on files that numpy wrote."""
    dtype, rows, columns, fortran = array
    one = (
        np.arange(rows * columns)
        .reshape(rows, columns)
        .astype(dtype, order="F" if fortran else "C")
    )
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    for value in (one, objects([one, one.T, one])):
        np.save(path, value, allow_pickle=True)
        trusting, ours = np.load(path, allow_pickle=True), safe_npy.read(path)
        assert (ours.shape, ours.dtype) == (trusting.shape, trusting.dtype)
        for a, b in zip(ours, trusting, strict=True):
            assert a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=")
            assert np.array_equal(a, b)


@pytest.mark.parametrize("pickled", [True, False])
@pytest.mark.parametrize("header", [(0, 128), (128, 500)], ids=["header", "content"])
@given(data=st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_files_give_one_clear_error_or_valid_slices(
    tmp_path: Path, pickled: bool, header: tuple[int, int], data: st.DataObject
) -> None:
    folder = tmp_path / "set"
    if not folder.exists():
        write_kaggle(small_set(1, dtype="int16", shape=(64, 64)), folder, pickled=pickled)
        (tmp_path / "whole").write_bytes((folder / "images.npy").read_bytes())
    (folder / "images.npy").write_bytes(
        data.draw(damaged((tmp_path / "whole").read_bytes(), header))
    )
    loads_or_refuses(folder)


def test_data_error_for_other_versions_of_npy(tmp_path: Path) -> None:
    folder = write_kaggle(SLICES, tmp_path / "set")
    (folder / "images.npy").write_bytes(b"\x93NUMPY\x09\x00" + bytes(100))
    with pytest.raises(DataError, match="version"):
        load(folder)
