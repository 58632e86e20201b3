"""A network as ONNX: kept where its masks are the network's, refused in one line elsewhere."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_forms import ROOT
from data_forms import one_line
from PIL import Image

from baselines import ARMS
from benchmark.arm import RunContext
from benchmark.data.slices import SliceSet
from benchmark.errors import ArmError, DataError
from benchmark.exports import onnx_file
from benchmark.exports.onnx_file import asked, compared, exported, write
from benchmark.inference.trained_model import TrainedModel
from benchmark.preprocessing import nyul
from benchmark.preprocessing.resize import downsample
from benchmark.protocol import Recipe

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def models(slices: SliceSet, recipe: Recipe) -> dict[str, TrainedModel]:
    """Arms with the weights they were drawn with, fed at 64 x 96: what they know says nothing."""
    unet, threshold = (ARMS[arm].load()() for arm in ("unet", "threshold"))
    torch.manual_seed(18)
    unet.restore(unet.build(recipe.network).state_dict(), RunContext(recipe, seed=0))
    marks = nyul.fit_nyul(slices.images, recipe.preprocess.nyul_percentiles)
    sizes = (marks, (64, 96), slices.shape, slices.spacing_mm)
    return {
        name: TrainedModel(f"{name}_0", arm, *sizes, 16, 5, True)
        for name, arm in (("unet", unet), ("threshold", threshold))
    }


@pytest.fixture(scope="module")
def folder(
    models: dict[str, TrainedModel], slices: SliceSet, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("onnx") / "model"
    said = write(models["unet"], slices, folder)
    assert said.startswith("onnxruntime gives torch's masks on 24 drawn phantoms, 64x96: ")
    return folder


def test_its_probabilities_are_the_networks_but_for_rounding(
    folder: Path, models: dict[str, TrainedModel]
) -> None:
    """On values the check never saw: noise in place of slices."""
    rng = np.random.Generator(np.random.Philox(key=18))
    images = rng.uniform(-1, 1, (3, 64, 96)).astype(np.float32)
    theirs = asked((folder / "model.onnx").read_bytes(), images)
    assert (theirs.shape, theirs.dtype) == (images.shape, np.float32)
    np.testing.assert_allclose(theirs, models["unet"].arm.predict(images), atol=1e-5)


def test_the_lines_of_the_page_give_what_predict_feeds_and_the_networks_mask(
    folder: Path,
    models: dict[str, TrainedModel],
    slices: SliceSet,
    tmp_path: Path,
    monkeypatch: Patch,
) -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    Image.fromarray(slices.images[5]).save(tmp_path / "slice.png")
    monkeypatch.chdir(tmp_path)
    values: dict[str, Any] = {}
    exec(lines, values)
    model = models["unet"]
    fed = nyul.apply(downsample(slices.images[5:6], model.fed), model.landmarks)
    np.testing.assert_allclose(values["image"], fed[0], atol=1e-6)
    np.testing.assert_allclose(values["probability"], model.arm.predict(fed), atol=1e-5)


def test_what_lies_beside_it_names_run_sizes_and_landmarks(
    folder: Path, models: dict[str, TrainedModel]
) -> None:
    told = json.loads((folder / "preprocessing.json").read_text())
    model = models["unet"]
    assert told["run_id"] == model.run_id
    assert (told["fed"], told["shape"]) == ([64, 96], [64, 64])
    assert tuple(told["percentiles"]) == model.landmarks.percentiles
    assert tuple(told["values"]) == model.landmarks.values


def test_a_file_with_other_masks_is_refused_and_not_written(
    models: dict[str, TrainedModel], slices: SliceSet, tmp_path: Path, monkeypatch: Patch
) -> None:
    def otherwise(packed: bytes, fed: Any) -> Any:
        theirs = asked(packed, fed)
        theirs[0, 0, :3] = 1 - theirs[0, 0, :3].round()  # three pixels on the other side
        return theirs

    monkeypatch.setattr(onnx_file, "asked", otherwise)
    with one_line(ArmError, "gives another mask than torch at 3 pixels that do not lie at p = 0.5"):
        write(models["unet"], slices, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_pixel_may_differ_at_one_half_alone() -> None:
    """By hand: agree, agree, differ within 1e-4 of 0.5, differ beyond, and no number at all."""
    ours = np.array([[[0.2, 0.9, 0.50005, 0.51, 0.1]]], np.float32)
    theirs = np.array([[[0.3, 0.6, 0.49995, 0.49, np.nan]]], np.float32)
    assert compared(ours, theirs) == (2, 1)


@pytest.mark.parametrize("arm", ["attention-unet", "unet-maxpool"])
def test_the_other_networks_can_be_exported_too(
    recipe: Recipe, models: dict[str, TrainedModel], arm: str
) -> None:
    """With the weights they are drawn with."""
    own = ARMS[arm].load()()
    torch.manual_seed(18)
    own.restore(own.build(recipe.network).state_dict(), RunContext(recipe, seed=0))
    images = np.linspace(-1, 1, 64 * 96, dtype=np.float32).reshape(1, 64, 96)
    theirs = asked(exported(replace(models["unet"], arm=own)), images)
    np.testing.assert_allclose(theirs, own.predict(images), atol=1e-5)


def test_an_arm_that_is_no_network_is_refused(models: dict[str, TrainedModel]) -> None:
    with one_line(ArmError, "is no network; choose a run of a network arm"):
        exported(models["threshold"])


def test_a_network_that_torch_cannot_write_is_refused(
    models: dict[str, TrainedModel], monkeypatch: Patch
) -> None:
    def fails(*arguments: Any, **more: Any) -> None:
        raise RuntimeError("no operator\nof that kind")

    monkeypatch.setattr(torch.onnx, "export", fails)
    with one_line(ArmError, "cannot write this network as ONNX (RuntimeError: no operator)"):
        exported(models["unet"])


@pytest.mark.parametrize("lost", ["onnx", "onnxruntime"])
def test_without_the_extra_one_line_says_how_to_get_it(
    models: dict[str, TrainedModel], slices: SliceSet, tmp_path: Path, monkeypatch: Patch, lost: str
) -> None:
    monkeypatch.setitem(sys.modules, lost, None)
    with one_line(ArmError, f"{lost} is not installed; pip install 'meningioma-bench[onnx]'"):
        write(models["unet"], slices, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_as_it_is(
    models: dict[str, TrainedModel], slices: SliceSet, tmp_path: Path
) -> None:
    with one_line(DataError, "exists already and is left as it is"):
        write(models["unet"], slices, tmp_path)
