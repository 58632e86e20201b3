"""Pages state only what the shipped records say."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
from alike import apart, svg_apart
from bench_forms import ROOT
from PIL import Image
from run_records import squares

from benchmark.errors import SpecError
from benchmark.judge.cells import TERMS
from benchmark.judge.comparisons.precisions import precisions
from benchmark.judge.judgement import Judgement
from benchmark.judge.reference import load_tolerances
from benchmark.judge.shipped import shipped
from benchmark.judge.statistics.contrast import DICE, reduced
from benchmark.report.docs_pages import FIGURES, figures_of, fill, page_figures
from benchmark.report.figure import save
from benchmark.report.slices import outlined_slices
from benchmark.runs.collect import collect, reproduction_folder

FIGURES_FROM = {"README.md": "docs/figures", "docs/findings.md": "figures"}
PAGES = tuple(FIGURES_FROM)
PLACES = ("table: ", "answers -->", "commands -->", "figure: ")


@pytest.fixture(scope="module")
def judged() -> Judgement:
    return shipped()


@pytest.mark.parametrize("name", PAGES)
def test_every_table_from_records_is_what_the_records_say(name: str, judged: Judgement) -> None:
    """`nox -s pages` would change nothing, and there is something for it to fill in."""
    page = (ROOT / name).read_text(encoding="utf-8")
    places = sum(page.count(f"<!-- {what}") for what in PLACES)
    assert places == page.count("<!-- end -->") > 2
    assert apart(page, fill(page, judged, FIGURES_FROM[name])) == []


def test_every_figure_of_a_page_is_drawn_from_the_records(
    tmp_path: Path, judged: Judgement
) -> None:
    """Its numbers are theirs; its drawing too, where the matplotlib is the one that drew it."""
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in PAGES]
    slugs = {slug for page in pages for slug in figures_of(page)}
    assert slugs
    assert {path.stem for path in (ROOT / FIGURES).iterdir()} == slugs
    for figure in page_figures(judged):
        if figure.slug in slugs:
            save(figure, tmp_path, ("svg", "csv"))
            stored, drawn, numbers, own = (
                (folder / f"{figure.slug}.{form}").read_text(encoding="utf-8")
                for form in ("svg", "csv")
                for folder in (ROOT / FIGURES, tmp_path)
            )
            assert apart(numbers, own) == []
            if f"Matplotlib v{version('matplotlib')}" in stored:
                assert svg_apart(stored, drawn) == []


def test_the_outlined_slices_are_those_that_the_records_choose(judged: Judgement) -> None:
    """The picture's numbers stand beside it; its caption names its slices, Dice and source."""
    figure = outlined_slices.outlined(judged, reproduction_folder())
    drawn = pd.read_csv(ROOT / FIGURES / f"{outlined_slices.SLUG}.csv")
    assert drawn["slice_id"].tolist() == figure.data["slice_id"].tolist()
    assert drawn["run_id"].tolist() == figure.data["run_id"].tolist()
    assert drawn["dice"].tolist() == pytest.approx(figure.data["dice"].tolist())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for row in drawn.itertuples():
        text = f"slice {row.slice_id}: Dice {row.dice:.3f} (mean {row.dice_mean:.3f})"
        assert readme.count(text) == 2  # alt, caption
    cheng = "Cheng, Jun (2017), brain tumor dataset, figshare"
    assert f"{cheng}, [doi:10.6084/m9.figshare.1512427]" in readme
    assert "CC BY 4.0; cropped, windowed and outlined here" in readme
    picture = ROOT / FIGURES / f"{outlined_slices.SLUG}.webp"
    assert picture.stat().st_size < 200_000
    with Image.open(picture) as opened:
        assert (opened.format, opened.width > 1000) == ("WEBP", True)


def test_slices_are_outlined_of_the_records_data_alone(judged: Judgement) -> None:
    with pytest.raises(SpecError, match="not the slices of the records"):
        outlined_slices.outlined(judged, reproduction_folder(), squares(8))


