"""Small slices, writers of every file form of them, and what all forms promise."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmark.data import load, nifti
from benchmark.data.registry import RegisteredSlice, Registry
from benchmark.data.slices import RawSlice, SliceSet, gather, iterate, mask_hash
from benchmark.errors import BenchmarkError, DataError

in_one_folder = settings(  # of laws whose examples share the files of the first
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def small_set(
    n: int = 3, *, seed: int = 0, dtype: str = "uint8", shape: tuple[int, int] = (64, 96),
    label: int = 1,
) -> SliceSet:  # fmt: skip
    """n slices of one shape with distinct, asymmetric masks: 2, 5, 8, ... in patients of two."""
    rng = np.random.default_rng(seed)
    top = {"uint8": 256, "int16": 3000, "uint16": 65536}[dtype]

    def raw(i: int) -> RawSlice:
        mask = np.zeros(shape, dtype=bool)
        mask[3 + i : 20 + 2 * i, 5 : 30 + i] = True
        mask[3 + i, 5] = False
        image = rng.integers(0, top, shape).astype(dtype)
        return RawSlice(2 + 3 * i, label, image, mask, f"made {i}", f"MR{i // 2:03d}A")

    return gather([raw(i) for i in range(n)], labels=None)


def write_pairs(
    slices: SliceSet, folder: Path, *, index: bool = True, suffix: str = ".png"
) -> Path:
    for name, arrays in (("images", slices.images), ("masks", slices.masks.astype(np.uint8) * 255)):
        (folder / name).mkdir(parents=True)
        for number, array in zip(slices.slice_id, arrays, strict=True):
            Image.fromarray(array).save(folder / name / f"{number}{suffix}", lossless=True)
    if index:
        write_index(slices, folder)
    return folder


def write_index(slices: SliceSet, folder: Path) -> None:
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as text:
        rows = zip(slices.slice_id, slices.label, slices.patient_id, strict=True)
        csv.writer(text).writerows([("slice", "label", "patient_id"), *rows])


def mat_bytes(raw: RawSlice, **replaced: Any) -> bytes:
    """One N.mat as the archive has it: HDF5 behind 512 bytes of MATLAB, arrays transposed.

    None drops a field.
    """
    fields = {
        "image": raw.image.T,
        "label": np.array([[float(raw.label)]]),
        "PID": np.array([[ord(c)] for c in raw.patient_id or "0"], dtype=np.uint16),
        "tumorBorder": np.zeros((1, 4)),
        "tumorMask": raw.mask.T.astype(np.uint8),
        **replaced,
    }
    stream = BytesIO()
    with h5py.File(stream, "w", userblock_size=512) as file:
        group = file.create_group("cjdata")
        for name, value in fields.items():
            if value is not None:
                group[name] = value
    return b"MATLAB 7.3 MAT-file".ljust(512) + stream.getvalue()[512:]


def write_mats(slices: SliceSet, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for raw in iterate(slices):
        (folder / f"{raw.slice_id}.mat").write_bytes(mat_bytes(raw))
    return folder


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_zips(slices: SliceSet, folder: Path) -> Path:
    """Two archives, as the four of figshare."""
    mats = list(iterate(slices))
    for part in filter(None, (mats[::2], mats[1::2])):
        name = f"brainTumorDataPublic_{part[0].slice_id}-{part[-1].slice_id}.zip"
        write_zip(folder / name, {f"{raw.slice_id}.mat": mat_bytes(raw) for raw in part})
    return folder


def objects(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """A ragged array: 1-D, dtype object."""
    ragged = np.empty(len(arrays), dtype=object)
    ragged[:] = [np.array(array) for array in arrays]
    return ragged


def write_kaggle(
    slices: SliceSet, folder: Path, *, order: Sequence[int] | None = None, pickled: bool = True
) -> Path:
    folder.mkdir(parents=True)
    rows = list(range(len(slices)) if order is None else order)
    for name, arrays in (("images", slices.images[rows]), ("masks", slices.masks[rows])):
        saved = objects(list(arrays)) if pickled else arrays
        np.save(folder / f"{name}.npy", saved, allow_pickle=pickled)
    np.save(folder / "labels.npy", slices.label[rows])
    return folder


def write_nifti(slices: SliceSet, folder: Path) -> Path:
    nifti.export(slices, folder)
    return folder


def registry_of(slices: SliceSet) -> Registry:
    """Register upright slices whose numbers, labels and patients are trusted."""
    names = (RegisteredSlice(raw.slice_id, raw.label, raw.patient_id) for raw in iterate(slices))
    return dict(zip(map(mask_hash, slices.masks), names, strict=True))


WRITERS: dict[str, Callable[[SliceSet, Path], Path]] = {
    "pairs": write_pairs,
    "mats": write_mats,
    "zips": write_zips,
    "nifti": write_nifti,
    "kaggle": write_kaggle,
}
unlisted_pairs = partial(write_pairs, index=False)


def stretched(slices: SliceSet) -> SliceSet:
    """The 8-bit copy of an int16 set, each slice stretched to 0 ... 255."""
    peaks = slices.images.max(axis=(1, 2), keepdims=True)
    return replace(slices, images=(slices.images * 255.0 / peaks).astype(np.uint8))


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content: to show that nothing was touched."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@contextmanager
def one_line(error: type[BenchmarkError], *words: str) -> Iterator[None]:
    """What is done inside raises one error, of one line, with all the words."""
    with pytest.raises(error) as caught:
        yield
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def refused(source: Path, *words: str, error: type[DataError] = DataError, **options: Any) -> None:
    """Loading raises one error with all the words, and leaves every file as it was."""
    before = snapshot(source)
    with one_line(error, *words):
        load(source, **options)
    assert before == snapshot(source)


@st.composite
def damaged(draw: st.DrawFn, data: bytes, header: tuple[int, int] = (0, 700)) -> bytes:
    """The bytes of a file, cut short or with up to four changed, half of them in its header."""
    if draw(st.booleans()):
        return data[: draw(st.integers(0, len(data) - 1))]
    places = st.integers(header[0], min(header[1], len(data)) - 1) | st.integers(0, len(data) - 1)
    changed = bytearray(data)
    for place in draw(st.lists(places, min_size=1, max_size=4)):
        changed[place] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    return bytes(changed)
