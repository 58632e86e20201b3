"""A model as a folder that travels: tensors, config, card and licence.

`python -m benchmark.exports.model` makes scores and card of the shipped one anew from the records
that are shipped; its weights stay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import DataError
from benchmark.exports.evaluation import evaluation, joined
from benchmark.exports.model_card import card, licence
from benchmark.inference.model_folder import (
    CONFIG,
    WEIGHTS,
    StoredModel,
    pack,
    read_config,
    shipped_model,
    stored_in,
)
from benchmark.inference.trained_model import split_of
from benchmark.judge.shipped import load_second_reading
from benchmark.runs.collect import collect, reproduction_folder
from benchmark.splits.files import SPLITS, shipped, store_split
from benchmark.storage.atomic import staging_folder, write_bytes

CARD, LICENCE = "README.md", "LICENSE"


def write(stored: StoredModel, folder: Path) -> dict[str, Any]:
    """Write the folder of a model, whole or not at all, and return its config.

    Its scores are those of the runs beside the model's, and of the records shipped here. Its split
    is in it where the package has not got it, so that `predict` knows later what was trained on.
    Raises `DataError` where the folder exists, `RecordError` for a model or run that is damaged,
    `ArmError` for a state of other things than tensors and plain values, and `OutputError` where
    the disk refuses.
    """
    if folder.exists():
        raise DataError(
            f"{folder}: exists already and is left as it is; choose another folder or remove it"
        )
    config, weights = pack(stored)
    split, dataset_id = split_of(stored), stored.spec.dataset_id
    shipped_so = any(
        (its.split, its.dataset_id) == (split, dataset_id) for its in shipped().values()
    )
    config["evaluation"] = evaluated(stored)
    with staging_folder(folder.parent, asked=folder) as staging:
        whole = staging / folder.name
        whole.mkdir()
        for name, content in {**texts(config), WEIGHTS: weights}.items():
            (whole / name).write_bytes(content)
        if split is not None and not shipped_so:
            store_split(split, dataset_id, stored.spec.recipe.split, whole / SPLITS)
        whole.rename(folder)
    return config


def evaluated(stored: StoredModel) -> dict[str, Any]:
    """What the runs beside a model's, and the records shipped here, say of it."""
    records = collect(reproduction_folder())
    if stored.told.name != CONFIG:
        records = joined(collect(stored.told.parent.parent), records)
    return evaluation(stored, records, load_second_reading())


def texts(config: Mapping[str, Any]) -> dict[str, bytes]:
    """The bytes of every file but the tensors, by name: all follows from the config."""
    written = json.dumps(config, indent=1, allow_nan=False, ensure_ascii=False)
    content = {CONFIG: f"{written}\n", CARD: card(config), LICENCE: licence(config)}
    return {name: text.encode() for name, text in content.items()}


def main() -> int:
    """Make the texts of the shipped model anew."""
    folder = shipped_model()
    config = {**read_config(folder).content, "evaluation": evaluated(stored_in(folder))}
    for name, content in texts(config).items():
        write_bytes(folder / name, content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
