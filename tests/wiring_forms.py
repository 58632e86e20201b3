"""Cells that change in one setting, and what formulas apart from the training loop give for them.

Draws, networks and formulas are those of `plain_training`; called are only augmentation, dropout's
masks, resizing and the step to a standard histogram, which have oracles of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plain_training as plain
import torch
from bench_forms import FAULTY, augmented, small_slices, spec_of
from numpy.typing import NDArray
from torch import nn

from baselines import ARMS
from benchmark.arm import Cases
from benchmark.preprocessing import nyul
from benchmark.preprocessing.resize import downsample, downsample_masks, upsample_probability
from benchmark.protocol import SplitRule, load_recipe, override
from benchmark.runs import run_folder
from benchmark.runs.model_file import unpack
from benchmark.runs.prepared_data import PreparedData
from benchmark.runs.run_folder import RunFolder, RunState, read_json, unpack_masks
from benchmark.runs.runner import RunOptions, run_one
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import make
from benchmark.training.layers import KeyedDropout, replace_layers, set_keys

TABLE = {**ARMS, "faulty": FAULTY}
SLICES = small_slices()  # 24 of 8 patients, 64 x 64; by image 16 train, 4 validate, 4 test
SPLITS = {split.split_id: split for split in (make(SLICES, SplitRule(), i) for i in (1, 2))}
TRANSFORMS = ("affine", "elastic", "motion", "bias", "intensity", "noise")
CHANCES = [f"augmentation.{name}_p" for name in TRANSFORMS]
STILL: dict[str, Any] = {  # steps so small that no weight changes, on images as they are
    **dict.fromkeys(CHANCES, 0.0),
    "network.channels": [4, 8],
    "network.dropout": 0.0,
    "training.optimiser": "sgd",
    "training.learning_rate": 1e-30,
    "training.max_epochs": 1,
    "training.batch_size": 3,  # 16 slices to learn from: the last batch has one
}


def changed(spec: RunSpec, settings: Mapping[str, Any]) -> RunSpec:
    """The spec with settings replaced: a field, section.key of the recipe, or arm.parameter."""
    values = {name: getattr(spec, name) for name in RunSpec.__dataclass_fields__}
    for name, value in settings.items():
        section, _, key = name.rpartition(".")
        if not section:
            values[key] = value
        elif section in TABLE:
            values["params"] = {**values["params"], key: value}
        elif section == "recipe":
            values["recipe"] = override(values["recipe"], value, {})
        else:
            values["recipe"] = override(values["recipe"], "wiring", {name: value})
    return RunSpec(**values)


def still(arm: str = "unet") -> RunSpec:
    """A cell of this arm; a network stays as it was drawn."""
    split, entry = SPLITS["by-image-1"], TABLE[arm]
    given = {"alpha": 0.3, "kernel_size": 3}
    params = {name: given[name] for name in given if name in entry.defaults}
    return spec_of(arm, entry, SLICES, split, load_recipe("thesis", STILL), **params)


@dataclass(frozen=True)
class Cell:
    """A finished run, as its folder holds it."""

    spec: RunSpec
    folder: RunFolder

    @property
    def history(self) -> list[dict[str, float]]:
        """Without seconds."""
        table = pd.read_csv(self.folder / run_folder.HISTORY).drop(columns="seconds")
        return table.to_dict("records")  # type: ignore[return-value]

    @property
    def fit(self) -> dict[str, Any]:
        return dict(read_json(self.folder / run_folder.RESULT)["fit"])

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(N, H, W) of the test slices, ascending by number."""
        stored = unpack_masks(self.folder / run_folder.PREDICTIONS)
        assert sorted(stored) == sorted(SPLITS[self.spec.split_id].test)
        return np.stack([stored[number] for number in sorted(stored)])

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        path = self.folder / run_folder.MODEL
        return dict(unpack(path.read_bytes(), path).state)


@dataclass(frozen=True)
class Lab:
    """Runs cells into one folder, each once."""

    out: Path
    agreed: set[str] = field(default_factory=set)

    def run(self, spec: RunSpec) -> Cell:
        folder = RunFolder(self.out, spec.run_id)
        data, options = PreparedData(SLICES, SPLITS, TABLE), RunOptions(self.out, keep_models=True)
        state = run_one(spec, data, options)
        assert state is RunState.DONE, read_json(folder / run_folder.FAILURE)["traceback"]
        return Cell(spec, folder)


def cases(spec: RunSpec, name: str) -> Cases:
    """The train, val or test set as an arm must be fed it."""
    rows = np.isin(SLICES.slice_id, getattr(SPLITS[spec.split_id], name))
    images = nyul.apply(downsample(SLICES.images[rows], spec.shape), landmarks(spec))
    row_mm, column_mm = (
        64 * side / pixels for side, pixels in zip(SLICES.spacing_mm, spec.shape, strict=True)
    )
    masks = downsample_masks(SLICES.masks, spec.shape)[rows]
    return Cases(images, masks, SLICES.slice_id[rows], (row_mm, column_mm))


