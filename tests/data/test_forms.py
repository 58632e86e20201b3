"""What every form of files promises: how it is recognised, and what damage may lead to."""

from __future__ import annotations

import gzip
from functools import partial
from pathlib import Path
from typing import Any

import data_forms as forms
import numpy as np
import pytest
from bench_forms import ROOT, finish, process
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data import FORMS, authors_folds, form, load, stream
from benchmark.data.slices import SliceSet
from benchmark.errors import BenchmarkError, DataError


@given(dtype=st.sampled_from(["uint8", "int16"]), n=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=6, deadline=None)
def test_one_dataset_id_for_every_form(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, n: int, seed: int
) -> None:
    """Law: "dataset_id [is] the same for every file form of the same slices", int16 or 8-bit."""
    slices = forms.small_set(n, seed=seed, dtype=dtype)
    root = tmp_path_factory.mktemp("forms")
    for name, write in forms.WRITERS.items():
        if name == "kaggle":  # has no slice numbers; see test_kaggle
            continue
        fitting = forms.stretched(slices) if name == "pairs" and dtype == "int16" else slices
        back = load(write(fitting, root / name))
        assert back.dataset_id == slices.dataset_id, name
        assert back.images.dtype == fitting.images.dtype, name
        assert (back.fingerprint == slices.fingerprint) == (fitting is slices), name


@pytest.mark.parametrize(
    ("name", "expected"), [*((n, n) for n in FORMS if n != "figshare"), ("mats", "figshare")]
)
def test_every_form_is_recognised(tmp_path: Path, name: str, expected: str) -> None:
    assert form(forms.WRITERS[name](forms.small_set(1), tmp_path / "set")) == expected


def test_what_is_not_there_of_no_form_or_of_two_is_refused(tmp_path: Path) -> None:
    forms.refused(tmp_path / "nowhere", "nowhere", "not there", "figshare", "phantoms")
    (tmp_path / "notes.txt").write_text("hello")
    forms.refused(tmp_path, "images.npy", "N.mat", "images/N.png", "images/N.nii.gz")
    forms.refused(tmp_path / "notes.txt", "no known form")
    folder = forms.write_pairs(forms.small_set(1), tmp_path / "set")
    (folder / "2.mat").write_bytes(b"")
    forms.refused(folder, "pairs", "figshare", "keep one")


def test_a_stated_spacing_takes_the_place_of_the_usual_one(tmp_path: Path) -> None:
    folder = forms.write_pairs(forms.small_set(), tmp_path / "set")
    assert load(folder).spacing_mm == (0.49, 0.49)
    assert load(folder, spacing_mm=(0.5, 0.6)).spacing_mm == (0.5, 0.6)
    forms.refused(folder, "pixel spacing", "from 0.01 to 100", spacing_mm=(0.5, float("nan")))
    phantoms = load("phantoms", spacing_mm=(1.0, 2.0))
    assert phantoms.phantom
    assert phantoms.spacing_mm == (1.0, 2.0)


def test_no_authors_folds_beside_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cvind.mat").write_bytes(b"of something else: neither word below is a path")
    monkeypatch.setattr("benchmark.data.download.cache_folder", lambda: tmp_path / "cache")
    for name in ("cache", "images"):
        (tmp_path / name).mkdir()
    assert authors_folds("figshare") is None
    assert authors_folds("phantoms") is None
    assert authors_folds(tmp_path / "images") is None


def test_importing_the_package_is_light() -> None:
    heavy = "torch h5py nibabel pooch PIL requests scipy pandas rich"
    code = f"import sys, benchmark.data; print([m for m in {heavy.split()!r} if m in sys.modules])"
    assert finish(process(["-c", code], ROOT)) == (0, "[]\n", "")


def unpacked_nifti(slices: SliceSet, folder: Path) -> Path:
    packed = forms.write_nifti(slices, folder) / "images" / "2.nii.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    return folder


