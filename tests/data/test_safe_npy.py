"""Pickled arrays are read without trusting them: what a hostile file could hold."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_forms import objects, small_set
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data.safe_npy import read
from benchmark.errors import DataError, UnsafeDataError

IMAGES = list(small_set(5, dtype="int16").images)


def npy(payload: bytes, shape: tuple[int, ...] = (5,), descr: str = "|O") -> bytes:
    """A .npy file with a header of our choice."""
    fields = repr({"descr": descr, "fortran_order": False, "shape": shape})
    header = fields.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + payload


class Runs:
    """Pickles to a call of any function; with a state, it is then given that."""

    def __init__(self, function: Callable[..., Any], *args: Any, state: Any = None) -> None:
        self.reduced = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> Any:
        return self.reduced


def hostile(folder: Path, payload: bytes, **header: Any) -> str:
    """What the error says."""
    path = folder / "images.npy"
    path.write_bytes(npy(payload, **header))
    with pytest.raises(UnsafeDataError, match=r"images\.npy") as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_code_in_a_pickle_does_not_run(tmp_path: Path, protocol: int) -> None:
    """np.load(allow_pickle=True) would run it."""
    planted = tmp_path / "planted"
    bait = Runs(Path.touch, planted)
    opened = Runs(eval, f"open({str(planted)!r}, 'w')")
    for payload in (bait, np.array([bait, 1], dtype=object), [opened]):
        hostile(tmp_path, pickle.dumps(payload, protocol))
    assert not planted.exists()
    pickle.loads(pickle.dumps(bait))
    assert planted.exists()  # the bait works where it is trusted


@pytest.mark.parametrize(
    "function",
    [np.ndarray, np.dtype, np.empty, np.load, getattr, eval, object.__new__, bytearray],
    ids=lambda function: function.__name__,
)
def test_nothing_but_arrays_can_be_named(tmp_path: Path, function: Callable[..., Any]) -> None:
    """numpy.ndarray itself may be named, never called: ndarray((10**13,)) would be 10 terabytes."""
    hostile(tmp_path, pickle.dumps(Runs(function, (10**13,)), 4))


def test_object_array_built_from_raw_bytes(tmp_path: Path) -> None:
    """A dtype state without the list flag makes numpy take raw bytes for pointers."""
    reconstruct = np.array([1]).__reduce__()[0]
    state = (1, (5,), np.dtype(object), False, b"\x41" * 40)
    array = Runs(reconstruct, np.ndarray, (0,), b"b", state=state)
    assert "does not suit its dtype" in hostile(tmp_path, pickle.dumps(array, 4))
    hostile(tmp_path, pickle.dumps(Runs(np.dtype, "O8", False, True), 4))


def test_a_function_takes_no_state(tmp_path: Path) -> None:
    """The instructions name numpy.dtype, and give it None."""
    payload = b"\x80\x02cnumpy\ndtype\nNb."  # PROTO 2, GLOBAL, NONE, BUILD, STOP
    assert "a function a state" in hostile(tmp_path, payload)


TERABYTES = (10**13).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"\x80\x04\x8e" + TERABYTES, "asks for 10000000000000 bytes"),  # BINBYTES8
        (b"\x80\x04\x95" + TERABYTES, "asks for 10000000000000 bytes"),  # FRAME
        (b"\x80\x05\x96" + TERABYTES, "instruction 150"),  # BYTEARRAY8
        (b"\x80\x04}.", "instruction 125"),  # EMPTY_DICT
        (b"\x80\x02\x82\x01.", "instruction 130"),  # EXT1: looks up a registry of this process
        (b"Pid\n.", "instruction 80"),  # PERSID
        (b"\x80\x04].", "a list where an array belongs"),
        (b"\x80\x04K\x01.", "a int where an array belongs"),
    ],
)
def test_other_instructions_are_refused(tmp_path: Path, payload: bytes, words: str) -> None:
    assert words in hostile(tmp_path, payload)


@pytest.mark.parametrize("descr", ["<i2", "|u1", "<f8"])
def test_header_that_promises_terabytes(tmp_path: Path, descr: str) -> None:
    assert "but 4 follow" in hostile(tmp_path, b"1234", shape=(10**6, 4096, 4096), descr=descr)


def test_object_header_that_disagrees_with_its_pickle(tmp_path: Path) -> None:
    hostile(tmp_path, pickle.dumps(objects(IMAGES), 4), shape=(10**12,))


def test_old_pickles_of_numpy_1_and_no_other_version_of_npy(tmp_path: Path) -> None:
    """Files of numpy 1 name numpy.core, in protocol 3; those of numpy 2 name numpy._core."""
    path = tmp_path / "a.npy"
    payload = pickle.dumps(objects(IMAGES), 3)
    path.write_bytes(npy(payload.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")))
    assert np.array_equal(list(read(path)), IMAGES)
    path.write_bytes(b"\x93NUMPY\x09\x00" + bytes(100))
    with pytest.raises(DataError, match="version"):
        read(path)


@given(
    dtype=st.sampled_from(["i1", "<i2", ">i2", "u2", "<f4", "?"]),
    rows=st.integers(0, 3),
    columns=st.integers(0, 4),
    order=st.sampled_from("CF"),
)
@settings(max_examples=20, deadline=None)
def test_what_numpy_saves_comes_back(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, rows: int, columns: int, order: Any
) -> None:
    """Law: reading equals numpy's own trusting reader, on files that numpy wrote."""
    array = np.arange(rows * columns).reshape(rows, columns).astype(dtype, order=order)
    path = tmp_path_factory.mktemp("npy") / "a.npy"
    for saved in (array, objects([array, array.T, array])):
        np.save(path, saved, allow_pickle=True)
        trusting, ours = np.load(path, allow_pickle=True), read(path)
        assert (ours.shape, ours.dtype) == (trusting.shape, trusting.dtype)
        for a, b in zip(ours, trusting, strict=True):
            assert a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=")
            assert np.array_equal(a, b)
