"""The training loop: resuming, stopping, gradients, arithmetic, checkpoints, cost."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
import pytest
import torch
from bench_forms import Trap, small_recipe
from torch import nn

from baselines import ARMS
from baselines.attention_unet import AttentionUNetArm
from baselines.unet import UNetArm
from benchmark.arm import Cases, FitReport, RunContext
from benchmark.errors import ArmError, OutputError, RecordError
from benchmark.protocol import Network
from benchmark.scoring import overlap
from benchmark.training import execution, loop
from benchmark.training.early_stopping import EarlyStopping
from benchmark.training.loop import (
    Resident,
    TrainingState,
    gflop_per_image,
    predict_network,
    train_network,
    validate,
)
from benchmark.training.losses import thesis_tversky
from benchmark.training.seeding import make_deterministic

Patch = pytest.MonkeyPatch
Data = dict[str, Cases]
Floats = list[float]
Changes = dict[str, Any]
TRANSFORMS = ("affine", "elastic", "motion", "bias", "intensity", "noise")
STILL = {f"augmentation__{name}_p": 0.0 for name in TRANSFORMS}
Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module", autouse=True)
def _deterministic() -> None:
    make_deterministic("cpu")


def tiny_model() -> nn.Module:
    """A convolution of one pixel: four numbers."""
    torch.manual_seed(3)
    return nn.Conv2d(1, 2, 1)


def weights(model: nn.Module | None) -> Weights:
    assert model is not None
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same(a: Weights, b: Weights) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_finished_checkpoint_trains_no_more(cases: Data, tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    context = RunContext(small_recipe(), 5, checkpoint=path, checkpoint_every_seconds=0)
    first = train_network(tiny_model(), 0.5, cases["train"], cases["val"], context)
    again = train_network(tiny_model(), 0.5, cases["train"], cases["val"], context)
    assert again.history == first.history  # with its seconds: not one epoch was run


def test_checkpoints_are_as_far_apart_as_asked(
    cases: Data, tmp_path: Path, monkeypatch: Patch
) -> None:
    """Epochs of 40 s, a checkpoint after 80: at 80 s, after the third, and after the fifth."""
    path, now, held = tmp_path / "c.pt", [0.0], []

    def epoch_of_40_seconds(history: list[dict[str, float]]) -> None:
        held.append(len(torch.load(path, weights_only=True)["history"]) if path.exists() else 0)
        now[0] += 40

    clock = SimpleNamespace(monotonic=lambda: now[0], perf_counter=lambda: now[0])
    monkeypatch.setattr(loop, "time", clock)
    recipe = small_recipe(training__max_epochs=5)
    context = RunContext(recipe, 5, checkpoint=path, checkpoint_every_seconds=80)
    context = replace(context, on_epoch=epoch_of_40_seconds)
    train_network(tiny_model(), 0.5, cases["train"], cases["val"], context)
    assert held == [0, 0, 3, 3, 5]


def scripted(
    monkeypatch: Patch, dices: list[float], losses: list[float] | None = None
) -> list[Weights]:
    """Let validation return these values in turn; fills with the weights of each epoch."""
    seen: list[Weights] = []

    def fake(model: nn.Module, *rest: Any) -> tuple[float, float]:
        seen.append(weights(model))
        return (losses or [0.5] * len(dices))[len(seen) - 1], dices[len(seen) - 1]

    monkeypatch.setattr(loop, "validate", fake)
    return seen


def train_scripted(cases: Data, model: nn.Module | None = None, **changes: Any) -> FitReport:
    usual = {"training__max_epochs": 8, "training__patience": 2, **STILL}
    context = RunContext(small_recipe(**{**usual, **changes}), 5)
    return train_network(model or tiny_model(), 0.5, cases["train"], cases["val"], context)


@pytest.mark.parametrize(
    ("dices", "losses", "changes", "stop"),
    [  # patience is 2, and the second epoch the best
        ([0.2, 0.6, 0.4, 0.5], [0.5, 0.4, 0.3, 0.2], {}, 3),
        ([0.2, 0.6, 0.4, 0.6, 0.9], [0.5] * 5, {}, 3),  # an equal is no better
        ([0.2, 0.6], [0.5] * 2, {"max_epochs": 2}, 1),  # the last one is no early stop
        ([0.9, 0.8, 0.7, 0.6], [0.4, 0.3, 0.35, 0.3], {"monitor": "val_loss"}, 3),
    ],
)
def test_training_ends_without_a_better_epoch_and_keeps_the_weights_of_the_best(
    cases: Data, monkeypatch: Patch, dices: Floats, losses: Floats, changes: Changes, stop: int
) -> None:
    seen, model = scripted(monkeypatch, dices, losses), tiny_model()
    changes = {f"training__{name}": value for name, value in changes.items()}
    report = train_scripted(cases, model, **changes)
    assert [same(weights(model), other) for other in seen] == [i == 1 for i in range(stop + 1)]
    facts = {"best_epoch": 1, "stop_epoch": stop, "stopped_early": stop == 3}
    facts |= {"val_dice": dices[1], "val_loss": losses[1]}
    assert facts.items() <= report.facts.items()
    assert len(report.history) == stop + 1


@pytest.mark.parametrize(
    ("dice", "collapsed"), [(0.0, True), (0.0999, True), (0.1, False), (0.8, False)]
)
def test_a_network_that_outlines_nothing_is_marked(
    cases: Data, monkeypatch: Patch, dice: float, collapsed: bool
) -> None:
    scripted(monkeypatch, [dice] * 3)
    assert train_scripted(cases).facts["collapsed"] is collapsed


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_validation_loss_that_is_no_number_ends_the_run(
    cases: Data, monkeypatch: Patch, bad: float
) -> None:
    scripted(monkeypatch, [0.2, 0.3], [0.5, bad])
    with pytest.raises(ArmError, match=r"epoch 1: .*try a lower learning rate"):
        train_scripted(cases)


def test_a_training_loss_that_is_no_number_ends_the_run(cases: Data) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.bias[0] = math.nan  # type: ignore[index, operator, union-attr]
    with pytest.raises(ArmError, match="epoch 0: train loss nan"):
        train_scripted(cases, model)


def passes(model: nn.Module) -> list[int]:
    """Fills with the number of images of each training pass."""
    sizes: list[int] = []
    model.register_forward_pre_hook(
        lambda m, given: sizes.append(len(given[0])) if m.training else None
    )
    return sizes


TRACKING = nn.InstanceNorm2d(2, track_running_stats=True)


@pytest.mark.parametrize(
    ("model", "changes", "whole"),
    [
        (nn.Conv2d(1, 2, 1), {}, False),
        (nn.Sequential(nn.Conv2d(1, 2, 1), nn.InstanceNorm2d(2)), {}, False),
        (nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)), {}, True),
        (nn.Sequential(nn.Conv2d(1, 2, 1), TRACKING), {}, True),
        (AttentionUNetArm().build(Network(channels=(4, 8, 8))), {}, True),  # has batch norm
        (nn.Conv2d(1, 2, 1), {"loss__pool_batch": True}, True),
    ],
)
def test_what_mixes_images_gets_the_whole_batch_at_once(
    cases: Data, monkeypatch: Patch, model: nn.Module, changes: dict[str, Any], whole: bool
) -> None:
    monkeypatch.setattr(execution, "CPU_PIXELS_PER_PASS", 2 * 64 * 64)
    sizes = passes(model)
    report = train_scripted(cases, model, training__max_epochs=1, **changes)
    assert report.facts["images_per_pass"] == (4 if whole else 2)
    assert set(sizes) - {1} == {4 if whole else 2}  # 1: the counting of operations


GFLOP = {3: 7.96, 5: 22.12, 7: 43.37, 9: 71.68}  # of a U-Net of this kernel, 512 x 512


class Bright(nn.Module):
    """Logits 0 and 8 times the grey value: tumour where the image is above 0."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(images), 8 * images], dim=1)


