"""The figures about the slices: histograms, preprocessing, the split with its patients,
augmentation.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from figure_forms import least_points

from benchmark.data import phantoms
from benchmark.data.slices import SliceSet
from benchmark.preprocessing.nyul import apply, fit_nyul
from benchmark.protocol import load_recipe
from benchmark.report.figure import Figure, drawing, svg_of
from benchmark.report.figures import data as module
from benchmark.report.figures.augmentation import SEED, augmented_figure, by_area
from benchmark.report.figures.data import data_figures
from benchmark.report.figures.split import split_figure
from benchmark.report.slices.contour import loops
from benchmark.training import augment

SLUGS = ["histograms", "slice", "split", "augmentation"]
RECIPE = load_recipe("thesis")
RULE = RECIPE.preprocess


@pytest.fixture(scope="module")
def figures(slices: SliceSet) -> dict[str, Figure]:
    return {figure.slug: figure for figure in data_figures(slices)}


def test_figures_1_to_9(figures: dict[str, Figure]) -> None:
    assert list(figures) == SLUGS
    assert [figures[slug].thesis for slug in SLUGS] == ["1-2", "3", "8", "9"]


@pytest.mark.parametrize("slug", SLUGS)
def test_every_figure_is_drawn_with_text_that_can_be_read(
    figures: dict[str, Figure], slug: str
) -> None:
    """ "readable at column width": no text below 6.5 points at the drawn size."""
    assert least_points(figures[slug]) >= 6.5


def test_the_same_slices_give_the_same_drawing(
    figures: dict[str, Figure], slices: SliceSet
) -> None:
    for again in data_figures(slices):
        assert svg_of(again) == svg_of(figures[again.slug])


def test_phantoms_say_so_and_need_no_attribution(figures: dict[str, Figure]) -> None:
    assert not any(figure.pictures for figure in figures.values())
    for slug in ("slice", "split", "augmentation"):
        assert "phantom" in figures[slug].caption


def test_real_slices_ask_for_attribution_where_they_are_seen(slices: SliceSet) -> None:
    real = data_figures(replace(slices, phantom=False))
    assert [figure.slug for figure in real if figure.pictures] == ["slice", "augmentation"]
    assert "stretched" in real[0].caption  # 8-bit files


@pytest.mark.parametrize("panel", ["before", "after"])
def test_a_histogram_holds_all_pixels_of_its_slice(figures: dict[str, Figure], panel: str) -> None:
    data = figures["histograms"].data
    single = data[(data["panel"] == panel) & data["series"].str.startswith("slice ")]
    assert single.groupby("series")["value"].sum().tolist() == pytest.approx([100, 100, 100])


def test_histograms_are_those_of_the_images_before_and_after(
    figures: dict[str, Figure], slices: SliceSet
) -> None:
    """Counted pixel by pixel here; there by grey level."""
    data = figures["histograms"].data
    landmarks = fit_nyul(slices.images, RULE.nyul_percentiles)
    ends = (int(slices.images.min()), int(slices.images.max()) + 1)
    for name in (series for series in data["series"].unique() if series.startswith("slice ")):
        image = slices.images[slices.slice_id == int(name.removeprefix("slice "))]
        for panel, pixels, limits in (
            ("before", image, ends),
            ("after", apply(image, landmarks), (-1, 1)),
        ):
            drawn = data[(data["panel"] == panel) & (data["series"] == name)]["value"]
            counted = np.histogram(pixels, bins=module.BINS, range=limits)[0] / pixels.size * 100
            np.testing.assert_allclose(
                drawn, counted, atol=100 / pixels.size + 1e-9
            )  # a level on a bin's edge


def test_the_mapping_ends_on_the_standard_levels(
    figures: dict[str, Figure], slices: SliceSet
) -> None:
    data = figures["histograms"].data
    drawn = data[(data["panel"] == "mapping") & (data["series"] == "median")]["x"]
    assert tuple(drawn) == fit_nyul(slices.images, RULE.nyul_percentiles).values


def test_many_slices_are_sampled_and_that_is_said(
    slices: SliceSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    assert "10 of the 24 slices, evenly spaced" in data_figures(slices)[0].caption


@pytest.mark.parametrize(("share", "place"), [(0.0, 2), (0.5, 0), (1.0, 1)])
def test_slices_are_chosen_by_the_area_of_their_tumour(share: float, place: int) -> None:
    masks = np.zeros((3, 32, 32), dtype=bool)
    for i, side in enumerate((5, 9, 2)):
        masks[i, :side, :side] = True
    few = SliceSet(
        masks.astype(np.uint8), masks, np.array([4, 5, 6]), np.ones(3, np.int64), (None,) * 3
    )
    assert by_area(few, share) == place


def test_the_slice_before_and_after_is_the_median_one(
    figures: dict[str, Figure], slices: SliceSet
) -> None:
    """Its grey levels run over the whole of [-1, 1] afterwards, and count every pixel once."""
    data, i = figures["slice"].data, by_area(slices, 0.5)
    assert f"Slice {slices.slice_id[i]}," in figures["slice"].caption
    assert data["grey_level"].tolist() == np.unique(slices.images[i]).tolist()
    assert data["pixels"].sum() == slices.images[i].size
    assert (data["after"].min(), data["after"].max()) == (-1, 1)


def test_every_slice_stands_once_in_the_column_of_its_patient(
    figures: dict[str, Figure], slices: SliceSet
) -> None:
    data = figures["split"].data
    assert data["split"].unique().tolist() == ["by-image-1", "by-patient-1"]
    for _, part in data.groupby("split"):
        assert sorted(part["slice_id"]) == slices.slice_id.tolist()
        assert not part.duplicated(["column", "row"]).any()
        assert (part.groupby("column")["patient_id"].nunique() == 1).all()
        assert (part.groupby("patient_id")["column"].nunique() == 1).all()
        heights = part.groupby("column").size()
        assert heights.is_monotonic_decreasing


def test_a_split_by_patient_has_one_set_a_column_and_one_by_image_has_not(
    figures: dict[str, Figure],
) -> None:
    sets = figures["split"].data.groupby(["split", "column"])["set"].nunique()
    assert (sets["by-patient-1"] == 1).all()
    assert (sets["by-image-1"] > 1).any()


def test_a_column_holds_training_then_validation_then_test(figures: dict[str, Figure]) -> None:
    data = figures["split"].data
    places = data.assign(of=data["set"].map(["train", "val", "test"].index)).sort_values("row")
    assert (
        places.groupby(["split", "column"])["of"].agg(lambda of: of.is_monotonic_increasing).all()
    )


def test_the_caption_counts_the_leak() -> None:
    """Counted here from the drawn columns: test slices whose patient has a training slice,
    validation ones apart.
    """
    pairs = phantoms.draw(
        patients=18, slices_per_patient=2
    )  # one patient is tested and validated only
    figure = split_figure(pairs, RECIPE)
    assert set(figure.data["split"]) == {"by-image-1", "by-patient-1"}
    for name, part in figure.data.groupby("split"):
        trained = set(part.loc[part["set"] == "train", "patient_id"])
        test = part[part["set"] == "test"]
        count = int(test["patient_id"].isin(trained).sum())
        words = f"{count} of the {len(test)} test slices have their patient in training too"
        assert words in figure.caption.split(f"{name}: ")[1].split("by-patient")[0]


def test_sets_differ_by_mark_and_not_by_colour_alone(figures: dict[str, Figure]) -> None:
    with drawing("split"):
        axes = figures["split"].draw(figures["split"].data).axes[0]
        assert len({line.get_marker() for line in axes.lines}) == 3


def test_without_patients_only_the_split_by_image_is_drawn(slices: SliceSet) -> None:
    figure = split_figure(replace(slices, patient_id=(None,) * len(slices)), RECIPE)
    assert figure.data["split"].unique().tolist() == ["by-image-1"]
    assert "no patient is known" in figure.caption
    assert "their patient" not in figure.caption
    assert "by-image-1" in svg_of(figure)


def test_too_few_patients_for_folds_leave_the_split_by_image() -> None:
    few = phantoms.draw(patients=4, slices_per_patient=5)
    assert split_figure(few, RECIPE).data["split"].unique().tolist() == ["by-image-1"]


def test_augmented_examples_are_what_a_training_is_fed(
    figures: dict[str, Figure], slices: SliceSet
) -> None:
    """ "the first later ones": every number and outline is that of (seed, epoch, slice) itself."""
    figure = figures["augmentation"]
    with drawing("augmentation"):
        axes = figure.draw(figure.data).axes
    shown = [
        one for i, one in enumerate(axes) if i % 6
    ]  # the first of each row is the slice as it is
    assert len(figure.data) == len(shown) == 10
    for row, one in zip(figure.data.itertuples(), shown, strict=True):
        table = augment.sample(RECIPE.augmentation, SEED, row.epoch, np.array([row.slice_id]))
        assert row.rotation_degrees == pytest.approx(np.degrees(table.rotation[0]))
        assert row.noise_sd == table.noise_sd[0]
        mask = torch.from_numpy(slices.masks[slices.slice_id == row.slice_id])
        _, moved = augment.apply(table, torch.zeros(mask.shape), mask, slices.spacing_mm)
        outlines = loops(moved[0].numpy())
        assert len(one.patches) == len(outlines)
        for patch, outline in zip(one.patches, outlines, strict=True):
            np.testing.assert_array_equal(patch.get_xy()[:-1], outline)


def test_every_kind_of_chance_is_seen(figures: dict[str, Figure]) -> None:
    """Epoch 0 and the first later one with each: noise, intensity, bias field, motion."""
    parts = [part for _, part in figures["augmentation"].data.groupby("slice_id")]
    assert len(parts) == 2
    for part in parts:
        assert part["epoch"].tolist() == sorted(set(part["epoch"]))
        assert part["epoch"].iloc[0] == 0
        assert part[["noise_sd", "intensity_change", "bias", "motion"]].astype(bool).any().all()


def test_a_protocol_without_chance_shows_the_first_epochs(slices: SliceSet) -> None:
    changes = {f"augmentation.{name}_p": 0.0 for name in ("noise", "intensity", "bias", "motion")}
    landmarks = fit_nyul(slices.images, RULE.nyul_percentiles)
    figure = augmented_figure(slices, load_recipe("thesis", changes), landmarks)
    assert figure.data["epoch"].tolist() == [0, 1, 2, 3, 4] * 2
    assert "nothing" in svg_of(figure)