def landmarks(spec: RunSpec) -> nyul.Landmarks:
    """Nyul's standard histogram: the mean over images of percentiles, each moved to 0 to 100."""
    rule, percentiles = spec.recipe.preprocess, []
    whole, train = rule.nyul_foreground == "whole", SPLITS[spec.split_id].train
    images = downsample(SLICES.images, spec.shape)
    for number, image in zip(SLICES.slice_id.tolist(), images, strict=True):
        if rule.nyul_fit == "all" or number in train:
            seen = image if whole else image[image > image.mean()]
            own = np.percentile(seen, rule.nyul_percentiles)
            percentiles.append((own - own[0]) / (own[-1] - own[0]) * 100)
    values = tuple(np.mean(percentiles, axis=0).tolist())
    return nyul.Landmarks(rule.nyul_percentiles, values, whole)


def drawn(spec: RunSpec) -> nn.Module:
    """MONAI's network with the spec's settings, its weights drawn from the spec's seed."""
    network, layers = spec.recipe.network, {}
    if spec.arm == "unet":
        layers = {"norm": network.norm, "act": network.act}
    kernel = spec.params.get("kernel_size", 3)
    form = (network.channels, network.dropout, kernel)
    return plain.untrained(spec.arm, spec.seed or 0, *form, **layers)


def logits(model: nn.Module, images: torch.Tensor, spec: RunSpec) -> torch.Tensor:
    """(B, H, W) -> (B, 2, H, W) in the spec's precision."""
    with torch.autocast("cpu", torch.bfloat16, enabled=spec.recipe.training.precision == "bf16"):
        return model(images[:, None]).float()  # type: ignore[no-any-return]


def probabilities(z: torch.Tensor, spec: RunSpec) -> torch.Tensor:
    """(B, 2, H, W) of background and tumour."""
    if spec.recipe.loss.activation == "sigmoid":
        return 1 / (1 + (-z).exp())
    return z.exp() / z.exp().sum(1, keepdim=True)


def tversky(z: torch.Tensor, masks: torch.Tensor, spec: RunSpec) -> torch.Tensor:
    """The mean over images, or of all images as one, with or without the background's own loss."""
    if z.dim() == 5:
        return plain.mean_over_heads(z, lambda head: tversky(head, masks, spec))
    if spec.params.get("loss") == "dice-ce":
        p = z.softmax(1)[:, 1]
        right = torch.where(masks, p, 1 - p)
        return plain.tversky(p, masks, 0.5, (0, 1, 2)) - right.log().mean()
    settings = spec.recipe.loss
    truth, over = torch.stack([~masks, masks], dim=1), (0, 2, 3) if settings.pool_batch else (2, 3)
    loss = plain.tversky(probabilities(z, spec), truth, spec.params["alpha"], over)
    return (loss if settings.include_background else loss[..., 1:]).mean()


def batches(spec: RunSpec, n: int) -> list[NDArray[np.int64]]:
    """Rows of the n training slices, in epoch 0's order, by batch."""
    return _parted(spec, plain.stream(spec.seed or 0, plain.ORDER).permutation(n))


def _parted(spec: RunSpec, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    size = spec.recipe.training.batch_size
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def train_loss(spec: RunSpec) -> float:
    """The mean over images of epoch 0's batch losses, of a cell that stays as it was drawn."""
    model, train = replace_layers(drawn(spec), [nn.Dropout]).train(), cases(spec, "train")
    layers = sum(isinstance(layer, KeyedDropout) for layer in model.modules())
    total, seed = 0.0, spec.seed or 0
    seen = augmented(spec.recipe, seed, train)
    for rows in batches(spec, len(train)):
        numbers = train.slice_id[rows].tolist()
        draws = [plain.stream(seed, plain.DROPOUT, 0, number) for number in numbers]
        keys = [draw.integers(-(2**31), 2**31, (layers, 2), np.int32) for draw in draws]
        set_keys(model, torch.from_numpy(np.stack(keys)))
        with torch.inference_mode():
            total += _loss(model, *seen(0, rows), spec) * len(rows)
    return total / len(train)


def _loss(model: nn.Module, images: torch.Tensor, masks: torch.Tensor, spec: RunSpec) -> float:
    return float(tversky(logits(model, images, spec), masks, spec))


def learned(spec: RunSpec, weights: Mapping[str, torch.Tensor]) -> nn.Module:
    """The network with these weights, ready to outline."""
    model = drawn(spec)
    model.load_state_dict(dict(weights))
    return model.eval()


def validation(spec: RunSpec, weights: Mapping[str, torch.Tensor]) -> tuple[float, float]:
    """Mean loss and mean Dice over the validation images."""
    model, val = learned(spec, weights), cases(spec, "val")
    masks = torch.from_numpy(val.masks)
    with torch.inference_mode():
        parts = _parted(spec, np.arange(len(val)))
        losses = [
            _loss(model, torch.from_numpy(val.images[rows]), masks[rows], spec) * len(rows)
            for rows in parts
        ]
    outputs = torch.from_numpy(maps(spec, weights, val.images))
    return sum(losses) / len(val), plain.dice(outputs, masks)


def maps(
    spec: RunSpec, weights: Mapping[str, torch.Tensor], images: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(N, H, W) tumour probability."""
    with torch.inference_mode():
        z = logits(learned(spec, weights), torch.from_numpy(images), spec)
    return probabilities(z, spec)[:, 1].numpy()


def outlines(spec: RunSpec, weights: Mapping[str, torch.Tensor]) -> NDArray[np.bool_]:
    """(N, H, W) masks of the test slices at their own size."""
    return upsample_probability(maps(spec, weights, cases(spec, "test").images), SLICES.shape) > 0.5
