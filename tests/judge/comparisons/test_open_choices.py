"""Open choices: one change at a time from the reference, which is told; never two, never a verdict
on a single training.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pandas as pd
import pytest
from judged_runs import EMPTY
from run_records import BY_PATIENT, join, table, terms

from benchmark.judge.comparisons.headline import headline
from benchmark.judge.comparisons.open_choices import OpenChoices, choices_table, open_choices
from benchmark.judge.comparisons.reference_trainings import reference_trainings
from benchmark.judge.comparisons.split_effect import split_effects
from benchmark.judge.shipped import shipped
from benchmark.judge.tables import Record
from benchmark.planning.evidence import Step, load_plan, plan_of
from benchmark.protocol import load_recipe, open_settings
from benchmark.runs.collect import Collected, changed_settings, protocol_hash, without_test

REFERENCE, RULES = terms()
PATIENTS = ["p", "p", "q", "q", "r", "s"]
HARD = [0.5, 0.9, 0.6, 0.7, 0.8, 0.4]
SMALL = {"height": 256, "width": 256}
LEVELS = {1: -0.02, 2: 0.0, 3: 0.02}


def trained(
    by_seed: Mapping[int, float], settings: Mapping[str, Any] | None = None, **more: Any
) -> Collected:
    """Trainings of the best cell at 256x256, each with every slice by so much above `HARD`."""
    own = load_recipe("thesis", settings).identity()
    named = {
        "changed_settings": json.dumps(
            changed_settings(own), separators=(",", ":"), sort_keys=True
        ),
        "protocol_hash": protocol_hash(own),
        "recipe_hash": protocol_hash(without_test(own)),
        "precision": own["training"]["precision"],
    }
    dice = {seed: [hard + level for hard in HARD] for seed, level in by_seed.items()}
    return table(dice, PATIENTS, **{**SMALL, "fit.best_epoch": 9, **named, **more})


def found(*parts: Collected, steps: Sequence[Step] = ()) -> list[OpenChoices]:
    return open_choices(join(*parts), REFERENCE, RULES, steps)


def rows(choices: OpenChoices) -> dict[str, Record]:
    made = choices_table(choices, REFERENCE, RULES.contrasts)
    return {str(record["choice"]): record for record in made.records}


def step(**options: Any) -> Step:
    usual = {"purpose": "why", "fixed": date(2026, 11, 30), "known_from": "here", "seeds": [1],
             "image_size": 256, "only": {"kernel_size": [5], "alpha": [0.5]}}  # fmt: skip
    return plan_of({"steps": [{**usual, **options}]}).steps[0]


def test_a_single_training_by_hand() -> None:
    """Each slice 0.05 above the reference, so patients add nothing. The three seeds' means are
    0.63, 0.65, 0.67: s = 0.02, df 2. One training against a mean of three: s sqrt(1 + 1/3) =
    0.0230940; t(0.975, 2) = 4.302653: 0.0993655. In SDs 0.05 / 0.02; 0.898 + 0.05.
    """
    one = trained({1: 0.05}, {"training.monitor": "val_loss"}, **{"fit.best_epoch": 30})
    (choices,) = found(trained(LEVELS), one)
    reference, row = rows(choices).values()
    assert row["choice"] == "training.monitor = val_loss"
    assert (row["dice"], row["reference_dice"]) == pytest.approx((0.70, 0.65))
    assert row["difference"] == pytest.approx(0.05)
    half = 0.0993655
    assert (row["low"], row["high"]) == pytest.approx((0.05 - half, 0.05 + half), abs=1e-6)
    assert (row["sd"], row["sds"]) == pytest.approx((0.02, 2.5))
    assert row["own_sd"] is None
    would_be = (0.948, 0.948 - half, 0.948 + half)
    assert (row["would_be"], row["would_be_low"], row["would_be_high"]) == pytest.approx(would_be)
    assert row["best_epoch"] == 31
    assert row["standing"] == "single trainings"
    assert reference["own_sd"] == pytest.approx(0.02)
    assert (reference["dice"], reference["seeds"], reference["best_epoch"]) == (
        pytest.approx(0.65),
        3,
        10,
    )


def test_however_far_off_a_single_training_is_no_verdict_rests_on_it_and_on_three_one_does() -> (
    None
):
    narrow = trained({seed: level / 100 for seed, level in LEVELS.items()})
    settings = {"training.patience": 20}
    (one,) = found(narrow, trained({1: 0.2}, settings))
    assert rows(one)["training.patience = 20"]["p"] < 0.001
    assert rows(one)["training.patience = 20"]["standing"] == "single trainings"
    (three,) = found(narrow, trained({1: 0.2, 2: 0.21, 3: 0.19}, settings))
    row = rows(three)["training.patience = 20"]
    assert (row["standing"], row["trainings"]) == ("better", 3)
    assert row["own_sd"] == pytest.approx(0.01)


def test_two_settings_at_once_say_nothing_of_either_unless_the_plan_names_them() -> None:
    both = {"augmentation.scale": 0.05, "augmentation.noise_sd": 0.125}
    parts = trained(LEVELS), trained({1: 0.1, 2: 0.1}, both)
    (choices,) = found(*parts)
    assert not choices.taken
    assert choices.several == 2
    notes = choices_table(choices, REFERENCE, RULES.contrasts).notes
    assert "Left out: 2 trainings that differ in several settings at once." in notes
    named = step(set=both, choice="half strengths")
    (choices,) = found(*parts, steps=[named])
    assert list(choices.taken) == ["half strengths"]
    assert (choices.several, choices.waiting) == (0, ())
    (choices,) = found(*parts, trained({1: 0.1}, {"augmentation.scale": 0.05}), steps=[named])
    assert set(choices.taken) == {"half strengths", "augmentation.scale = 0.05"}


@pytest.mark.parametrize(
    "other",
    [
        {"kernel_size": 3, "params": '{"alpha":0.5,"kernel_size":3}'},
        {"alpha": 0.4, "params": '{"alpha":0.4,"kernel_size":5}'},
        {"arm": "attention-unet", "params": '{"alpha":0.5}', "kernel_size": None},
        {"arm": "my-arm", "source": "0" * 64},
        {"phantom": True},
        {"dataset_id": "another"},
        {"split_id": "by-image-2"},
        {"split_fingerprint": "another"},
        {"height": 512, "width": 512},
    ],
)
def test_what_is_no_open_choice_is_no_row(other: dict[str, Any]) -> None:
    (choices,) = found(trained(LEVELS), trained({1: 0.1}, {"training.patience": 20}, **other))
    assert (dict(choices.taken), choices.several) == ({}, 0)


def test_another_arm_with_the_same_parameters_is_one_change_and_the_plan_may_name_it() -> None:
    parts = trained(LEVELS), trained({1: 0.1}, arm="unet-maxpool")
    (choices,) = found(*parts)
    assert list(choices.taken) == ["arm = unet-maxpool"]
    named = step(grid="baselines", only={"arm": ["unet-maxpool"]}, choice="max-pooling")
    (choices,) = found(*parts, steps=[named])
    assert list(choices.taken) == ["max-pooling"]


def test_the_image_size_is_a_choice_beside_the_size_that_is_the_thesis_s() -> None:
    large = trained(LEVELS, height=512, width=512)
    at_256, at_512 = found(trained({1: 0.1, 2: 0.1}), large)
    assert list(at_512.taken) == ["image_size = 256x256"]
    assert rows(at_512)["image_size = 256x256"]["difference"] == pytest.approx(0.1)
    assert not at_256.taken


def test_by_patient_the_reference_is_of_protocol_patient_and_0_898_stays_what_it_is() -> None:
    own = {**BY_PATIENT, "split_id": "by-patient-1"}
    settings = load_recipe("patient", {"training.patience": 20}).identity()
    patient = trained(LEVELS, **own)
    longer = {**own, "changed_settings": json.dumps(changed_settings(settings), sort_keys=True)}
    all_slices = {**own, "changed_settings": '{"split.unit":"patient"}'}
    (choices,) = found(patient, trained({1: 0.1}, **longer), trained({1: 0.1}, **all_slices))
    assert set(choices.taken) == {"training.patience = 20", "preprocess.nyul_fit = all"}
    made = choices_table(choices, REFERENCE, RULES.contrasts)
    assert "by patient" in made.title
    assert not any("would be" in heading for heading in made.texts)
    assert made.numbers["would_be"].isna().all()


def test_nothing_is_said_without_the_reference() -> None:
    assert open_choices(EMPTY, REFERENCE, RULES, load_plan().steps) == []
    assert found(trained({1: 0.1}, {"training.patience": 20}), steps=load_plan().steps) == []


def test_with_one_seed_of_either_no_difference_is_told_but_by_its_mean() -> None:
    (choices,) = found(trained({1: 0.0}), trained({1: 0.1}, {"training.patience": 20}))
    row = rows(choices)["training.patience = 20"]
    assert (row["difference"], row["sd"], row["sds"], row["would_be"]) == (None,) * 4
    assert "variation between trainings is unknown" in row["why"]
    assert row["dice"] == pytest.approx(0.75)


def test_what_the_plan_holds_and_nobody_has_run_waits_in_our_records_alone() -> None:
    steps = load_plan().steps
    (choices,) = found(trained(LEVELS), trained({1: 0.1}, {"loss.pool_batch": True}), steps=steps)
    assert choices.waiting == (
        "training.precision = bf16",
        "training.patience = 20",
        "preprocess.nyul_fit = train",
        "training.monitor = val_loss",
        "loss.include_background = true",
        "no augmentation",
        "half strengths",
        "double strengths",
        "augmentation.noise_with_intensity = true",
        "max-pooling",
    )
    assert [row["standing"] for row in rows(choices).values()][2:] == ["not run yet"] * 10
    ours = shipped()
    assert any(choices.waiting for choices in ours.open_choices)
    assert not any(choices.waiting for choices in replace(ours, looks=()).open_choices)


def planned() -> list[Step]:
    """The steps of the plan that change one thing of the best cell at 256x256 by image."""
    steps = load_plan().steps
    return [s for s in steps if s.options.seeds == (452669,) and (s.options.overrides or s.choice)]


def test_every_planned_choice_is_of_what_the_thesis_leaves_open() -> None:
    open_ones = {f"{one.section}.{one.setting}" for one in open_settings("thesis")}
    by_image = [one for one in planned() if one.recipe.split.unit == "image"]
    assert len(by_image) == 9
    for one in by_image:
        assert one.choice == "no augmentation" or set(one.options.overrides) <= open_ones
        assert one.fixed == date(2026, 11, 30)
        assert [(cell["split"], cell["seed"]) for cell in one.cells()] == [(1, 452669)]


def test_half_and_double_are_of_every_strength_that_is_open_and_none_is_left_without() -> None:
    thesis = load_recipe("thesis").identity()["augmentation"]
    by_name = {one.choice: one.options.overrides for one in planned()}
    strengths = ("scale", "rotation_degrees", "elastic_mm", "motion_degrees", "motion_mm",
                 "bias_coefficient", "noise_sd")  # fmt: skip
    for name, factor in (("half strengths", 0.5), ("double strengths", 2.0)):
        changed = {f"augmentation.{key}": thesis[key] * factor for key in strengths}
        assert by_name[name] == pytest.approx(changed)
    none = {f"augmentation.{key}": 0.0 for key in thesis if key.endswith("_p")}
    assert by_name["no augmentation"] == none


def test_our_records_at_256_have_one_change_so_far() -> None:
    """bf16, three seeds each on draw 1: means of 0.8594 and 0.8514."""
    by_image = {choices.reference.runs["height"].iloc[0]: choices for choices in
                shipped().open_choices if choices.unit == "image"}  # fmt: skip
    row = rows(by_image[256])["training.precision = bf16"]
    assert (row["dice"], row["difference"]) == pytest.approx((0.8594, 0.0080), abs=5e-5)
    assert (row["standing"], row["trainings"]) == ("undecided", 3)
    row = rows(by_image[512])["image_size = 256x256"]
    assert (row["difference"], row["standing"]) == (pytest.approx(-0.0375, abs=5e-5), "undecided")


def test_a_training_of_another_fit_by_image_enters_nothing_that_compares_kinds_of_split() -> None:
    """Its recipe but for the split is the thesis's, so a hash cannot tell them apart."""
    ours = shipped().collected
    cell = ours.runs["run_id"].str.startswith("unet_alpha0.5_kernel-size5_by-image-1_256_fp32_s4")
    cell &= ours.runs["changed_settings"] == "{}"
    (one,) = ours.runs[cell].to_dict("records")
    own = load_recipe("thesis", {"preprocess.nyul_fit": "train"}).identity()
    changes = {"run_id": "another", "protocol_hash": protocol_hash(own),
               "changed_settings": '{"preprocess.nyul_fit":"train"}'}  # fmt: skip
    assert protocol_hash(without_test(own)) == one["recipe_hash"]
    runs = pd.concat([ours.runs, ours.runs[cell].assign(**changes)], ignore_index=True)
    scores = ours.scores[ours.scores["run_id"] == one["run_id"]].assign(run_id="another", dice=0.5)
    more = Collected(runs, pd.concat([ours.scores, scores], ignore_index=True), ())

    def told(collected: Collected) -> list[Any]:
        effects = [(e.difference, e.slices, e.seeds) for e in split_effects(collected)]
        trainings = [its.trainings for its in reference_trainings(collected, *terms())]
        beside = replace(shipped(), collected=collected).reference_against_reader
        readers = [(panel.title, row.cell.name, row.standing) for panel, row in beside]
        return [effects, trainings, readers, headline(collected, *terms()).render("csv")]

    assert told(more) == told(ours)
    (choices,) = [c for c in open_choices(more, *terms()) if c.unit == "image" and len(c.taken) > 1]
    assert "preprocess.nyul_fit = train" in choices.taken