def test_places_are_filled_and_the_rest_left_alone(judged: Judgement) -> None:
    place = "<!-- table: verdicts: The thesis's -->\n"
    page = f"a\n{place}stale\n<!-- end -->\nb\n<!-- answers -->\n<!-- end -->\n"
    filled = fill(page, judged)
    assert "stale" not in filled
    assert "**The thesis's printed numbers.**" in filled
    assert "```\n1. Does 0.898 hold?" in filled
    assert filled.startswith(f"a\n{place}**")
    assert fill(filled, judged) == filled


@pytest.mark.parametrize(
    "place",
    ["table: verdicts: No such", "table: nothing: The", "table: runs: Runs on", "figure: no-such"],
)
def test_a_table_that_is_not_there_is_named(place: str, judged: Judgement) -> None:
    with pytest.raises(SpecError, match=r"there must be one|no figure of a page"):
        fill(f"<!-- {place} -->\n<!-- end -->", judged)


def test_all_trainings_of_the_records_stand_in_the_findings(judged: Judgement) -> None:
    """Every cell, split and size: tables of runs have as many rows as the records have cells."""
    runs = judged.collected.runs
    cells = runs.groupby([*TERMS, "split_id", "arm", "params"]).ngroups
    text = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^\| by-(?:image|patient)-\d ", text, re.MULTILINE)) == cells


def test_what_the_pages_say_in_words_is_what_the_records_say(judged: Judgement) -> None:
    """0.898 holds; it is lower by patient; single trainings are undecided, which Wilcoxon alone
    would mostly have told apart."""
    found, rule = judged, load_tolerances()
    assert found.rows[-1].verdict == "reproduced"
    (severity,) = (t for t in found.verdicts() if t.title.startswith("How severe the verdict is"))
    reproduced = severity.numbers.set_index("difference")["chance"]
    assert reproduced[0.03] > 0.5  # README: more often than not
    assert 0.15 < reproduced[0.05] < 0.5
    leak = found.split_effects_nearest_first[0]
    assert leak.image.name == "unet 5x5, alpha 0.5"
    assert leak.difference
    low, high = leak.difference.interval(rule.split_effect.level)
    assert 0 < low < leak.difference.value < high
    assert len(leak.seeds) == 2
    assert (len(leak.image.splits), len(leak.patient.splits)) == (5, 7)
    tables = [table for table in found.arms() if ", protocol thesis, " in table.title]
    arms = {table.title.split(", ")[3]: table.numbers.set_index("arm") for table in tables}
    classical = ["edges", "clusters", "region-growing", "otsu", "threshold"]
    assert (arms["512x512"].loc[classical, "standing"] == "worse").all()
    every = found.collected.runs.query("height == 512 and arm in @classical")
    means = every.groupby(["split_unit", "arm"])["test.dice_mean"].mean()
    for unit, best in (("image", 0.73), ("patient", 0.70)):
        assert [*means[unit].sort_values(ascending=False).index] == classical
        assert round(means[unit]["edges"], 2) == best
    alike, edges = ("clusters", "otsu", "region-growing"), "edges"
    effects = {effect.image.name: effect.difference for effect in found.split_effects}
    for arm in alike:
        low, high = effects[arm].interval(rule.split_effect.level)
        assert -0.02 < low < 0 < high < 0.02
    assert effects[edges].interval(rule.split_effect.level)[0] > 0
    single = arms["256x256"].loc[["unet 5x5, alpha 0.1", "unet 5x5, alpha 0.9"]]
    assert (single["standing"] == "undecided").all()
    assert (single["wilcoxon_p"] < 0.05).all()
    others = arms["256x256"].drop("unet 5x5, alpha 0.5")
    assert (others["wilcoxon_p"] < 0.05).mean() > 0.5
    assert set(others["standing"]) == {"undecided"}
    twice = others.pop("seeds") * others["splits"] > 1
    assert [*others.index[twice]] == ["unet 3x3, alpha 0.5"]
    assert sum("7x7" in name for name in others.index) == 5
    assert not [name for name in others.index if "9x9" in name or "attention" in name]


