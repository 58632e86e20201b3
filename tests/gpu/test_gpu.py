"""What a CUDA card must do as a processor does; skipped, with the reason, where there is none."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_forms import small_recipe, small_slices, spec_of

from baselines import ARMS
from baselines.unet import UNetArm
from benchmark.arm import Cases, RunContext
from benchmark.protocol import Augmentation
from benchmark.runs.prepared_data import PreparedData
from benchmark.runs.run_folder import RunFolder, RunState, read_json
from benchmark.runs.runner import RunOptions, run_one
from benchmark.splits.split import make
from benchmark.training import augment
from benchmark.training.device import Resident
from benchmark.training.execution import PLAIN, Execution, choose
from benchmark.training.layers import kept, replace_layers
from benchmark.training.loop import augmented, train_network
from benchmark.training.losses import thesis_tversky
from benchmark.training.seeding import make_deterministic
from benchmark.training.step import Step

Data = dict[str, Cases]
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA card here"),
]


@pytest.fixture(scope="module", autouse=True)
def _deterministic() -> None:
    make_deterministic("cuda")


def test_augmentation_is_the_same_on_the_card(cases: Data) -> None:
    """Every transform on: images within 1e-4, masks but for single pixels on the outline."""
    train = cases["train"]
    always = Augmentation(motion_p=1.0, bias_p=1.0, intensity_p=1.0, noise_p=1.0)
    table = augment.sample(always, 3, 1, train.slice_id)
    images, masks = torch.from_numpy(train.images), torch.from_numpy(train.masks)
    on_cpu = augment.apply(table, images, masks, train.spacing_mm)
    on_gpu = augment.apply(table, images.cuda(), masks.cuda(), train.spacing_mm)
    assert on_gpu[0].device.type == on_gpu[1].device.type == "cuda"
    torch.testing.assert_close(on_gpu[0].cpu(), on_cpu[0], rtol=0, atol=1e-4)
    assert float((on_gpu[1].cpu() != on_cpu[1]).float().mean()) < 1e-4


def test_dropout_has_the_masks_of_a_processor() -> None:
    drawn = np.random.default_rng(3).integers(-(2**31), 2**31, (4, 2), dtype=np.int32)
    keys = torch.from_numpy(drawn)
    on_cpu, on_gpu = (kept(k[:, :1], k[:, 1:], 19661, 100_001) for k in (keys, keys.cuda()))
    assert on_gpu.device.type == "cuda"
    assert torch.equal(on_gpu.cpu(), on_cpu)


@pytest.mark.parametrize("kept_as", ["levels", "floats"])
def test_slices_on_the_card_are_the_slices(cases: Data, kept_as: str) -> None:
    train = cases["train"]
    train = train if kept_as == "levels" else replace(train, grey=train.images)
    resident, rows = Resident.of(train, "cuda"), torch.tensor([2, 0, 5])
    assert resident.images(rows.cuda()).cpu().numpy().tobytes() == train.images[[2, 0, 5]].tobytes()


def trained(
    cases: Data, device: str, how: Execution | None, **changes: Any
) -> list[dict[str, float]]:
    """Two epochs of plain gradient descent, which rounding moves little; all random layers on."""
    recipe = small_recipe(training__optimiser="sgd", training__learning_rate=0.05, **changes)
    torch.manual_seed(11)
    model = UNetArm(kernel_size=3).build(recipe.network)
    context = RunContext(recipe, 5, device=device)
    return train_network(model, 0.3, cases["train"], cases["val"], context, how).history


def alike(found: list[dict[str, float]], expected: list[dict[str, float]], within: float) -> None:
    for key in ("train_loss", "val_loss", "val_dice"):
        values = [row[key] for row in expected]
        assert [row[key] for row in found] == pytest.approx(values, abs=within), key


def test_the_plain_way_on_the_card_trains_as_on_a_processor(cases: Data) -> None:
    """fp32, one sample at a time."""
    on_card = trained(cases, "cuda", PLAIN)
    alike(on_card, trained(cases, "cpu", PLAIN), 5e-3)
    assert all(row["gpu_seconds"] > 0 for row in on_card)


@pytest.mark.parametrize(
    "how",
    [
        Execution(images_per_pass=4),
        Execution(images_per_look=3),
        Execution(images_per_augmentation=12),
        Execution(channels_last=True),
        Execution(images_per_pass=4, cuda_graph=True),
        choose("cuda", "fp32", (64, 64), 4, whole=False),
        replace(choose("cuda", "bf16", (64, 64), 4, whole=False), images_per_look=3),
    ],
    ids=["pass", "look", "augmentation", "last", "graph", "default", "default with channels-last"],
)
def test_every_fast_way_on_the_card_trains_as_the_plain_one(cases: Data, how: Execution) -> None:
    alike(trained(cases, "cuda", how), trained(cases, "cuda", PLAIN), 5e-3)


@pytest.mark.parametrize("batch", [6, 5])
def test_a_last_batch_that_is_smaller_goes_around_the_graph(cases: Data, batch: int) -> None:
    """16 slices in batches of 6, 6, 4 and 5, 5, 5, 1; Adam, whose state sees every gradient."""
    sizes = {"training__batch_size": batch, "training__optimiser": "adam"}
    sizes["training__learning_rate"] = 1e-3
    how = Execution(images_per_pass=batch, images_per_augmentation=2 * batch, cuda_graph=True)
    alike(trained(cases, "cuda", how, **sizes), trained(cases, "cuda", PLAIN, **sizes), 2e-2)


def test_nothing_waits_for_the_card_inside_an_epoch(cases: Data) -> None:
    """But the sums at the end of training and validation, read with .tolist() and float()."""
    recipe, train = small_recipe(), cases["train"]
    model = replace_layers(UNetArm(kernel_size=3).build(recipe.network)).cuda().train()
    optimiser = torch.optim.Adam(model.parameters(), fused=True)
    how = choose("cuda", "fp32", (64, 64), 4, whole=False)
    step = Step(model, thesis_tversky(0.5), optimiser, "fp32", "cuda", how)
    resident, context = Resident.of(train, "cuda"), RunContext(recipe, 5, device="cuda")
    rows = [np.arange(first, first + 4) for first in range(0, 16, 4)]
    passes = list(augmented(step, resident, train, rows, context, 0))
    step(passes[:1], 4)  # warm-up and capture may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        for one in augmented(step, resident, train, rows, context, 1):
            step([one], 4)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_training_resumed_on_the_card_is_the_unbroken_one(cases: Data, tmp_path: Path) -> None:
    context = RunContext(
        small_recipe(training__max_epochs=4), 5, device="cuda", checkpoint_every_seconds=0
    )
    whole = UNetArm(kernel_size=3)
    whole.fit(cases["train"], cases["val"], replace(context, checkpoint=tmp_path / "whole.pt"))

    def kill(history: list[dict[str, float]]) -> None:
        if len(history) == 2:
            raise KeyboardInterrupt

    broken = replace(context, checkpoint=tmp_path / "broken.pt")
    with pytest.raises(KeyboardInterrupt):
        UNetArm(kernel_size=3).fit(cases["train"], cases["val"], replace(broken, on_epoch=kill))
    second = UNetArm(kernel_size=3)
    second.fit(cases["train"], cases["val"], broken)
    images = cases["test"].images
    assert second.predict(images).tobytes() == whole.predict(images).tobytes()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one card")
def test_a_card_that_is_not_the_first(cases: Data) -> None:
    alike(trained(cases, "cuda:1", None), trained(cases, "cuda:0", None), 5e-3)
    assert torch.cuda.current_device() == 0


def test_tf32_is_left_where_it_was(cases: Data) -> None:
    """Augmentation, outside the network, never computes in TF32."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    trained(cases, "cuda", None, training__precision="tf32")
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_capturing_leaves_running_statistics_alone(cases: Data) -> None:
    """Batch norm: three warm-up passes before the capture must not count."""
    how = Execution(images_per_pass=4, images_per_look=4)
    captured = trained(cases, "cuda", replace(how, cuda_graph=True), network__norm="BATCH")
    alike(captured, trained(cases, "cuda", how, network__norm="BATCH"), 5e-3)


def test_the_same_seed_gives_the_same_bits_on_one_card(cases: Data) -> None:
    maps = []
    for _ in range(2):
        arm = UNetArm(kernel_size=3)
        arm.fit(cases["train"], cases["val"], RunContext(small_recipe(), 5, device="cuda"))
        maps.append(arm.predict(cases["test"].images))
    assert maps[0].tobytes() == maps[1].tobytes()


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_other_arithmetic_trains(cases: Data, precision: str) -> None:
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
    options = replace(RunOptions(tmp_path), device="cuda")
    data = PreparedData(slices, {split.split_id: split}, ARMS)
    assert run_one(spec, data, options) is RunState.DONE
    folder = RunFolder(tmp_path, spec.run_id)
    timing, environment = read_json(folder / "timing.json"), read_json(folder / "environment.json")
    assert timing["gpu_seconds"] > 0
    assert timing["peak_gpu_mib"] > 0
    assert environment["device_kind"] == "cuda"
    assert environment["gpu"] == torch.cuda.get_device_name()