def test_validation_dice_by_hand() -> None:
    images, masks = np.full((3, 64, 64), -1, np.float32), np.zeros((3, 64, 64), bool)
    images[0, 0, :4], masks[0, 0, 2:6] = 1, True  # 4 predicted, 4 true, 2 both: 2 * 2 / 8 = 0.5
    masks[1, 5, 5] = True  # missed: 0; the third is empty on both sides: 1
    val = Cases(images, masks, np.arange(3), (1.0, 1.0))
    context = RunContext(small_recipe(), 1)
    resident, loss = Resident.of(val, "cpu"), thesis_tversky(0.5)
    for per_pass in (1, 2, 3):
        _, dice = validate(Bright(), loss, resident, context, per_pass)
        assert dice == pytest.approx(0.5)


def test_validation_dice_and_loss_agree_with_the_measures(cases: Data) -> None:
    val, context, model = cases["val"], RunContext(small_recipe(), 1), Bright()
    loss, dice = validate(model, thesis_tversky(0.3), Resident.of(val, "cpu"), context, 3)
    maps = predict_network(model, val.images, context)
    dices = [overlap.count(p > 0.5, truth).dice for p, truth in zip(maps, val.masks, strict=True)]
    assert dice == pytest.approx(np.mean(dices), abs=1e-7)
    assert 0 < np.mean(dices) < 1
    losses = []
    for p, truth in zip(maps.astype(float), val.masks, strict=True):
        tp, fn, fp = (p * truth).sum(), ((1 - p) * truth).sum(), (p * ~truth).sum()
        losses.append(1 - tp / (tp + 0.3 * fn + 0.7 * fp))  # thesis, 2.10: alpha weighs fn
    assert loss == pytest.approx(np.mean(losses), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "params", "gflop"),
    [
        *(("unet", {"kernel_size": k}, n) for k, n in GFLOP.items()),
        ("unet-maxpool", {"kernel_size": 3}, 13.514),
        ("unet-maxpool", {}, 37.539),
        ("attention-unet", {}, 78.3),
        ("dynunet", {}, 357.437),
    ],
)
def test_the_cost_that_an_arm_says_is_the_one_counted(
    name: str, params: dict[str, Any], gflop: float
) -> None:
    entry = ARMS[name]
    with torch.device("meta"):
        counted = gflop_per_image(entry.load()(**params).build(Network()), (512, 512))
    assert counted == pytest.approx(gflop, rel=1e-3)
    assert entry.gflop is not None
    assert entry.gflop(entry.resolve(params)) == pytest.approx(counted, rel=1e-3)


