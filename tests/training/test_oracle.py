"""Three epochs, and trainings that are killed, against a loop in plain PyTorch and MONAI.

Both sides add the same numbers in another order, and compute in float64: rounding is so small there
that none of it shows, whatever the processor. In float32 it shows: two orders differ by 1e-7, but
where rounding turns a ReLU on, or Adam scales the slope of a bias before a batch norm (rounding and
nothing else) up to whole steps, two orders of one sum end up to 4e-3 apart, with some kernels.

Tolerances: the losses of an epoch agree to 1e-10 (measured: 5e-14), the weights to 1e-9 of the way
that they have gone (measured: 3e-14). A training that shuffles, or drops units, as another seed
would ends a third of the way or more apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import plain_training
import pytest
import torch
from bench_forms import augmented, small_recipe
from plain_training import Plain, Weights, untrained
from torch import nn

from baselines.attention_unet import AttentionUNetArm
from baselines.dynunet import DynUNetArm
from baselines.unet import UNetArm
from baselines.unet_maxpool import MaxPoolUNetArm
from benchmark.arm import Cases, FitReport, RunContext
from benchmark.network_arm import NetworkArm
from benchmark.protocol import Recipe
from benchmark.training import loop
from benchmark.training.execution import PLAIN, Execution
from benchmark.training.loop import train_network
from benchmark.training.seeding import make_deterministic

Data = dict[str, Cases]
SEED, ALPHA, CHANNELS = 5, 0.3, (4, 8, 8)
ARMS: dict[str, Callable[[], NetworkArm]] = {
    "unet": lambda: UNetArm(alpha=ALPHA, kernel_size=3),
    "attention-unet": lambda: AttentionUNetArm(alpha=ALPHA),
    "unet-maxpool": lambda: MaxPoolUNetArm(alpha=ALPHA, kernel_size=3),
    "dynunet": lambda: DynUNetArm(alpha=ALPHA),
}
SUMMARY, WEIGHTS, ANOTHER_TRAINING = 1e-10, 1e-9, 0.1


@pytest.fixture(scope="module", autouse=True)
def _in_double() -> Iterator[None]:
    """Networks are built in float64, and what is cast to "float" is cast to that, on both sides."""
    make_deterministic("cpu")
    torch.set_default_dtype(torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def cases(cases: Data) -> Data:
    double = {part: own.images.astype(np.float64) for part, own in cases.items()}
    return {part: replace(own, grey=double[part]) for part, own in cases.items()}  # type: ignore[arg-type]


def recipe_of(**changes: Any) -> Recipe:
    usual = {"network__channels": list(CHANNELS), "training__max_epochs": 3}
    return small_recipe(**{**usual, **changes})


def plainly(model: nn.Module, cases: Data, recipe: Recipe, epochs: int = 3) -> Plain:
    train, val = cases["train"], cases["val"]
    pictures, known = augmented(recipe, SEED, train), (val.images, val.masks)
    settings = {"seed": SEED, "alpha": ALPHA, "epochs": epochs, "batch": recipe.training.batch_size}
    return plain_training.train(model, train.slice_id, pictures, known, **settings)


def agree(report: FitReport, plain: Plain) -> None:
    assert report.facts["best_epoch"] == plain.best_epoch
    assert [row["epoch"] for row in report.history] == [row["epoch"] for row in plain.history]
    for ours, theirs in zip(report.history, plain.history, strict=True):
        for name in ("train_loss", "val_loss", "val_dice"):
            assert ours[name] == pytest.approx(theirs[name], abs=SUMMARY)


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_trains_as_a_plain_loop_does(name: str, cases: Data) -> None:
    """With dropout, from the seed to the weights of the best epoch."""
    recipe, arm = recipe_of(), ARMS[name]()
    report = arm.fit(cases["train"], cases["val"], RunContext(recipe, SEED))
    plain = plainly(untrained(name, SEED, CHANNELS), cases, recipe)
    agree(report, plain)
    assert {v.dtype for v in arm.state().values() if v.is_floating_point()} == {torch.float64}
    assert plain.apart(arm.state(), plain.best_epoch) < WEIGHTS


@pytest.mark.parametrize(
    "how", [PLAIN, Execution(images_per_pass=4, images_per_look=3, images_per_augmentation=12)]
)
def test_batches_that_go_through_in_unequal_passes_train_as_whole_ones(
    how: Execution, cases: Data
) -> None:
    """16 slices in batches of 6, 6, 4, in passes of 4, 2, 4, 2, 4: the mean loss is over images."""
    recipe = recipe_of(training__batch_size=6, network__dropout=0.0)
    ours, theirs = (untrained("unet", SEED, CHANNELS, dropout=0.0) for _ in range(2))
    report = train_network(ours, ALPHA, cases["train"], cases["val"], RunContext(recipe, SEED), how)
    plain = plainly(theirs, cases, recipe)
    agree(report, plain)
    assert plain.apart(ours.state_dict(), plain.best_epoch) < WEIGHTS


class Odd(nn.Module):
    """Draws from torch's own generator, has a frozen layer, and a weight that is not used."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(8)
        self.row = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Dropout2d(0.5), nn.Conv2d(8, 2, 1)
        )
        self.row[0].requires_grad_(False)
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.row(x)  # type: ignore[no-any-return]


