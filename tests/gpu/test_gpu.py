"""What a CUDA card must do as a processor does; skipped, with the reason, where there is none."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from bench_forms import FAULTY, small_recipe, small_slices, spec_of

from baselines import ARMS
from baselines.unet import UNetArm
from benchmark import augment
from benchmark.arm import Cases, RunContext
from benchmark.protocol import Augmentation
from benchmark.record import RunFolder, State, read_json
from benchmark.runner import Bench, Options, run_one
from benchmark.seeding import make_deterministic
from benchmark.split import make

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA card here"),
]


@pytest.fixture(scope="module")
def cases() -> dict[str, Cases]:
    slices, recipe = small_slices(), small_recipe()
    split = make(slices, recipe.split, 1)
    spec, bench = spec_of("any", FAULTY, slices, split, recipe), Bench(slices, {}, {})
    return {part: bench.cases(spec, split, getattr(split, part)) for part in ("train", "val", "test")}


@pytest.fixture(scope="module", autouse=True)
def _deterministic() -> None:
    make_deterministic("cuda")


def test_augmentation_is_the_same_on_the_card(cases: dict[str, Cases]) -> None:
    """Every transform on: images within 1e-4, masks but for single pixels on the outline."""
    train = cases["train"]
    always = Augmentation(motion_p=1.0, bias_p=1.0, intensity_p=1.0, noise_p=1.0)
    table = augment.draw(always, 3, 1, train.slice_id)
    images, masks = torch.from_numpy(train.images), torch.from_numpy(train.masks)
    on_cpu = augment.apply(table, images, masks, train.spacing_mm)
    on_gpu = augment.apply(table, images.cuda(), masks.cuda(), train.spacing_mm)
    assert on_gpu[0].device.type == on_gpu[1].device.type == "cuda"
    torch.testing.assert_close(on_gpu[0].cpu(), on_cpu[0], rtol=0, atol=1e-4)
    assert float((on_gpu[1].cpu() != on_cpu[1]).float().mean()) < 1e-4


def test_the_first_epoch_has_the_loss_of_a_processor(cases: dict[str, Cases]) -> None:
    """In fp32, without dropout: its random numbers are the device's own."""
    recipe = small_recipe(training__max_epochs=1, network__dropout=0.0)
    losses = {}
    for device in ("cpu", "cuda"):
        arm = UNetArm(kernel_size=3)
        report = arm.fit(cases["train"], cases["val"], RunContext(recipe, 5, device=device))
        losses[device] = report.history[0]
    assert losses["cuda"]["train_loss"] == pytest.approx(losses["cpu"]["train_loss"], abs=2e-3)
    assert losses["cuda"]["val_loss"] == pytest.approx(losses["cpu"]["val_loss"], abs=5e-3)
    assert losses["cuda"]["gpu_seconds"] > 0


def test_the_same_seed_gives_the_same_bits_on_one_card(cases: dict[str, Cases]) -> None:
    maps = []
    for _ in range(2):
        arm = UNetArm(kernel_size=3)
        arm.fit(cases["train"], cases["val"], RunContext(small_recipe(), 5, device="cuda"))
        maps.append(arm.predict(cases["test"].images))
    assert maps[0].tobytes() == maps[1].tobytes()


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_other_arithmetic_trains(cases: dict[str, Cases], precision: str) -> None:
    recipe = small_recipe(training__precision=precision)
    arm = UNetArm(kernel_size=3)
    report = arm.fit(cases["train"], cases["val"], RunContext(recipe, 5, device="cuda"))
    assert all(math.isfinite(row["train_loss"]) for row in report.history)
    maps = arm.predict(cases["test"].images)
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("arm", [name for name, entry in ARMS.items() if not entry.deterministic])
def test_a_run_is_recorded_with_what_the_card_did(arm: str, tmp_path: Path) -> None:
    slices, recipe = small_slices(), small_recipe()
    split = make(slices, recipe.split, 1)
    spec = spec_of(arm, ARMS[arm], slices, split, recipe)
    options = replace(Options(tmp_path), device="cuda")
    assert run_one(spec, Bench(slices, {split.split_id: split}, ARMS), options) is State.DONE
    folder = RunFolder(tmp_path, spec.run_id)
    timing, environment = read_json(folder / "timing.json"), read_json(folder / "environment.json")
    assert timing["gpu_seconds"] > 0
    assert timing["peak_gpu_mib"] > 0
    assert environment["device_kind"] == "cuda"
    assert environment["gpu"] == torch.cuda.get_device_name()
