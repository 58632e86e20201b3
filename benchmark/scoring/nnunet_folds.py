"""What nnU-Net leaves of its folds, `fold_K/validation`: which of our test slices each outlines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmark.data.folder import numbered
from benchmark.errors import DataError
from benchmark.splits.split import Split

FOLD = re.compile(r"fold_(\d+)", re.ASCII)
VALIDATION = "validation"
ON_ALL = "fold_all"
RANDOM = "nnU-Net makes a random split of a fold beyond its list"


def mask_folders(
    folder: Path, splits: Sequence[Split], *, only_common: bool = False
) -> list[tuple[Path, tuple[int, ...]]]:
    """Return where the masks of which test slices lie: in the folder, or in nnU-Net's of its folds.

    Of the folder of a trainer of nnU-Net's, fold K is of the split of place K. only_common: folds
    that are not there are left out. Raises `DataError` for a fold beyond the splits, one that is
    not there, one that holds masks of slices which its split does not test, and for `fold_all`,
    which was trained on every slice.
    """
    absolute = folder.resolve()
    if ON_ALL in (absolute.name, absolute.parent.name):
        raise DataError(f"{folder}: was trained on every slice, those tested too; give the folds")
    if folds := _folds(folder):
        return _of_trainer(folder, folds, splits, only_common)
    where = [(folder, tuple(number for split in splits for number in split.test))]
    if FOLD.fullmatch(absolute.parent.name) and absolute.name == VALIDATION:
        _check_fold(*where[0])
    return where


def _of_trainer(
    folder: Path, folds: set[int], splits: Sequence[Split], only_common: bool
) -> list[tuple[Path, tuple[int, ...]]]:
    """The folders of a trainer's folds."""
    if beyond := sorted(folds - set(range(len(splits)))):
        last = len(splits) - 1
        raise DataError(
            f"{folder / f'fold_{beyond[0]}'}: the splits given are of fold_0"
            f"{f' to fold_{last}' if last else ' alone'}; {RANDOM}. Give all splits that were "
            "exported, or move the fold away; to judge one fold, give its folder "
            f"fold_{beyond[0]}/{VALIDATION} with its own split"
        )
    where = []
    for fold, split in enumerate(splits):
        place = folder / f"fold_{fold}" / VALIDATION
        if place.is_dir():
            _check_fold(place, split.test)
            where.append((place, split.test))
        elif not only_common:
            raise DataError(
                f"{place}: is not there, so no mask of {split.split_id}; train that fold to its "
                "end, or have the others alone scored with --only-common"
            )
    return where or [(folder, ())]


def _folds(folder: Path) -> set[int]:
    """The numbers of the folds in the folder of a trainer; none in any other folder."""
    named = ((path, FOLD.fullmatch(path.name)) for path in folder.glob("fold_*"))
    return {int(match[1]) for path, match in named if match and path.is_dir()}


def _check_fold(place: Path, test: tuple[int, ...]) -> None:
    """Raise `DataError` where nnU-Net's fold is not the split: it outlines its val set, no less."""
    if odd := sorted(set(numbered(place, (".png",))) - set(test)):
        raise DataError(
            f"{place}: holds slices that the split does not test ({len(odd)}, the first {odd[0]}), "
            "so it is of another fold, which may be trained on what the split tests; give its own "
            f"split. {RANDOM}"
        )