FILES: dict[str, tuple[Any, str, tuple[int, int]]] = {  # writer, file to damage, its header
    "mat": (forms.write_mats, "2.mat", (0, 3000)),
    "zip": (forms.write_zips, "brainTumorDataPublic_2-2.zip", (0, 3000)),
    "nii.gz": (forms.write_nifti, "images/2.nii.gz", (0, 352)),
    "nii": (unpacked_nifti, "images/2.nii", (0, 352)),
    "npy, header": (partial(forms.write_kaggle, pickled=False), "images.npy", (0, 128)),
    "npy, content": (partial(forms.write_kaggle, pickled=False), "images.npy", (128, 500)),
    "pickled, header": (forms.write_kaggle, "images.npy", (0, 128)),
    "pickled, content": (forms.write_kaggle, "images.npy", (128, 500)),
    "png": (forms.write_pairs, "images/2.png", (0, 700)),
    "webp": (partial(forms.write_pairs, suffix=".webp"), "images/2.webp", (0, 700)),
    "tif": (partial(forms.write_pairs, suffix=".tif"), "images/2.tif", (0, 700)),
    "index": (forms.write_pairs, "index.csv", (0, 700)),
}
PICTURES = ("png", "webp", "tif", "index")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of a forms.damaged TIFF
@given(data=st.data())
@forms.in_one_folder
def test_damage_gives_one_clear_error_or_valid_slices(
    tmp_path: Path, file: str, data: st.DataObject
) -> None:
    """Nothing but a BenchmarkError that names the place may come out."""
    folder, whole = tmp_path / "set", tmp_path / "whole"
    write, name, header = FILES[file]
    if not folder.exists():
        dtype = "uint8" if file in PICTURES else "int16"
        write(forms.small_set(1, dtype=dtype, shape=(64, 64)), folder)
        whole.write_bytes((folder / name).read_bytes())
    (folder / name).write_bytes(data.draw(forms.damaged(whole.read_bytes(), header)))
    try:
        slices = load(folder)
    except BenchmarkError as error:
        message = str(error)
    else:
        assert slices.images.shape == slices.masks.shape
        assert slices.masks.any(axis=(1, 2)).all()
        return
    assert str(folder) in message or "no slice with label" in message


@pytest.mark.parametrize("name", forms.WRITERS)
def test_a_stream_has_the_slices_that_are_loaded_one_at_a_time(tmp_path: Path, name: str) -> None:
    """Of every form: the same numbers, pixels, patients and pixel size, and the same note."""
    source = forms.WRITERS[name](forms.small_set(3, dtype="int16" if name == "mats" else "uint8"),
                                 tmp_path / "set")  # fmt: skip
    said: list[str] = []
    loaded = load(source)
    raws = sorted(stream(source, say=said.append), key=lambda raw: raw.slice_id)
    assert [raw.slice_id for raw in raws] == loaded.slice_id.tolist()
    assert tuple(raw.patient_id for raw in raws) == loaded.patient_id
    assert {raw.spacing_mm for raw in raws} == {loaded.spacing_mm}
    for raw, image, mask in zip(raws, loaded.images, loaded.masks, strict=True):
        np.testing.assert_array_equal(raw.image, image)
        np.testing.assert_array_equal(raw.mask, mask)
    assert said == ([loaded.note] if loaded.note else [])


def test_a_stream_takes_slices_of_several_sizes_and_refuses_what_is_wrong_with_one(
    tmp_path: Path,
) -> None:
    small = forms.write_pairs(forms.small_set(1, shape=(64, 64)), tmp_path / "set", index=False)
    other = forms.write_pairs(forms.small_set(2, shape=(96, 64)), tmp_path / "other", index=False)
    for kind in ("images", "masks"):
        (other / kind / "5.png").rename(small / kind / "5.png")
    assert [raw.image.shape for raw in stream(small)] == [(64, 64), (96, 64)]
    forms.refused(small, "96x64")
    with forms.one_line(DataError, "no slice with label [2] was found"):
        list(stream(small, labels=(2,)))
    with forms.one_line(DataError, "must be two numbers from 0.01 to 100"):
        list(stream(small, spacing_mm=(0, 1)))


def test_streamed_phantoms_are_those_that_are_loaded(few_phantoms: None) -> None:
    loaded, raws = load("phantoms", spacing_mm=(1, 2)), [*stream("phantoms", spacing_mm=(1, 2))]
    np.testing.assert_array_equal([raw.image for raw in raws], loaded.images)
    assert {raw.spacing_mm for raw in raws} == {(1, 2)}
