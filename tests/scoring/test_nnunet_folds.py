"""nnU-Net's folders of folds: each is of its own split, and no fold that is another is scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_forms import one_line
from PIL import Image
from run_records import squares

from benchmark.errors import DataError
from benchmark.scoring.external_masks import judge
from benchmark.scoring.nnunet_folds import mask_folders
from benchmark.splits.split import Split, pooled

SLICES = squares()  # numbers 1 to 8, in patients of two
FOLDS = [Split("a", (5, 6, 7, 8), (3, 4), (1, 2)), Split("b", (1, 2, 7, 8), (5, 6), (3, 4))]
BOTH = pooled(FOLDS)


def fold(trainer: Path, number: object, tested: tuple[int, ...]) -> Path:
    """A fold as nnU-Net leaves it, its masks lacking the first row of each tumour."""
    place = trainer / f"fold_{number}" / "validation"
    place.mkdir(parents=True)
    for slice_id in tested:
        mask = SLICES.masks[slice_id - 1].astype(np.uint8)
        mask[mask.any(axis=1).argmax()] = 0
        Image.fromarray(mask).save(place / f"{slice_id}.png")
    (place / "summary.json").write_text("{}")
    (trainer / f"fold_{number}" / "checkpoint_final.pth").touch()
    return place


@pytest.fixture
def trainer(tmp_path: Path) -> Path:
    """The two folds, in the folder of a trainer."""
    for number, split in enumerate(FOLDS):
        fold(tmp_path / "t", number, split.test)
    (tmp_path / "t" / "plans.json").write_text("{}")
    return tmp_path / "t"


def test_folds_are_scored_together_as_masks_of_one_folder_are(trainer: Path) -> None:
    """9 of 10 rows are left: Dice 2 * 9 / (9 + 10)."""
    judged = judge(trainer, BOTH, SLICES, parts=FOLDS)
    assert judged.scores["slice_id"].tolist() == [1, 2, 3, 4]
    assert judged.scores["dice"].tolist() == pytest.approx([18 / 19] * 4)
    flat = trainer.parent / "flat"
    flat.mkdir()
    for path in trainer.glob("*/validation/*.png"):
        path.rename(flat / path.name)
    pd.testing.assert_frame_equal(judge(flat, BOTH, SLICES, parts=FOLDS).scores, judged.scores)


def test_fold_k_is_of_the_split_of_place_k(trainer: Path) -> None:
    found = mask_folders(trainer, FOLDS)
    assert found == [(trainer / f"fold_{k}" / "validation", FOLDS[k].test) for k in (0, 1)]
    swapped = FOLDS[::-1]
    with one_line(DataError, "fold_0/validation", "does not test (2, the first 1)"):
        judge(trainer, pooled(swapped), SLICES, parts=swapped)


def test_one_fold_is_scored_from_its_own_folder(trainer: Path) -> None:
    place = trainer / "fold_1" / "validation"
    assert judge(place, FOLDS[1], SLICES).scores["slice_id"].tolist() == [3, 4]


def test_a_fold_beyond_the_splits_is_refused(trainer: Path) -> None:
    says = "the splits given are of fold_0 to fold_1; nnU-Net makes a random split of a fold beyond"
    fold(trainer, 2, (2, 5))
    with one_line(DataError, "fold_2", says, "move the fold away"):
        judge(trainer, BOTH, SLICES, parts=FOLDS)
    with one_line(DataError, "fold_1: the splits given are of fold_0 alone"):
        judge(trainer, FOLDS[0], SLICES)


def test_a_random_fold_is_refused_from_its_own_folder_too(trainer: Path) -> None:
    """It shares slices with the test set, and --only-common would take those: trained or not."""
    random = fold(trainer, 7, (2, 5))
    for only in (True, False):
        with one_line(DataError, "fold_7", "does not test (1, the first 5)", "another fold"):
            judge(random, FOLDS[0], SLICES, only_common=only)


def test_masks_of_the_slices_trained_on_are_refused(trainer: Path) -> None:
    whole = fold(trainer.parent / "all", "all", tuple(range(1, 9)))
    for place in (whole, whole.parent):
        with one_line(DataError, "was trained on every slice"):
            judge(place, FOLDS[0], SLICES, only_common=True)


def test_a_fold_that_is_not_trained_is_left_out_only_when_asked(trainer: Path) -> None:
    (trainer / "fold_1" / "validation").rename(trainer.parent / "gone")
    with one_line(DataError, "fold_1/validation: is not there", "b; train that", "--only-common"):
        judge(trainer, BOTH, SLICES, parts=FOLDS)
    judged = judge(trainer, BOTH, SLICES, parts=FOLDS, only_common=True)
    assert judged.scores["slice_id"].tolist() == [1, 2]
    assert judged.left_out["slice_id"].tolist() == [3, 4]


def test_a_fold_without_all_its_masks_is_refused(trainer: Path) -> None:
    """As one is that is still being outlined."""
    (trainer / "fold_0" / "validation" / "2.png").unlink()
    with one_line(DataError, "fold_0", "1 of the 2 test slices have no mask (2)"):
        judge(trainer, BOTH, SLICES, parts=FOLDS)