def test_what_the_findings_say_of_patience_is_what_the_records_say(judged: Judgement) -> None:
    """Two trainings with four times the patience: above the others on their split, and better."""
    runs = judged.collected.runs.query(
        "arm == 'unet' and kernel_size == 5 and alpha == 0.5 and height == 256"
        " and split_id == 'by-image-1' and precision == 'fp32'"
    )
    patient = runs["fit.stop_epoch"] - runs["fit.best_epoch"] == 20
    dice, last = runs["test.dice_mean"], runs["fit.stop_epoch"]
    assert (patient.sum(), (~patient).sum()) == (2, 3)
    assert sorted(dice[patient].round(3)) == [0.906, 0.907]
    assert dice[patient].min() > dice[~patient].max()
    assert (last[patient].min() + 1, last[~patient].max() + 1) == (125, 36)
    (choices,) = (t for t in judged.choices() if "by image, 256x256" in t.title)
    row = choices.numbers.set_index("choice").loc["training.patience = 20"]
    assert row["standing"] == "better"
    assert 0.01 < row["low"] < 0.02
    assert 0.04 < row["p"] < 0.05
    (small,) = judged.collected.runs.query(
        "kernel_size == 3 and alpha == 0.5 and height == 256 and split_id == 'by-image-1'"
    ).groupby("split_id")["test.dice_mean"]
    assert round(small[1].max() - small[1].min(), 3) == 0.055


def test_what_the_findings_say_the_numbers_are_made_of_is_what_the_records_say(
    judged: Judgement,
) -> None:
    """Patients and slices before training sets and seeds; how far seeds differ goes with their best
    epochs; few patients bring much of the leak, and neighbours show no dose."""
    components, between = (table.numbers for table in judged.spread())
    sd = components.set_index("component")["sd"]
    assert set(sd.sort_values().index[-2:]) == {"patient", "slice"}
    assert sd[["training set", "training"]].max() < sd[["patient", "slice"]].min() / 5
    apart = between.set_index("kind")
    assert apart.loc["image", "patients"] > 3 * apart.loc["patient", "patients"]
    assert apart.loc["patient", "sd"] > 1.5 * apart.loc["image", "sd"]
    assert (apart["sd"] < 1.2 * apart["sd_expected"]).all()
    (stopping,) = judged.stopping()
    for row in stopping.records:
        assert row["r"] > 0.85
        assert row["doubling"] > 0
        assert row["sd_given"] < row["sd"] / 2
    distribution, worst, averages = (table.numbers for table in judged.by_patient())
    assert (averages["of_patients"] < averages["dice"]).all()
    assert (averages["pooled"] > averages["dice"]).all()
    assert worst["slices"].max() < 5  # few slices
    by_patient = distribution[distribution["of"] == "patients"].set_index("kind")
    assert by_patient.loc["patient", "low_share"] > by_patient.loc["image", "low_share"]
    anatomy = judged.anatomy()[0].numbers.set_index("what")
    assert anatomy.loc["without one patient", "low"] > 0
    whole = anatomy.loc["mean difference", "value"]
    assert anatomy.loc["median over slices", "value"] < whole / 2
    assert anatomy.loc["share of the 5 patients that bring most", "value"] > 0.3
    for what in ("each neighbour more", "any neighbour against none"):
        row = anatomy.loc[f"{what}, within patients"]
        assert row["low"] < 0 < row["high"]
    none, one, two = (anatomy.loc[f"{n} in training", "value"]
                      for n in ("0 neighbours", "1 neighbour", "2 neighbours"))  # fmt: skip
    assert abs(none - (one + two) / 2) < 0.01


