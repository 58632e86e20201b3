"""An arm before and after a change is two arms: no row, no point of a figure, no mean is of both.

One law each for everything that the judge and the report make of cells: what they make of runs of
several sources is what they make of each source's runs alone, under names that tell them apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import pandas as pd
import pytest
from claim_cells import evidence_of
from hypothesis import given
from hypothesis import strategies as st
from run_records import BY_PATIENT, join, table, terms
from strategies import costly

from benchmark.judge.cells import panels
from benchmark.judge.comparisons.arms import arms_table, pairwise_comparisons
from benchmark.judge.comparisons.external_tool import external_tool_table
from benchmark.judge.comparisons.headline import headline
from benchmark.judge.comparisons.measures import agreement_table, boundaries_table
from benchmark.judge.comparisons.precisions import precisions
from benchmark.judge.comparisons.runs import runs_tables
from benchmark.judge.comparisons.split_effect import split_effect_table, split_effects
from benchmark.judge.verdicts import judge_printed_numbers
from benchmark.report.figures.cost import cost_figures
from benchmark.runs.collect import Collected
from benchmark.scoring.external_masks import ExternalScores
from benchmark.splits.split import Split

REFERENCE, RULES = terms()
PATIENTS = ["a", "a", "b", "c"]
SPLIT = Split("by-image-1", (4,), (5,), (0, 1, 2, 3))
SOURCES = ("", "a1" * 32, "b2" * 32, "c3" * 32)
AREAS = {
    name: [100.0, 900.0, 2000.0, 400.0]
    for name in ("truth_mm2", "predicted_mm2", "truth_diameter_mm", "predicted_diameter_mm",
                 "truth_perpendicular_mm", "predicted_perpendicular_mm", "hd95_mm", "assd_mm",
                 "nsd_1mm", "nsd_2mm", "core_sensitivity")
}  # fmt: skip
Found = Iterable[tuple[str, float]]  # the name and the mean Dice of each row or point


def runs_of(source: str, dice: Mapping[int, list[float]], **changes: object) -> Collected:
    """Runs of my-arm, of one source and one set of parameters."""
    own: dict[str, object] = {
        "arm": "my-arm", "params": '{"width":32}', "kernel_size": pd.NA, "alpha": float("nan"),
        "source": source, "split_fingerprint": SPLIT.fingerprint, "device": "cpu",
    }  # fmt: skip
    return table(dice, PATIENTS, measures=AREAS, **(own | changes))


def runs(collected: Collected) -> Found:
    return [(r["arm"], r["dice_mean"]) for t in runs_tables(collected) for r in t.records]


def cells(collected: Collected) -> Found:
    return [(c.name, float(c.rows["dice"].mean())) for p in panels(collected) for c in p.cells]


def beside_a_tool(collected: Collected) -> Found:
    scores = table({0: [0.5] * 4}, PATIENTS).scores.drop(columns="run_id")
    judged = ExternalScores(REFERENCE.dataset_id, SPLIT, scores, "")
    made = external_tool_table("tool", judged, collected, RULES)
    return [(r["arm"], r["dice"]) for r in made.records] if made else []


def cost(collected: Collected) -> Found:
    (panel,) = panels(join(collected, runs_of("", {1: [0.25] * 4}, arm="otsu", params="{}")))
    (figure,) = cost_figures(panel, "unet")
    data = figure.data[figure.data["arm"] != "otsu"]
    assert set(data["group"]) == set(data["arm"])  # what is drawn as one series
    return list(zip(data["arm"], data["dice"], strict=True))


@st.composite
def sources(draw: st.DrawFn) -> dict[str, Mapping[int, list[float]]]:
    """One to four sources, each with runs of one to three seeds."""
    chosen = draw(st.lists(st.sampled_from(SOURCES), min_size=1, max_size=4, unique=True))
    values = st.lists(st.floats(0.01, 1), min_size=4, max_size=4)
    return {s: draw(st.dictionaries(st.integers(1, 3), values, min_size=1)) for s in chosen}


def rounded(found: Found) -> Counter[float]:
    return Counter(round(dice, 9) for _, dice in found)


@pytest.mark.parametrize("of", [runs, cells, beside_a_tool, cost])
@costly
@given(drawn=sources())
def test_old_and_new_share_no_mean(
    of: Callable[[Collected], Found], drawn: Mapping[str, Mapping[int, list[float]]]
) -> None:
    parts = [runs_of(source, dice) for source, dice in drawn.items()]
    alone, together = [list(of(part)) for part in parts], list(of(join(*parts)))
    assert rounded(together) == sum((rounded(found) for found in alone), Counter())
    names = [name for name, _ in together]
    assert len(set(names)) == len(names) == len(parts)
    if len(parts) > 1:
        told = {f"my-arm (source {source[:6] or 'not recorded'})" for source in drawn}
        assert set(names) == told
    else:
        assert names == ["my-arm"]


def test_parameters_and_source_tell_cells_apart_together() -> None:
    wide = '{"width":64}'
    (panel,) = panels(
        join(
            runs_of(SOURCES[1], {1: [0.5] * 4}),
            runs_of(SOURCES[2], {1: [0.6] * 4}),
            runs_of(SOURCES[2], {1: [0.7] * 4}, params=wide),
        )
    )
    assert [cell.name for cell in panel.cells] == [
        "my-arm (width 32, source a1a1a1)",
        "my-arm (width 32, source b2b2b2)",
        "my-arm (width 64, source b2b2b2)",
    ]


def test_every_cell_of_an_arm_that_was_changed_tells_its_source() -> None:
    """Also one whose parameters tell it apart already: who ranks it must know which it is."""
    wide = {"params": '{"width":64}'}
    old, new = (runs_of(s, {1: [0.5] * 4}) for s in SOURCES[1:3])
    both = join(old, new, runs_of(SOURCES[1], {1: [0.7] * 4}, **wide))
    (found,) = runs_tables(both)
    assert sorted((row["params"], row["arm"]) for row in found.records) == [
        ('{"width":32}', "my-arm (source a1a1a1)"),
        ('{"width":32}', "my-arm (source b2b2b2)"),
        ('{"width":64}', "my-arm (source a1a1a1)"),
    ]


def test_one_source_is_not_told() -> None:
    (panel,) = panels(runs_of(SOURCES[1], {1: [0.5] * 4}))
    assert [cell.name for cell in panel.cells] == ["my-arm"]


def test_a_lower_precision_is_set_beside_the_same_source_alone() -> None:
    plain, lower = {1: [0.5] * 4, 2: [0.6] * 4}, {1: [0.7] * 4, 2: [0.8] * 4}
    old, new = (runs_of(s, plain) for s in SOURCES[1:3])
    lower_new = runs_of(SOURCES[2], lower, precision="bf16")
    assert precisions(join(old, lower_new).runs, RULES.precision) == []
    (row,) = precisions(join(old, new, lower_new).runs, RULES.precision)
    assert (row.arm, row.plain_dice, row.dice) == (
        "my-arm (source b2b2b2)", pytest.approx(0.55), pytest.approx(0.75)
    )  # fmt: skip


def test_by_image_and_by_patient_are_set_beside_each_other_for_the_same_source_alone() -> None:
    dice = {1: [0.5] * 4, 2: [0.6] * 4}
    image = [runs_of(s, dice) for s in SOURCES[1:3]]
    patient = [runs_of(s, dice, **BY_PATIENT) for s in SOURCES[1:3]]
    assert split_effects(join(image[0], patient[1])) == []
    both = split_effects(join(*image, *patient))
    rows = split_effect_table(both, RULES.split_effect).records
    assert [row["arm"] for row in rows] == ["my-arm (source a1a1a1)", "my-arm (source b2b2b2)"]


def test_pairs_are_of_one_source_each() -> None:
    """Old and new are two rows beside the reference, neither of them its mean."""
    reference = table({1: [0.9] * 4, 2: [0.8] * 4}, PATIENTS, measures=AREAS)
    new, old = (runs_of(s, {1: [d] * 4}) for s, d in zip(SOURCES[1:3], (0.7, 0.3), strict=True))
    (panel,) = panels(join(reference, new, old))
    compared = pairwise_comparisons(panel, RULES.contrasts, RULES.intervals)
    rows = arms_table(panel, compared, RULES.contrasts).records
    assert [(row["arm"], row["dice"]) for row in rows] == [
        ("unet 5x5, alpha 0.5", pytest.approx(0.85)),
        ("my-arm (source a1a1a1)", pytest.approx(0.7)),
        ("my-arm (source b2b2b2)", pytest.approx(0.3)),
    ]


def test_boundaries_and_sizes_are_of_one_source_each() -> None:
    (panel,) = panels(join(*(runs_of(s, {1: [0.5] * 4}) for s in SOURCES[1:3])))
    for kind in (boundaries_table, agreement_table):
        names = {row["arm"] for row in kind(panel, RULES.sizes).records}
        assert names == {"my-arm (source a1a1a1)", "my-arm (source b2b2b2)"}


def test_an_arm_from_outside_that_is_called_unet_is_never_the_thesiss_cell() -> None:
    """It took the name where this repository had none of it; its runs may lie in the folder."""
    own = table({1: [0.9] * 4, 2: [0.92] * 4, 3: [0.91] * 4}, PATIENTS, measures=AREAS)
    foreign = table({1: [0.1] * 4, 4: [0.1] * 4}, PATIENTS, measures=AREAS, source=SOURCES[1],
                    parameters=1)  # fmt: skip
    for first, second in ((own, foreign), (foreign, own)):
        both = join(first, second)
        printed = judge_printed_numbers(both, REFERENCE, RULES)
        alone = judge_printed_numbers(own, REFERENCE, RULES)
        assert [row.ours for row in printed.rows] == pytest.approx(
            [row.ours for row in alone.rows], nan_ok=True
        )
        assert headline(both, REFERENCE, RULES).records[-1]["trainings"] == 3
        (panel,) = panels(both)
        assert [cell.source for cell in evidence_of(both).cells.values()] == [""]
        rows = pairwise_comparisons(panel, RULES.contrasts, RULES.intervals)
        assert [row.cell.source for row in rows] == ["", SOURCES[1]]
