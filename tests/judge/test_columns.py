"""What stands in each column of the judge's tables is the number that its heading names, by hand.

No two numbers of a row are alike, so that none can stand for another. Ends of intervals are those
of the table's own numbers, which the tests of each module derive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from run_records import join, table, terms

from benchmark.judge.cells import panels
from benchmark.judge.comparisons.arms import arms_table, pairwise_comparisons
from benchmark.judge.comparisons.external_tool import external_tool_table
from benchmark.judge.comparisons.headline import headline
from benchmark.judge.comparisons.measures import agreement_table, boundaries_table
from benchmark.judge.comparisons.precisions import precisions, precisions_table
from benchmark.judge.comparisons.runs import runs_tables
from benchmark.judge.comparisons.split_effect import split_effect_table, split_effects
from benchmark.judge.does_it_hold import severity_table
from benchmark.judge.judgement import Judgement
from benchmark.judge.tables import Table
from benchmark.judge.verdicts import judge_printed_numbers, verdict_table
from benchmark.runs.collect import Collected
from benchmark.scoring.external_masks import ExternalScores
from benchmark.splits.split import Split

REFERENCE, RULES = terms()
PATIENTS = ["a", "a", "b", "c"]
# over seeds 0.8, 0.8, 0.7, 0.2: mean 0.625, median 0.75
SEEDS = {1: [0.9, 0.7, 0.8, 0.0], 2: [0.7, 0.9, 0.6, 0.4]}
OBLONG = {"height": 256, "width": 128}


def flat(*dice: float, **changes: object) -> Collected:
    """One training for each Dice, which all its slices have."""
    return table({seed: [x] * 4 for seed, x in enumerate(dice)}, PATIENTS, **changes)


def runs() -> Table:
    """Of the seeds: medians 0.75 and 0.65, detected 0.8 and 0.65, patients 1.6 / 3 and 1.8 / 3.

    SDs of slices sqrt(0.5 / 3) and sqrt(0.13 / 3); of seeds 0.05 / sqrt(2).
    """
    own = {"device": "cpu", "commit": "c0ffee", "timing.fit_seconds": 150.0}
    return runs_tables(table(SEEDS, PATIENTS, **own))[0]


def verdicts() -> Table:
    """SD 0.01; of patients that are alike +- 4.302653 x 0.01 sqrt(2/3).

    Slices: S^2 = 2 x 0.02^2 / 3, 2 S^2 (1/4 - 1/708) = 0.00013258, df 3, and seeds 0.00006667, df
    2: 4.9124 df, t = 2.58442.
    """
    dice = {seed: [x + 0.02, x - 0.02, x, x] for seed, x in enumerate((0.90, 0.91, 0.92))}
    made = verdict_table(judge_printed_numbers(table(dice, PATIENTS), REFERENCE, RULES).rows)
    return replace(made, records=made.records[-1:])


def power() -> Table:
    """Two draws of three: t(0.975, 4) = 2.776445, t(0.8, 4) = 0.940965, x 0.01 sqrt(1/6 + 1/3)."""
    made = Judgement(flat(0.90, 0.91, 0.92), REFERENCE, RULES).verdicts()[-1]
    return replace(made, records=made.records[3:])


def severe() -> Table:
    """Of a rule by hand; what the numbers are is derived in test_severity.py."""
    return severity_table([{"difference": 0.03, "chance": 0.664, "before": 0.726}], [], 0.06)


def stands_first() -> Table:
    """Patients 0.8, 0.7 and 0.2; one of eight scores is a miss."""
    made = headline(table(SEEDS, PATIENTS), REFERENCE, RULES)
    return replace(made, records=made.records[-1:])


def split_effect() -> Table:
    """By patient 0.6, 0.6, 0.7 in one fold and 0.2 in another."""
    folds = {"split_unit": "patient", "protocol": "patient", "protocol_hash": "feeding"}
    dice = {1: [0.5, 0.7, 0.8], 2: [0.7, 0.5, 0.6]}
    first = table(dice, PATIENTS[:3], split_id="by-patient-1", **folds)
    second = table({1: [0.3], 2: [0.1]}, ["c"], first_slice=3, split_id="by-patient-2", **folds)
    effects = split_effects(join(table(SEEDS, PATIENTS), first, second))
    return split_effect_table(effects, RULES.split_effect)


MEASURES = {
    "nsd_1mm": [0.9, 0.8, 0.7, 0.0], "nsd_2mm": [0.95, 0.9, 0.85, 0.0],
    "hd95_mm": [2.0, 4.0, 6.0, 300.0], "assd_mm": [1.0, 2.0, 3.0, 300.0],
    "truth_mm2": [700.0] * 4, "predicted_mm2": [750.0, 690.0, 640.0, 0.0],
    "truth_diameter_mm": [40.0] * 4, "predicted_diameter_mm": [40.0] * 4,
    "truth_perpendicular_mm": [30.0] * 4, "predicted_perpendicular_mm": [33.0, 28.0, 31.0, 0.0],
}  # fmt: skip


def measured(of: Callable[..., Table], at: int) -> Table:
    (panel,) = panels(table({1: [0.9, 0.7, 0.8, 0.0]}, PATIENTS, measures=MEASURES))
    made = of(panel, RULES.sizes)
    return replace(made, records=made.records[at:])


def arms() -> Table:
    """Two seeds of variance 0.0002, three of 0.0004: t = 0.1 / sqrt(0.0001 + 0.0004 / 3) = 6.55, df
    2.88, p 0.0081.

    Three patients of one sign: 2 / 2^3.
    """
    flop = {"timing.train_gflop_per_image": 30.0}
    other = {"params": "", "alpha": 0.6, "parameters": 2_650_000, "timing.fit_seconds": 150.0}
    other |= {"fit.stop_epoch": 19, **flop}
    (panel,) = panels(join(flat(0.79, 0.81, **flop), flat(0.88, 0.90, 0.92, **other)))
    rows = pairwise_comparisons(panel, RULES.contrasts, RULES.intervals)
    return arms_table(panel, rows, RULES.contrasts)


def lower() -> Table:
    """bf16: deviations -0.04 / 3, 0.05 / 3 and -0.01 / 3.

    Pairs 0.01, 0.02 and 0.01: SE 0.01 / 3, and 2.919986 SE = 0.009733.
    """
    other = flat(0.80, 0.83, 0.81, precision="bf16", **OBLONG)
    both = join(flat(0.79, 0.81, 0.80, **OBLONG), other).runs
    return precisions_table(precisions(both, RULES.precision), RULES.precision)


def tool() -> Table:
    """0.08 -+ 4.302653 x 0.02 / sqrt(3)."""
    split = Split("by-image-1", (4,), (5,), (0, 1, 2, 3))
    recorded = flat(0.80, 0.82, 0.84, split_fingerprint=split.fingerprint, **OBLONG)
    masks = ExternalScores(REFERENCE.dataset_id, split, flat(0.9).scores.drop(columns="run_id"), "")
    made = external_tool_table("tool", masks, recorded, RULES)
    assert made
    return made


CELL = {"arm": "unet 5x5, alpha 0.5"}
SIZES = {**CELL, "tumours": "all"}
EXPECTED = [
    (runs, {
        "split": "by-image-1", "arm": "unet", "params": "alpha 0.5, kernel_size 5", "seeds": "2",
        "mean Dice": "0.6250", "SD seeds": "0.0354", "SD slices": "0.308", "median": "0.700",
        "detected": "0.725", "patients": "0.567", "missed": "1/8", "parameters": "7360000",
        "fit, min": "2.5", "device": "cpu", "commit": "c0ffee",
    }),
    (verdicts, {
        "": "+", "quantity": "mean test Dice, 5x5, alpha 0.5", "thesis": "0.898", "ours": "0.9100",
        "SD": "0.0100", "+- another split": "0.0367", "+- other patients": "0.0263", "n": "3",
        "verdict": "reproduced",
        "why": "0.898 lies in the interval for another random split of the same slices, 0.910 +- "
               "0.037 (fp32)",
    }),
    (severe, {
        "true difference": "0.03", "chance of reproduced": "0.66", "by the rule before": "0.73",
    }),
    (power, {
        "draws": "2", "seeds": "3", "trainings": "6", "expected +-": "0.020",
        "difference found with power 0.8": "0.028",
    }),
    (stands_first, {
        "": "ours", "split": "by image", "protocol": "thesis", "fed at": "512x512",
        "precision": "fp32", "draws or folds": "1", "trainings": "2", "test slices": "4",
        "patients": "3", "mean Dice": "0.625", "95% interval": "{low:.3f} to {high:.3f}",
        "median": "0.750", "mean over patients": "0.567", "missed": "12.5%",
    }),
    (split_effect, {
        **CELL, "data": "cheng-meningioma", "protocols": "thesis, patient (feedin)",
        "fed at": "512x512", "precision": "fp32", "seeds": "2", "draws": "1", "folds": "2",
        "slices": "4", "patients": "3", "by image": "0.6250", "by patient": "0.5250",
        "difference": "+0.1000", "95% interval": "{low:+.3f} to {high:+.3f}",
    }),
    (lambda: measured(boundaries_table, 0), {
        **SIZES, "slices": "4", "missed": "25.0%", "Dice": "0.600", "median": "0.750",
        "detected": "0.800", "NSD 1 mm": "0.600", "NSD 2 mm": "0.675",
        "HD95, mm: mean, median, detected": "78.0, 5.0, 4.0",
        "ASSD, mm: mean, median, detected": "76.5, 2.5, 2.0",
    }),
    (lambda: measured(agreement_table, 0), {  # 50, -10, -60, -700: SD sqrt(366600 / 3)
        **SIZES, "quantity": "area, mm2", "truth, mean": "700", "bias": "-180",
        "95% interval": "{low:+.0f} to {high:+.0f}", "limits of agreement": "-865 to +505",
    }),
    (lambda: measured(agreement_table, 2), {  # 3, -2, 1, -30: SD sqrt(718 / 3)
        **SIZES, "quantity": "its perpendicular, mm", "truth, mean": "30.0", "bias": "-7.0",
        "95% interval": "{low:+.1f} to {high:+.1f}", "limits of agreement": "-37.3 to +23.3",
    }),
    (arms, {  # 30 GFLOP x 482 images x 20 epochs
        "arm": "unet 5x5, alpha 0.6", "seeds x splits": "3 x 1", "mean Dice": "0.9000",
        "reference's Dice": "0.8000",
        "difference": "+0.1000", "95% interval": "{low:+.3f} to {high:+.3f}", "p (Holm)": "0.008",
        "p (Wilcoxon)": "0.250", "verdict": "better", "parameters, M": "2.65",
        "GFLOP an image": "30.0", "training, PFLOP": "0.289", "training, min": "2.5", "why": "",
    }),
    (lower, {
        "arm": "unet", "params": '{{"alpha":0.5,"kernel_size":5}}', "size": "256x128",
        "split": "by-image-1", "precision": "bf16", "seeds": "3", "Dice": "0.8133",
        "Dice fp32": "0.8000", "difference": "+0.0133", "90% interval": "{low:+.3f} to {high:+.3f}",
        "SD of seeds": "0.0153", "SD fp32": "0.0100", "verdict": "undecided",
    }),
    (tool, {
        **CELL, "fed at": "256x128", "precision": "fp32", "protocol": "thesis", "runs": "3",
        "mean Dice": "0.8200",
        "slices": "4", "tool minus it": "+0.0800", "95% interval": "+0.030 to +0.130",
    }),
]  # fmt: skip


@pytest.mark.parametrize(("made", "expected"), EXPECTED)
def test_each_column_shows_the_number_that_its_heading_names(
    made: Callable[[], Table], expected: dict[str, str]
) -> None:
    table = made()
    numbers = {str(name): value for name, value in table.records[0].items()}
    shown = {heading: texts[0] for heading, texts in table.texts.items()}
    assert shown == {heading: text.format(**numbers) for heading, text in expected.items()}
