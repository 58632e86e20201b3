"""nnU-Net v2: its raw dataset of PNG pictures, our splits as its folds, and a guard around them.

nnU-Net's fold K is the split of place K. What it calls train are our training and validation sets
together, what it calls val is our test set: it trains all its epochs, and its last weights outline
that set, so no test slice chooses anything. Form and behaviour are those of nnunetv2 2.8.1
(documentation/dataset_format.md, nnUNetTrainer.do_split); Isensee et al., Nature Methods 18 (2021)
203.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from shlex import join, quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.slices import RawSlice, SliceSet, iterate
from benchmark.errors import DataError
from benchmark.splits.files import stored_text
from benchmark.splits.split import Split
from benchmark.storage.atomic import check_new, new_folder

NAME = re.compile(r"Dataset([0-9]{3})_\w+", re.ASCII)
NAMED = "Dataset501_Meningioma"
SPLITS_FINAL, SPLITS, TRAIN = "splits_final.json", "splits", "train.sh"
ENDING = ".png"
SCRIPT = """\
#!/bin/sh
# sh train.sh FOLD [options of nnUNetv2_train]: trains and predicts one fold of splits_final.json.
# nnUNetv2_train alone makes a random split where FOLD is not in that list, or the list is not
# where it looks; then slices of one patient are in both of its sets.
set -eu
name={name}
fold=${{1:-}}
case $fold in
  {folds}) shift ;;
  *) echo "error: fold '$fold': $name has folds 0 to {last}; give one of them" >&2; exit 2 ;;
esac
case " $* " in
  *" --val_"*)  # nnU-Net takes any beginning of it
    echo "error: --val_best: those weights were chosen on the test slices; leave it out" >&2
    exit 2 ;;
esac
ours=$(cd "$(dirname "$0")" && pwd)/{splits}
theirs=${{nnUNet_preprocessed:?is not set; export it as for planning}}/$name/{splits}
if ! cmp -s "$ours" "$theirs"; then
  echo "error: $theirs: is not the list of this dataset; plan first, then: cp '$ours' '$theirs'" >&2
  exit 2
fi
exec nnUNetv2_train "$name" 2d "$fold" "$@"
"""


def check_folder(folder: Path) -> None:
    """Raise `DataError` unless nnU-Net could find a new dataset of this name, and find it alone."""
    if not (named := NAME.fullmatch(folder.name)):
        raise DataError(
            f"{folder}: nnU-Net finds a dataset by a name of the form DatasetNNN_Name, with three "
            f"digits; call the folder {NAMED}, say"
        )
    check_new(folder)
    number = f"Dataset{named[1]}"
    if others := sorted(path.name for path in folder.parent.glob(f"{number}*")):
        raise DataError(
            f"{folder}: {others[0]} has the number {named[1]} already, and nnU-Net takes no two of "
            "one number; choose another"
        )


def export(slices: SliceSet, splits: Sequence[Split], folder: Path) -> None:
    """Write a raw dataset of nnU-Net's, its folds being the splits in their order.

    `imagesTr/N_0000.png` holds the grey levels as stored, in 8 or 16 bits, `labelsTr/N.png` 0 and
    1; `splits/` has each split with its three sets, as `score --split` reads them, and `train.sh`
    trains a fold of the list and no other. An empty mask is a label of zeros. The folder appears
    whole or not at all. Raises `DataError` as `check_folder` does and for a grey level below 0, and
    `OutputError` where the disk refuses.
    """
    check_folder(folder)
    with new_folder(folder) as room:
        for name in ("imagesTr", "labelsTr", SPLITS):
            (room / name).mkdir()
        for raw in iterate(slices):
            image, label = Image.fromarray(_levels(raw)), Image.fromarray(raw.mask.astype(np.uint8))
            image.save(room / "imagesTr" / f"{raw.slice_id}_0000{ENDING}")
            label.save(room / "labelsTr" / f"{raw.slice_id}{ENDING}")
        texts = {
            "dataset.json": json.dumps(_dataset(slices), indent=2) + "\n",
            SPLITS_FINAL: json.dumps(folds_of(splits), indent=1) + "\n",
            TRAIN: SCRIPT.format(
                name=folder.name,
                folds="|".join(map(str, range(len(splits)))),
                last=len(splits) - 1,
                splits=SPLITS_FINAL,
            ),
        }
        for split in splits:
            text = stored_text(split, slices.dataset_id)
            texts[f"{SPLITS}/{split.split_id}.json"] = text
        for name, text in texts.items():
            (room / name).write_text(text, encoding="utf-8", newline="\n")


def _levels(raw: RawSlice) -> NDArray[np.generic]:
    """The grey levels (H, W) as uint8 or uint16; the same numbers."""
    if raw.image.dtype == np.int16:
        if (least := int(raw.image.min())) < 0:
            raise DataError(
                f"{raw.origin}: grey level {least}, and PNG has none below 0; add a constant to "
                "every slice, or choose another form"
            )
        return raw.image.astype(np.uint16)
    return raw.image


def _dataset(slices: SliceSet) -> dict[str, object]:
    return {
        "channel_names": {"0": "T1ce"},  # any name but CT: each slice is z-scored
        "labels": {"background": 0, "tumour": 1},
        "numTraining": len(slices),
        "file_ending": ENDING,
    }


def folds_of(splits: Sequence[Split]) -> list[dict[str, list[str]]]:
    """Our splits as nnU-Net lists its folds: case names, all but the test slices under train."""
    return [
        {
            "train": [str(number) for number in sorted(split.train + split.val)],
            "val": [str(number) for number in split.test],
        }
        for split in splits
    ]


def commands(folder: Path, splits: Sequence[Split], data_words: Sequence[str]) -> str:
    """The commands from the exported folder to a row beside ours; data_words: for `score`."""
    raw = folder.resolve().parent
    preprocessed, results = (raw.parent / f"nnUNet_{name}" for name in ("preprocessed", "results"))
    places = {"raw": raw, "preprocessed": preprocessed, "results": results}
    numbers = " ".join(map(str, range(len(splits))))
    trained = results / folder.name / "nnUNetTrainer__nnUNetPlans__2d"
    score = ["score", str(trained), "--split", str(folder / SPLITS), *data_words]
    lines = [
        *(f"export nnUNet_{name}={quote(str(place))}" for name, place in places.items()),
        f"nnUNetv2_plan_and_preprocess -d {folder.name[7:10]} -c 2d --verify_dataset_integrity",
        f"for fold in {numbers}; do sh {quote(str(folder / TRAIN))} $fold; done",
        f"python -m benchmark {join(score)}",
    ]
    return "\n".join(lines)
