"""The real 708 slices; set MENINGIOMA_DATA to their folder, in any form, to run these."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_forms import write_kaggle, write_nifti

from benchmark.data import load
from benchmark.data.registry import CHENG_DATASET_ID, identify
from benchmark.data.slices import SliceSet, gather, iterate

SOURCE = os.environ.get("MENINGIOMA_DATA")
pytestmark = pytest.mark.skipif(
    not SOURCE, reason="MENINGIOMA_DATA names no folder with the real slices"
)


@pytest.fixture(scope="module")
def slices() -> SliceSet:
    return load(Path(str(SOURCE)))


@pytest.fixture(scope="module")
def few(slices: SliceSet) -> SliceSet:
    """Every 60th slice: axial, coronal and sagittal ones."""
    return gather(list(iterate(slices))[::60])


def test_the_published_facts(slices: SliceSet) -> None:
    """Tumours of "255 to 15,220 px, median 3,987"."""
    assert slices.dataset_id == CHENG_DATASET_ID
    assert len(slices) == 708
    assert slices.shape == (512, 512)
    assert slices.spacing_mm == (0.49, 0.49)
    patients = Counter(slices.patient_id)
    assert (len(patients), max(patients.values())) == (82, 21)
    pixels = slices.masks.sum(axis=(1, 2))
    assert (pixels.min(), np.median(pixels), pixels.max()) == (255, 3987, 15220)


def test_numbers_and_patients_come_back(few: SliceSet) -> None:
    """From transposed slices under wrong numbers and without patients."""
    turned = {name: getattr(few, name).transpose(0, 2, 1) for name in ("images", "masks")}
    lost = replace(few, slice_id=few.slice_id + 5000, patient_id=(None,) * len(few), **turned)
    back = gather(identify(iterate(lost)))
    assert (back.fingerprint, back.patient_id) == (few.fingerprint, few.patient_id)


def test_kaggle_and_nifti_form_are_the_same_dataset(few: SliceSet, tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(len(few)).tolist()
    back = load(write_kaggle(few, tmp_path / "kaggle", order=order))
    assert (back.dataset_id, back.fingerprint) == (few.dataset_id, few.fingerprint)
    assert back.patient_id == few.patient_id
    assert load(write_nifti(few, tmp_path / "nifti")).fingerprint == few.fingerprint
