"""Every setting of a spec reaches the place where it acts: a table, seen in finished runs."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_forms import Faulty, bits, names_of
from torch.optim import SGD, Adam, AdamW
from wiring_forms import (
    CHANCES,
    SLICES,
    SPLITS,
    TABLE,
    Lab,
    batches,
    cases,
    changed,
    drawn,
    logits,
    maps,
    outlines,
    still,
    train_loss,
    tversky,
    validation,
)

from baselines import ARMS
from benchmark.arm import FloatImages, RunContext
from benchmark.inference.trained_model import load
from benchmark.planning.request import Request, prepare
from benchmark.preprocessing.level_table import Levels
from benchmark.protocol import Recipe, SplitRule
from benchmark.runs import run_folder
from benchmark.runs.prepared_data import PreparedData, PreparedSet
from benchmark.runs.run_folder import RunState, read_json
from benchmark.runs.runner import RunOptions, run_grid, run_one
from benchmark.runs.spec import RunSpec
from benchmark.scoring.evaluate import simulated_clicks
from benchmark.scoring.overlap import count
from benchmark.splits.split import make

pytestmark = pytest.mark.slow

Seen = Callable[[Lab, RunSpec, RunSpec], None]  # of two cells that differ in one setting


def in_loss_and_outlines(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    """Both cells have the losses, Dice, weights and outlines that formulas give, and differ."""
    for spec in (one, other):
        agrees_with_formulas(lab, spec)
    assert lab.run(one).history != lab.run(other).history


def agrees_with_formulas(lab: Lab, spec: RunSpec) -> None:
    """Looked at once for each cell: many rows change the same one."""
    if spec.run_id in lab.agreed:
        return
    cell = lab.run(spec)
    weights = cell.weights
    for name, weight in drawn(spec).named_parameters():
        torch.testing.assert_close(weights[name], weight.detach(), rtol=0, atol=1e-25, msg=name)
    val_loss, val_dice = validation(spec, weights)
    losses = {"train_loss": train_loss(spec), "val_loss": val_loss}
    expected = {"epoch": 0, **losses, "val_dice": val_dice}
    assert cell.history == [pytest.approx(expected, rel=0, abs=5e-7)]  # ten times the rounding
    np.testing.assert_array_equal(cell.masks, outlines(spec, weights))
    images, model = cases(spec, "test").images, load(lab.out, spec.run_id, TABLE, "cpu")
    np.testing.assert_allclose(model.arm.predict(images), maps(spec, weights, images), rtol=1e-5)
    assert (model.fed, model.shape) == (spec.shape, SLICES.shape)
    assert model.spacing_mm == SLICES.spacing_mm
    lab.agreed.add(spec.run_id)


def in_training_alone(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    """As above, and validation and outlines do not change."""
    in_loss_and_outlines(lab, one, other)
    first, second = (dict(lab.run(spec).history[0]) for spec in (one, other))
    assert first.pop("train_loss") != second.pop("train_loss")
    assert first == second


def in_the_steps(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    """The weights are plain PyTorch's, where gradients are clear: Adam makes rounding large."""
    for spec in (one, other):
        model, train, weights = drawn(spec), cases(spec, "train"), lab.run(spec).weights
        rule = spec.recipe.training
        kind = {"sgd": SGD, "adam": Adam, "adamw": AdamW}[rule.optimiser]
        optimiser = kind(model.parameters(), rule.learning_rate)
        before, clear = copy.deepcopy(model.state_dict()), {}
        for rows in batches(spec, len(train)):
            optimiser.zero_grad()
            z = logits(model, torch.from_numpy(train.images[rows]), spec)
            tversky(z, torch.from_numpy(train.masks[rows]), spec).backward()
            clear = clear or {name: w.grad.abs() > 1e-4 for name, w in model.named_parameters()}  # type: ignore[union-attr]
            optimiser.step()
        for name, after in model.state_dict().items():
            moves = [(end - before[name])[clear[name]] for end in (weights[name], after)]
            torch.testing.assert_close(*moves, rtol=0.01, atol=1e-6)
        assert any(map(torch.any, clear.values()))
    assert lab.run(one).history != lab.run(other).history