def test_cost_by_hand() -> None:
    # a 3x3 convolution from 1 to 2 channels on 8x8 pixels: 8*8*2*9 products, 2 operations each =
    # 2304 forward; backward the weights' gradient costs the same, and the image needs none
    assert gflop_per_image(nn.Conv2d(1, 2, 3, padding=1), (8, 8)) == pytest.approx(2 * 2304e-9)


class Keeping(nn.Module):
    """Keeps what it made last, for pictures of it; asked is whether it looks at its values too."""

    def __init__(self, asked: bool) -> None:
        super().__init__()
        self.layer, self.asked = nn.Conv2d(1, 2, 3, padding=1), asked

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.kept = self.layer(images)
        if self.asked and float(self.kept.max()) > 1e6:
            raise OverflowError
        return self.kept


@pytest.mark.parametrize("asked", [False, True])
def test_what_cannot_be_counted_or_copied_after_its_training_is_trained(
    cases: Data, asked: bool
) -> None:
    """On shapes alone there are no values: such a cost is not known. 64 x 64, as by hand above."""
    report = train_scripted(cases, Keeping(asked), training__max_epochs=1)
    assert report.train_gflop_per_image == (None if asked else pytest.approx(2 * 64 * 2304e-9))
    assert len(report.history) == 1


def test_bf16_trains_on_a_processor_and_is_another_arithmetic(cases: Data) -> None:
    maps = {}
    for precision in ("fp32", "bf16", "tf32"):
        arm = UNetArm(kernel_size=3)
        recipe = small_recipe(training__max_epochs=1, training__precision=precision)
        report = arm.fit(cases["train"], cases["val"], RunContext(recipe, 5))
        assert math.isfinite(report.history[0]["train_loss"])
        maps[precision] = arm.predict(cases["test"].images)
        assert maps[precision].dtype == np.float32
    assert np.abs(maps["bf16"] - maps["fp32"]).max() > 1e-5
    np.testing.assert_array_equal(maps["tf32"], maps["fp32"])  # no processor has tf32


def test_a_checkpoint_that_would_run_code_is_refused(cases: Data, tmp_path: Path) -> None:
    trap, path = tmp_path / "it ran", tmp_path / "checkpoint.pt"
    torch.save({"model": Trap(trap)}, path)
    pickle.loads(pickle.dumps(Trap(trap)))  # the trap works
    trap.unlink()
    context = RunContext(small_recipe(), 1, checkpoint=path)
    with pytest.raises(RecordError, match=r"checkpoint.pt: cannot be read; remove it") as caught:
        train_network(tiny_model(), 0.5, cases["train"], cases["val"], context)
    assert isinstance(caught.value.__cause__, pickle.UnpicklingError)
    assert not trap.exists()


@pytest.fixture
def state() -> TrainingState:
    model = tiny_model()
    return TrainingState(model, torch.optim.Adam(model.parameters()), EarlyStopping(2))


def test_a_checkpoint_is_replaced_at_once_or_not_at_all(
    state: TrainingState, tmp_path: Path, monkeypatch: Patch
) -> None:
    """Where writing stops, the last one stands and nothing else."""
    path = tmp_path / "checkpoint.pt"
    state.save(path)
    before = path.read_bytes()

    def crash(content: object, stream: IO[bytes]) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", crash)
    with pytest.raises(KeyboardInterrupt):
        state.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_that_the_disk_refuses_is_named(state: TrainingState, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"missing.checkpoint\.pt: cannot be written"):
        state.save(tmp_path / "missing" / "checkpoint.pt")


@pytest.mark.parametrize("share", [0, 0.1, 0.9])
def test_a_torn_checkpoint_is_named_with_the_cure(
    state: TrainingState, tmp_path: Path, share: float
) -> None:
    path = tmp_path / "checkpoint.pt"
    state.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    cure = r"checkpoint.pt: cannot be read; remove it to start this training over"
    with pytest.raises(RecordError, match=cure):
        state.load(path, "cpu")
