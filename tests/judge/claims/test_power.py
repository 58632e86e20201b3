"""The chance of each verdict where a claim is true and where it is not: worlds, file, table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_records import terms

from benchmark.errors import RecordError
from benchmark.judge.cells import panels
from benchmark.judge.claims import power
from benchmark.judge.claims.evidence import GridPoint
from benchmark.judge.claims.power import GRID, NOISES, designs, power_of, power_rows
from benchmark.judge.claims.power_table import (
    POWER,
    USUAL,
    load_power,
    power_in_words,
    read_power,
    rules_hash,
    runs_hash,
)
from benchmark.judge.claims.predicates import CLAIMS
from benchmark.judge.claims.table import claims_table, judge_claims
from benchmark.judge.claims.worlds import MEAN, WORLDS, Design, Noise, Truth, at, grid_world
from benchmark.judge.statistics.estimate import clustered_share
from benchmark.runs.collect import Collected, collect, reproduction_folder

SILENT = Noise(patient=0, slice=0, training_set=0, training=0, residual=0)
TRIED = [claim for claim in CLAIMS if claim != "vessels-excluded"]


@cache
def records() -> Collected:
    return collect(reproduction_folder())


@cache
def design(name: str = GRID) -> Design:
    return next(d for d in designs(records(), terms()[1]) if name in d.name)


def generator(key: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key))


def world_of(claim: str, truth: Truth) -> int:
    return next(i for i, world in enumerate(WORLDS) if world.claims.get(claim) is truth)


# Designs and worlds.


def test_the_whole_grid_is_36_cells_of_three_seeds_on_one_split() -> None:
    cells = design().evidence.cells
    assert len(cells) == 36
    assert {(len(c.splits), c.most_seeds, len(c.rows)) for c in cells.values()} == {(1, 3, 318)}
    assert [(point, (cell.kernel_size, cell.alpha)) for point, cell in cells.items()] == [
        (point, point) for point in cells
    ]


def test_a_world_without_noise_is_what_it_says() -> None:
    """3x3 at 0.1 is shifted, nothing else; sensitivity rises by 0.08 in 0.8, precision falls."""
    shift = at(-0.2, kernels=(3,), alphas=(0.1,))
    made = grid_world(design(), SILENT, generator(), shift=shift, by_alpha=0.08)
    for (kernel, alpha), cell in made.cells.items():
        dice = MEAN - 0.2 * ((kernel, alpha) == (3, 0.1))
        expected = (dice, MEAN + (alpha - 0.5) / 10, MEAN - (alpha - 0.5) / 10)
        for name, value in zip(("dice", "sensitivity", "precision"), expected, strict=True):
            assert cell.rows[name].to_numpy() == pytest.approx(value)


def test_patients_and_slices_are_shared_by_all_cells_and_stretched_where_it_says() -> None:
    noise = replace(SILENT, patient=0.1, slice=0.1)
    made = grid_world(design(), noise, generator(), stretch=at(0.1, kernels=(9,)))
    means: dict[GridPoint, pd.Series[float]] = {
        point: cell.rows.groupby("slice_id")["dice"].mean() for point, cell in made.cells.items()
    }
    assert np.allclose(means[3, 0.1], means[5, 0.9])
    assert np.allclose(means[9, 0.1] - MEAN, 1.1 * (means[3, 0.1] - MEAN))


def test_the_parts_of_dice_vary_as_they_are_said_to() -> None:
    """36 cells of 3 trainings of 106 slices: the SD of trainings' means, of what is left, and of
    patients, whose 55 means are drawn 20 times.
    """
    noise = Noise(patient=0.2, slice=0, training_set=0, training=0.05, residual=0.1)
    patients, wholes, left = [], [], []
    for key in range(20):
        made = grid_world(design(), noise, generator(key))
        rows = pd.concat([cell.rows for cell in made.cells.values()], keys=list(made.cells))
        of_patient = rows.groupby("patient_id")["dice"].transform("mean")
        patients.append(rows.groupby("patient_id")["dice"].mean().std())
        runs = (rows["dice"] - of_patient).groupby([rows.index.get_level_values(i) for i in (0, 1)])
        training = rows.assign(d=rows["dice"] - of_patient).groupby(
            [rows.index.get_level_values(0), rows.index.get_level_values(1), "seed"]
        )["d"]
        wholes.append(training.mean().std())
        left.append((rows["dice"] - of_patient - training.transform("mean")).std())
        assert runs.ngroups == 36
    assert np.mean(patients) == pytest.approx(0.2, rel=0.1)
    assert np.mean(wholes) == pytest.approx(math.sqrt(0.05**2 + 0.1**2 / 106), rel=0.1)
    assert np.mean(left) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("claim", TRIED)
def test_every_claim_that_records_can_test_is_tried_where_it_holds_and_where_it_fails(
    claim: str,
) -> None:
    assert {Truth.HOLDS, Truth.FAILS} <= {world.claims.get(claim) for world in WORLDS}


# What a design leaves open, the file, and the table.


def test_a_design_that_leaves_a_claim_open_is_not_simulated_on() -> None:
    """One cell tells nothing about kernels, whatever it scored."""
    world = WORLDS[world_of("small-kernels-mean", Truth.HOLDS)]
    drawn = []
    counting = replace(
        world,
        claims={"small-kernels-mean": Truth.HOLDS},
        draw=lambda *of: drawn.append(0) or world.draw(*of),
    )
    found = power_of(counting, design("512x512"), Noise(), 50, [1])
    assert found == {"small-kernels-mean": (0.0, 0.0)}
    assert len(drawn) == 1


def test_the_shipped_file_is_of_the_rules_and_the_records_that_are_shipped() -> None:
    """Where this fails, rules or records changed: make the file anew with `nox -s power`."""
    known, rules = load_power(), terms()[1]
    assert set(known["rules"]) == {rules_hash(rules)}
    made = designs(records(), rules)
    at_hand = known.drop_duplicates("design").set_index("design")["runs"]
    assert at_hand.to_dict() == {d.name: runs_hash(d.evidence) for d in made}
    expected = {
        (claim, world.words, design.name)
        for design in made
        for world in WORLDS
        for claim in world.claims
    }
    usual = known[known["noise"] == USUAL]
    assert set(zip(usual["claim"], usual["world"], usual["design"], strict=True)) == expected


def test_the_hash_is_of_the_numbers_and_not_of_the_words() -> None:
    rules = terms()[1]
    words = replace(rules, claims=replace(rules.claims, reason="other", readings={}))
    number = replace(rules, claims=replace(rules.claims, gain=0.02))
    assert rules_hash(words) == rules_hash(rules) != rules_hash(number)


def test_a_false_decision_is_as_rare_as_the_level_says() -> None:
    """5 % of the repetitions, and three standard errors of that.

    But for necrotic-centres where every centre is often missed: an example is what trainings did,
    and the file is to tell how often chance alone makes one.
    """
    known = load_power()
    known = known[(known["claim"] != "necrotic-centres") | (known["truth"] != Truth.BORDER)]
    false = np.where(
        known["truth"] == Truth.HOLDS,
        known["contradicted"],
        known["confirmed"] + np.where(known["truth"] == Truth.BORDER, known["contradicted"], 0),
    )
    most = 0.05 + 3 * np.sqrt(0.05 * 0.95 / known["repetitions"])
    usual = known["noise"] == USUAL
    assert known[usual & (false > most)].empty


@pytest.mark.slow
@pytest.mark.parametrize(
    ("claim", "truth", "where", "repetitions"),
    [
        ("extremes-worse", Truth.HOLDS, GRID, 6),
        ("small-tumours", Truth.FAILS, "3 seeds", 20),
        ("image-spread", Truth.FAILS, GRID, 6),
        ("necrotic-centres", Truth.HOLDS, "512x512", 40),
    ],
)
def test_the_shipped_file_is_what_the_predicates_come_to(
    claim: str, truth: Truth, where: str, repetitions: int
) -> None:
    """Other draws of the same world, within three standard errors of a difference and one case."""
    number, at_hand = world_of(claim, truth), design(where)
    world = replace(WORLDS[number], claims={claim: truth})
    again = power_of(world, at_hand, NOISES[USUAL], repetitions, [2, number])[claim]
    known = load_power()
    same = (known["claim"] == claim) & (known["noise"] == USUAL) & (known["world"] == world.words)
    (row,) = known[same & (known["design"] == at_hand.name)].to_dict("records")
    for share, told in zip(again, (row["confirmed"], row["contradicted"]), strict=True):
        both = (share * repetitions + told * row["repetitions"]) / (
            repetitions + row["repetitions"]
        )
        se = math.sqrt(both * (1 - both) * (1 / repetitions + 1 / row["repetitions"]))
        assert abs(share - told) <= 3 * se + 1 / repetitions


@pytest.mark.slow
def test_the_rule_before_took_trainings_of_one_model_for_models_that_differ() -> None:
    """It asked for the two shares alone, and of many alike cells best and worst are far apart."""
    alike, rule = WORLDS[world_of("image-spread", Truth.FAILS)], design().evidence.rule
    confirmed = 0
    for key in range(10):
        made = alike.draw(design(), NOISES[USUAL], generator(key))
        means = pd.concat(
            [c.rows.groupby(["patient_id", "slice_id"])["dice"].mean() for c in made.cells.values()]
        ).groupby(level=[0, 1])
        worst, best = means.min(), means.max()
        patients = worst.index.get_level_values(0).tolist()
        shares = (
            clustered_share(hits.to_numpy(), patients, rule.level)
            for hits in (worst >= rule.well, best - worst >= rule.vary)
        )
        confirmed += min(low for _, low, _ in shares) > rule.share
    assert confirmed > 3
    (row,) = (
        load_power().query(f"world == '{alike.words}' and design == '{GRID}'").to_dict("records")
    )
    assert row["confirmed"] <= 0.05


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text + "zz\n", "line {after}: is damaged"),
        (lambda text: text.rstrip() + "zz", "line {last}: is damaged"),
        (lambda text: text.replace(",holds,", ",maybe,", 1), "line 2: is damaged"),
        (lambda text: text.replace("claim,", "claims,", 1), "line 1: is not claim,world,"),
        (lambda text: "", "line 1: is not claim,world,"),
    ],
)
def test_a_damaged_file_is_one_line_with_its_place_and_cure(
    damage: Callable[[str], str], says: str
) -> None:
    text = (files("reference_results") / "power.csv").read_text("utf-8")
    assert read_power(text).equals(load_power())
    last = len(text.splitlines())
    where = says.format(last=last, after=last + 1)
    with pytest.raises(RecordError, match=f"^reference_results/power.csv, {where}.*; restore "):
        read_power(damage(text))


def test_the_note_on_power_stands_where_a_row_has_one() -> None:
    """Under the rules that the file was made with, and under no others."""
    (panel, *_) = panels(records())
    reference, rules = terms()
    for own, there in (
        (rules, True),
        (replace(rules, claims=replace(rules.claims, gain=0.02)), False),
    ):
        made = claims_table(panel, judge_claims(panel, reference, own), reference, own)
        assert any(made.texts["power of the whole grid"]) is there
        assert (POWER in made.notes) is there


def test_power_in_words_is_of_the_first_worlds_and_of_these_rules_alone() -> None:
    known, rules = load_power(), terms()[1]
    own = known[(known["claim"] == "best-cell") & (known["design"] == GRID)]
    holds, fails = (own[own["truth"] == truth].iloc[0] for truth in (Truth.HOLDS, Truth.FAILS))
    words = f"{holds['confirmed']:.2f} / {fails['contradicted']:.2f}"
    assert power_in_words("best-cell", rules, design=GRID) == words
    assert power_in_words("best-cell", rules, runs=runs_hash(design().evidence)) == words
    assert power_in_words("best-cell", rules, runs="none of ours") == ""
    assert power_in_words("vessels-excluded", rules, design=GRID) == ""
    other = replace(rules, claims=replace(rules.claims, gain=0.02))
    assert power_in_words("best-cell", other, design=GRID) == ""


def test_the_command_writes_a_row_for_each_claim_design_and_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(power, "WORLDS", WORLDS[-2:])
    power.main(["--repetitions", "2", "--out", str(tmp_path / "power.csv")])
    written = pd.read_csv(tmp_path / "power.csv")
    rows = list(power_rows(records(), terms()[1], 2))
    assert written.to_dict("records") == rows
    assert set(written["design"]) == {d.name for d in designs(records(), terms()[1])}
    assert capsys.readouterr().err.count("necrotic-centres") == len(rows) == 8