def in_how_long_it_trains(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    """A network that never gets better has patience more epochs, and at most max_epochs."""
    lengths = [len(lab.run(spec).history) for spec in (one, other)]
    rules = [spec.recipe.training for spec in (one, other)]
    assert lengths == [min(1 + rule.patience, rule.max_epochs) for rule in rules]
    assert lengths[0] != lengths[1]


def in_the_epoch_that_is_kept(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    """The weights are those of the greatest val_dice, or of the least val_loss, another epoch."""
    best = []
    for spec in (one, other):
        cell = lab.run(spec)
        by = {"val_dice": lambda row: -row["val_dice"], "val_loss": lambda row: row["val_loss"]}
        row = min(cell.history, key=by[spec.recipe.training.monitor])
        expected = pytest.approx((row["val_loss"], row["val_dice"]), rel=1e-5)
        assert validation(spec, cell.weights) == expected
        assert cell.fit["best_epoch"] == row["epoch"]
        best.append(row["epoch"])
    assert best[0] != best[1]


def in_the_images(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    """An arm is fed images that were given the standard histogram of the spec."""
    seen = []
    for number, spec in enumerate((one, other)):
        out = lab.out / f"{one.run_id}-{other.run_id}-{number}"  # anew: its cases are kept nowhere
        assert run_one(spec, PreparedData(SLICES, SPLITS, TABLE), RunOptions(out)) is RunState.DONE
        seen.append(Faulty.seen["train"].images)
        np.testing.assert_allclose(seen[-1], cases(spec, "train").images, atol=1e-6)
    assert np.abs(seen[0] - seen[1]).max() > 1e-4


def in_the_sets(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    """A grid's split has the shares of its rule, or folds of whole patients, and names its runs."""
    fingerprints = []
    for spec in (one, other):
        rule = spec.recipe.split
        words = {f"split.{name}": value for name, value in asdict(rule).items()}
        asked = Request(data="phantoms", grid="baselines", overrides=words, out=lab.out / "none")
        job = prepare(asked, ARMS)
        (split,) = job.splits.values()
        patient = dict(zip(job.slices.slice_id.tolist(), job.slices.patient_id, strict=True))
        parts = (split.train, split.val, split.test)
        sizes = [len(part) for part in parts]
        if rule.unit == "image":
            test = round(24 * rule.test_fraction)
            val = round((24 - test) * rule.val_fraction)
            assert sizes == [24 - test - val, val, test]
        else:
            homes = [{patient[number] for number in part} for part in parts]
            assert sum(map(len, homes)) == len(set().union(*homes)) == 8
            assert {len(home) for home in homes[1:]} <= {8 // rule.folds, -(-8 // rule.folds)}
        own = {**names_of(job.slices, split), "split": rule}
        assert job.specs
        assert all(own.items() <= {**vars(s), "split": s.recipe.split}.items() for s in job.specs)
        fingerprints.append(split.fingerprint)
    assert fingerprints[0] != fingerprints[1]


def in_the_run_id(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    """Another run, which its record names, and the same numbers."""
    name = next(f.name for f in fields(RunSpec) if getattr(one, f.name) != getattr(other, f.name))
    first, second = lab.run(one), lab.run(other)
    assert one.run_id != other.run_id
    stored = [read_json(c.folder / run_folder.SPEC)["spec"].get(name) for c in (first, second)]
    assert stored == [getattr(spec, name) for spec in (one, other)]
    assert first.history == second.history


def nowhere(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    """The same run."""
    assert one != other
    assert one.run_id == other.run_id


def in_the_outlines(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    assert (lab.run(one).masks != lab.run(other).masks).any()


def in_the_rim(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    """A rim as thick as the head's radius leaves no inside: only a region's seed is outlined."""
    assert lab.run(one).masks.sum(axis=(1, 2)).max() > 1
    seeded, region = int("click" in other.arm), int("region" in other.arm)
    assert set(lab.run(other).masks.sum(axis=(1, 2)).tolist()) <= {seeded, region}


def in_the_thresholds(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    """What is chosen is one of so many steps from -1 to 1."""
    found = []
    for spec in (one, other):
        found.append(lab.run(spec).fit["threshold"])
        place = (found[-1] + 1) / 2 * spec.params["steps"]
        assert place == pytest.approx(round(place))
    assert found[0] != found[1]


def in_the_slices_tuned_on(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    """The Dice of the tuning is the mean over so many training slices, evenly spaced, or all."""
    for spec in (one, other):
        fit, train = lab.run(spec).fit, cases(spec, "train")
        arm = ARMS[spec.arm].load()(**spec.params)
        state = {name: value for name, value in fit.items() if name != "tuning_dice"}
        arm.restore(state, RunContext(spec.recipe, 0))
        clicks = [simulated_clicks(train.masks)] if arm.needs_click else []
        pairs = zip(arm.predict(train.images, *clicks), train.masks, strict=True)
        dices = [count(a > 0.5, b).dice for a, b in pairs]
        places = {1: [0], 2: [0, 15]}.get(spec.params["tuning_slices"], range(16))
        assert fit["tuning_dice"] == pytest.approx(np.mean([dices[place] for place in places]))
    assert lab.run(one).fit != lab.run(other).fit


def in_who_is_asked(lab: Lab, one: RunSpec, other: RunSpec) -> None:
    """The click is in every outline of the arm that is shown it, and not in its twin's."""
    test = SLICES.masks[np.isin(SLICES.slice_id, SPLITS[one.split_id].test)]
    rows, clicks = np.arange(len(test)), simulated_clicks(test)
    hit = [lab.run(spec).masks[rows, clicks[:, 0], clicks[:, 1]].all() for spec in (one, other)]
    assert hit == [False, True]


@dataclass(frozen=True)
class Row:
    """A setting, where it acts, how that is seen; values tried, and settings of both cells."""

    setting: str
    where: str
    seen: Seen
    values: tuple[Any, ...]
    around: Mapping[str, Any] = field(default_factory=dict)
    of: str = "unet"

    @property
    def arm(self) -> str:
        """A parameter's own arm, else the one the setting is tried with."""
        section = self.setting.partition(".")[0]
        return section if section in ARMS else self.of


AUGMENTED = dict.fromkeys(CHANCES, 1.0)
RANDOM = {**AUGMENTED, "network.dropout": 0.3, "loss.pool_batch": True}  # the order counts


def augmented(name: str, value: Any, **around: Any) -> Row:
    around = {**AUGMENTED, **around}
    setting = f"augmentation.{name}"
    return Row(setting, "the images of an epoch", in_training_alone, (value,), around)


STEP = {"training.batch_size": 16, "training.learning_rate": 0.01}
FAST = {"training.learning_rate": 0.1}
LONG = {"training.max_epochs": 4, "training.patience": 2}
SHRINKING = {  # outlines shrink to nothing: the loss, of false positives alone, falls on
    "unet.alpha": 0.0,
    "training.learning_rate": 0.1,
    "training.optimiser": "adam",
    "training.max_epochs": 4,
    "seed": 2,
}
BY_PATIENT = {"split.unit": "patient"}
GROWERS = ("region-growing", "click-region-growing")
NAME, DRAW = "the name of the run", "the draw of the split"
BUILT, LOOKS = "the network that is built", "training and validation"
# fmt: off
ROWS = [
    Row("arm", "whose fit and predict are called", in_who_is_asked, (GROWERS[1],), of=GROWERS[0]),
    Row("dataset_id", NAME, in_the_run_id, ("0" * 64,)),
    Row("content_fingerprint", NAME, in_the_run_id, ("0" * 64,)),
    Row("source", NAME, in_the_run_id, ("0" * 64,)),
    Row("split_fingerprint", NAME, in_the_run_id, ("0" * 64,)),
    Row("split_id", "the slices of the three sets", in_loss_and_outlines, ("by-image-2",)),
    Row("shape", "the pixels and mm fed", in_loss_and_outlines, ((64, 32),), AUGMENTED),
    Row("seed", "every draw", in_loss_and_outlines, (2,), RANDOM),
    Row("recipe.name", "nowhere: its values are the run's identity", nowhere, ("another",)),
    Row("preprocess.nyul_fit", "the images that teach", in_the_images, ("train",), of="faulty"),
    Row("preprocess.nyul_foreground", "the pixels", in_the_images, ("whole",), of="faulty"),
    Row("preprocess.nyul_percentiles", "the landmarks", in_the_images, ([5, 50, 95],), of="faulty"),
    Row("split.unit", DRAW, in_the_sets, ("patient",)),
    Row("split.test_fraction", DRAW, in_the_sets, (0.25,)),
    Row("split.val_fraction", DRAW, in_the_sets, (0.5,)),
    Row("split.folds", DRAW, in_the_sets, (4,), BY_PATIENT),
    augmented("affine_p", 0.5),
    augmented("scale", 0.3),
    augmented("rotation_degrees", 40.0),
    augmented("elastic_p", 0.5),
    augmented("elastic_control_points", 9),
    augmented("elastic_mm", 2.0),
    augmented("motion_p", 0.5),
    augmented("motion_degrees", 30.0),
    augmented("motion_mm", 3.0),
    augmented("bias_p", 0.5),
    augmented("bias_order", 1),
    augmented("bias_coefficient", 0.1),
    augmented("intensity_p", 0.5),
    augmented("intensity_change", 0.1),
    augmented("intensity_mode", "shift"),
    augmented("noise_p", 0.5),
    augmented("noise_sd", 0.1),
    augmented("noise_with_intensity", True, **{"augmentation.noise_p": 0.5}),
    augmented("black_level", 0.0),
    Row("network.channels", BUILT, in_loss_and_outlines, ([2, 4, 8],)),
    Row("network.dropout", "the network in training", in_training_alone, (0.3, 1.0)),
    Row("network.norm", BUILT, in_loss_and_outlines, ("BATCH",)),
    Row("network.act", BUILT, in_loss_and_outlines, ("RELU", "LEAKYRELU")),
    Row("loss.activation", "training, validation and outlines", in_loss_and_outlines, ("sigmoid",)),
    Row("loss.include_background", LOOKS, in_loss_and_outlines, (True,)),
    Row("loss.pool_batch", LOOKS, in_loss_and_outlines, (True,)),
    Row("training.optimiser", "the step", in_the_steps, ("adam", "adamw"), STEP),
    Row("training.learning_rate", "the step", in_the_steps, (0.1,), STEP),
    Row("training.batch_size", "the step", in_the_steps, (5, 16), FAST),
    Row("training.max_epochs", "the end of training", in_how_long_it_trains, (2,), LONG),
    Row("training.patience", "the end of training", in_how_long_it_trains, (1,), LONG),
    Row("training.monitor", "weights kept", in_the_epoch_that_is_kept, ("val_loss",), SHRINKING),
    Row("training.precision", "every pass", in_loss_and_outlines, ("bf16",)),
    Row("unet.alpha", "the loss", in_loss_and_outlines, (0.9,)),
    Row("unet.kernel_size", BUILT, in_loss_and_outlines, (5,)),
    Row("attention-unet.alpha", "the loss", in_loss_and_outlines, (0.9,)),
    Row("unet-maxpool.alpha", "the loss", in_loss_and_outlines, (0.9,)),
    Row("unet-maxpool.kernel_size", BUILT, in_loss_and_outlines, (5,)),
    Row("dynunet.alpha", "the loss", in_loss_and_outlines, (0.9,)),
    Row("dynunet.loss", "the loss", in_loss_and_outlines, ("dice-ce",)),
    Row("otsu.rim", "the inside of the head", in_the_rim, (1.0,)),
    Row("edges.rim", "the inside of the head", in_the_rim, (1.0,)),
    Row("edges.smoothing", "the blur before edges and slopes", in_the_outlines, (0.2,)),
    Row("edges.band", "how far the watershed may go", in_the_outlines, (0.4,)),
    Row("edges.tuning_slices", "the slices tuned on", in_the_slices_tuned_on, (1, 2)),
    Row("clusters.rim", "the inside of the head", in_the_rim, (1.0,)),
    Row("clusters.tuning_slices", "the slices tuned on", in_the_slices_tuned_on, (1, 2)),
    Row("threshold.rim", "the inside of the head", in_the_rim, (1.0,)),
    Row("threshold.steps", "the thresholds that are tried", in_the_thresholds, (10,)),
    Row("threshold.tuning_slices", "the slices tuned on", in_the_slices_tuned_on, (1, 2)),
]
for grower in GROWERS:
    ROWS += [
        Row(f"{grower}.smoothing", "the blur before growing", in_the_outlines, (0.2,)),
        Row(f"{grower}.rim", "the inside of the head", in_the_rim, (1.0,)),
        Row(f"{grower}.neck", "the passages that are not entered", in_the_outlines, (0.5,)),
        Row(f"{grower}.tuning_slices", "the slices tuned on", in_the_slices_tuned_on, (1, 2)),
    ]
# fmt: on


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("cells"))


def test_the_table_has_one_row_for_every_setting_there_is() -> None:
    there = [f.name for f in fields(RunSpec) if f.name not in ("recipe", "params")]
    there.append("recipe.name")
    sections = {f.name: getattr(Recipe(), f.name) for f in fields(Recipe) if f.name != "name"}
    there += [f"{name}.{f.name}" for name, section in sections.items() for f in fields(section)]
    there += [f"{name}.{parameter}" for name, entry in ARMS.items() for parameter in entry.defaults]
    assert Counter(row.setting for row in ROWS) == Counter(there)


@pytest.mark.usefixtures("few_phantoms")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.setting)
def test_a_setting_acts(row: Row, lab: Lab) -> None:
    """And the look is no empty one: it fails where both cells are the same."""
    one = changed(still(row.arm), row.around)
    for value in row.values:
        row.seen(lab, one, changed(one, {row.setting: value}))
    with pytest.raises((AssertionError, StopIteration)):
        row.seen(lab, one, one)
    assert row.values


def test_one_bench_prepares_what_a_fresh_one_does() -> None:
    """Each request differs from the one before in the teaching images, the rule, or the size."""
    folds = [make(SLICES, SplitRule("patient"), number) for number in (1, 2)]
    first = changed(still("faulty"), {"preprocess.nyul_fit": "train"})
    whole = changed(first, {"preprocess.nyul_foreground": "whole"})
    small = changed(whole, {"shape": (64, 32)})
    shared = PreparedData(SLICES, SPLITS, TABLE)
    before: PreparedSet | None = None
    for spec, number in [(first, 0), (first, 1), (whole, 1), (small, 1), (first, 0)]:
        fresh = PreparedData(SLICES, SPLITS, TABLE).prepared(spec, folds[number])
        again = shared.prepared(spec, folds[number])
        assert again.landmarks == fresh.landmarks
        np.testing.assert_array_equal(values(again), values(fresh))
        np.testing.assert_array_equal(again.masks, fresh.masks)
        assert before is None or not np.array_equal(values(before), values(fresh))
        before = fresh


def values(prepared: PreparedSet) -> FloatImages:
    return prepared.images.values() if isinstance(prepared.images, Levels) else prepared.images


def test_one_bench_over_two_folds_gives_the_runs_of_two_fresh_ones(tmp_path: Path) -> None:
    drawn_folds = [make(SLICES, SplitRule("patient"), number) for number in (1, 2)]
    folds = {fold.split_id: fold for fold in drawn_folds}
    training = {"preprocess.nyul_fit": "train", "training.learning_rate": 0.1}
    specs = [
        changed(spec, {"split_id": name, "split_fingerprint": fold.fingerprint})
        for name, fold in folds.items()
        for spec in (changed(still(), training), changed(still("threshold"), training))
    ]
    run_grid(specs, PreparedData(SLICES, folds, TABLE), RunOptions(tmp_path / "shared"))
    fresh = RunOptions(tmp_path / "fresh", keep_models=True)
    for spec in specs:
        data = PreparedData(SLICES, folds, TABLE)
        assert run_one(spec, data, fresh) is RunState.DONE
        model = load(fresh.out, spec.run_id, TABLE, "cpu")
        assert model.landmarks == data.prepared(spec, folds[spec.split_id]).landmarks
    assert len(bits(fresh.out)) == 2 * 2 + 2 * 3  # scores, masks, and of networks a history
    assert bits(tmp_path / "shared") == bits(tmp_path / "fresh")