def test_what_the_findings_say_of_the_best_cell_is_what_the_records_say(judged: Judgement) -> None:
    """The printed one is not first, and none is out; most lie within its SD on the first split."""
    (best,) = (
        t for t in judged.claims_tables() if t.title.startswith("Which cell may be the best")
    )
    cells = best.numbers.set_index("cell")
    assert cells["dice"].idxmax() != "5x5, alpha 0.5"
    assert cells["may_be_best"].all()
    (panel,) = (p for p, _ in judged.claims if p.title in best.title)
    (own,) = (cell for cell in panel.cells if cell.name == "unet 5x5, alpha 0.5")
    sd = reduced(own, DICE).by_run["by-image-1"].std()
    others = cells["lead"].drop("5x5, alpha 0.5")
    assert (others.abs() < sd).mean() > 0.5


def test_what_the_findings_say_of_the_claims_is_what_the_records_say(judged: Judgement) -> None:
    """Slice 601 alone, just inside the largest third, shows a missed centre; small tumours with a
    right outline are not low; one extreme is below the middle, the other's interval holds 0."""
    words = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    large = load_tolerances().sizes.edges_mm2[-1]
    rows = {
        (size, row["claim"]): row
        for size in ("512x512", "256x256")
        for table in judged.claims_tables()
        if table.title.startswith("The thesis's claims") and f"{size}, fp32" in table.title
        for row in table.numbers.to_dict("records")
    }
    assert "1 of 39 large tumours: slice 601" in rows["256x256", "necrotic-centres"]["measured"]
    assert "in 2 of 3 trainings" in rows["256x256", "necrotic-centres"]["measured"]
    assert " 0 of 39 large tumours" in rows["512x512", "necrotic-centres"]["measured"]
    scores = pd.concat(
        pd.read_csv(path) for path in reproduction_folder().glob("*_256_*/scores.csv")
    )
    (area,) = set(scores.loc[scores["slice_id"] == 601, "truth_mm2"])
    assert f"{area:.0f} mm2 is just above the {large:.0f} mm2" in words
    assert large <= area < large + 2
    for size in ("512x512", "256x256"):
        small = rows[size, "small-tumours"]
        assert small["standing"] == "undecided"
        assert float(re.findall(r"small tumours (\d\.\d+)", small["measured"])[0]) > 0.9
    extremes = rows["256x256", "extremes-worse"]["measured"]
    lows = [float(low) for low in re.findall(r"\[([+-][\d.]+),", extremes)]
    assert min(lows) < 0 < max(lows)
    assert "9x9" in rows["256x256", "extremes-worse"]["why"]


PERFORMANCE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def test_every_speed_on_the_page_was_written_by_the_command() -> None:
    """Ratios with their spread, and rows of implementations, stand in performance/RESULTS.md."""
    results = (ROOT / "performance" / "RESULTS.md").read_text(encoding="utf-8")
    ratios = re.findall(r"\d\.\d\d \(\d\.\d\d - \d\.\d\d\)", PERFORMANCE)
    assert len(ratios) > 10
    assert [ratio for ratio in ratios if ratio not in results] == []
    rates = re.findall(r"\| (\d+\.\d\d) \|", PERFORMANCE) + re.findall(
        r"(\d+\.\d\d) images/s", PERFORMANCE
    )
    assert [rate for rate in rates if f"| {rate} " not in results] == []
    for day in re.findall(r"section of (\d\d:\d\d)", PERFORMANCE):
        assert f" {day}, 512x512" in results


def test_the_verdict_on_bf16_is_that_of_the_records() -> None:
    rows = precisions(collect(reproduction_folder()).runs, load_tolerances().precision)
    lines = [
        f"| {r.size} | {r.split_id} | {r.seeds} | {r.dice:.4f} | {r.plain_dice:.4f} "
        f"| {r.difference:+.4f} | {r.low:+.3f} to {r.high:+.3f} "
        f"| {r.sd:.4f} | {r.plain_sd:.4f} | {r.agreement} |"
        for r in rows
    ]
    assert lines
    page = PERFORMANCE.splitlines()
    assert [line for line in lines if not any(apart(stored, line) == [] for stored in page)] == []