def test_a_network_of_another_kind_trains_as_in_a_plain_loop(cases: Data) -> None:
    """What it draws is of (seed, epoch, batch); what is frozen or not used stays as it was."""
    ours, theirs, recipe = Odd(), Odd(), recipe_of()
    report = train_network(ours, ALPHA, cases["train"], cases["val"], RunContext(recipe, SEED))
    plain = plainly(theirs, cases, recipe)
    agree(report, plain)
    weights = ours.state_dict()
    assert plain.apart(weights, plain.best_epoch) < WEIGHTS
    for name in ("row.0.weight", "unused"):
        assert torch.equal(weights[name], plain.start[name])
    assert report.parameters == 8 * 2 + 2 + 3  # what is trained
    assert all(weight.grad is None for weight in ours.parameters())  # no memory is held on to


DICE = [0.6, 0.4, 0.3, 0.2]  # the best epoch is the first, before any kill


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Weights]:
    """Let validation return `DICE`, epoch by epoch; fills with the weights that it was shown."""
    shown: list[Weights] = []

    def validate(model: nn.Module, *rest: Any) -> tuple[float, float]:
        shown.append({name: value.clone() for name, value in model.state_dict().items()})
        return 0.5, DICE[len(shown) - 1]

    monkeypatch.setattr(loop, "validate", validate)
    return shown


@pytest.fixture(scope="module")
def four_epochs(cases: Data) -> Callable[[str], Plain]:
    return cache(
        lambda name: plainly(untrained(name, SEED, CHANNELS), cases, recipe_of(), epochs=4)
    )


def untimed(report: FitReport) -> list[dict[str, float]]:
    names = ("epoch", "train_loss", "val_loss", "val_dice")
    return [{name: row[name] for name in names} for row in report.history]


@pytest.mark.parametrize("killed_after", [1, 2, 3])
@pytest.mark.parametrize("name", ARMS)
def test_a_killed_training_goes_on_from_its_last_weights_and_keeps_its_best(
    name: str, killed_after: int, seen: list[Weights], four_epochs: Callable[[str], Plain],
    cases: Data, tmp_path: Path,
) -> None:  # fmt: skip
    """Every epoch is the plain loop's, the best one lies before the kill, and the end is that of no
    kill, bit for bit.

    With a patience of 3 the fourth epoch is the last: whoever forgot the best one would go on.
    """
    recipe = recipe_of(training__max_epochs=8, training__patience=3)
    context = RunContext(recipe, SEED, checkpoint=tmp_path / "c.pt", checkpoint_every_seconds=0)

    def kill(history: list[dict[str, float]]) -> None:
        if len(history) == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ARMS[name]().fit(cases["train"], cases["val"], replace(context, on_epoch=kill))
    heard: list[int] = []
    second = ARMS[name]()
    go_on = replace(context, on_epoch=lambda history: heard.append(len(history)))
    resumed = second.fit(cases["train"], cases["val"], go_on)
    assert heard == [*range(killed_after, 5)]  # what the checkpoint held, then each new epoch
    plain = four_epochs(name)
    assert len(seen) == 4
    for epoch, weights in enumerate(seen):
        assert plain.apart(weights, epoch) < WEIGHTS
        losses = (history[epoch]["train_loss"] for history in (resumed.history, plain.history))
        assert next(losses) == pytest.approx(next(losses), abs=SUMMARY)
    assert [row["val_dice"] for row in resumed.history] == DICE
    facts = {"best_epoch": 0, "stop_epoch": 3, "stopped_early": True}
    assert facts.items() <= resumed.facts.items()
    assert all(torch.equal(value, seen[0][key]) for key, value in second.state().items())

    seen.clear()
    whole = ARMS[name]()
    report = whole.fit(cases["train"], cases["val"], replace(context, checkpoint=None))
    assert untimed(resumed) == untimed(report)
    assert resumed.facts == report.facts
    assert all(torch.equal(value, second.state()[key]) for key, value in whole.state().items())
    predicted = [arm.predict(cases["test"].images).tobytes() for arm in (second, whole)]
    assert predicted[0] == predicted[1]


@pytest.mark.parametrize("draws", ["order", "dropout"])
def test_the_tolerance_tells_other_draws_apart(
    draws: str, four_epochs: Callable[[str], Plain], cases: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain loop that draws as another seed would, in this stream alone, ends far away."""
    number, stream = getattr(plain_training, draws.upper()), plain_training.stream
    monkeypatch.setattr(
        plain_training,
        "stream",
        lambda seed, name, *rest: stream(seed + (name == number), name, *rest),
    )
    other = plainly(untrained("unet", SEED, CHANNELS), cases, recipe_of(), epochs=3)
    monkeypatch.undo()
    assert four_epochs("unet").apart(other.weights[2], 2) > ANOTHER_TRAINING
