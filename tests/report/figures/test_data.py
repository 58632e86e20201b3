"""Figures about the slices: histograms, preprocessing, split and patients, augmentation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from figure_forms import least_points, plotted

from benchmark.data import phantoms
from benchmark.data.slices import SliceSet
from benchmark.preprocessing.nyul import apply, fit_nyul
from benchmark.protocol import load_recipe
from benchmark.report.figure import Figure, svg_of
from benchmark.report.figures import data as module
from benchmark.report.figures.augmentation import SEED, augmented_figure, by_area
from benchmark.report.figures.data import data_figures
from benchmark.report.figures.split import split_figure
from benchmark.report.slices.contour import loops
from benchmark.training import augment

THESIS = {"histograms": "1-2", "slice": "3", "split": "8", "augmentation": "9"}
RECIPE = load_recipe("thesis")
PERCENTILES = RECIPE.preprocess.nyul_percentiles


@pytest.fixture(scope="module")
def figures(slices: SliceSet) -> dict[str, Figure]:
    return {figure.slug: figure for figure in data_figures(slices)}


def test_figures_1_to_9_can_be_read_at_column_width(figures: dict[str, Figure]) -> None:
    """No text below 6.5 points at the size it is shown."""
    assert [(slug, figure.thesis) for slug, figure in figures.items()] == list(THESIS.items())
    assert min(map(least_points, figures.values())) >= 6.5


def test_the_same_slices_give_the_same_drawing(
    figures: dict[str, Figure], slices: SliceSet
) -> None:
    for again in data_figures(slices):
        assert svg_of(again) == svg_of(figures[again.slug])


def test_real_slices_alone_ask_for_attribution_where_they_are_seen(
    figures: dict[str, Figure], slices: SliceSet
) -> None:
    """Phantoms say that they are."""
    real = data_figures(replace(slices, phantom=False))
    assert [figure.slug for figure in real if figure.pictures] == ["slice", "augmentation"]
    assert "stretched" in real[0].caption  # 8-bit files
    assert not any(figure.pictures for figure in figures.values())
    assert all("phantom" in figures[slug].caption for slug in ("slice", "split", "augmentation"))


def test_histograms_are_those_of_the_images_before_and_after(
    figures: dict[str, Figure], slices: SliceSet
) -> None:
    """Counted pixel by pixel here; there by grey level. Each holds all pixels of its slice."""
    data = figures["histograms"].data
    landmarks = fit_nyul(slices.images, PERCENTILES)
    ends = (int(slices.images.min()), int(slices.images.max()) + 1)
    singles = [name for name in data["series"].unique() if name.startswith("slice ")]
    assert len(singles) == 3
    for name in singles:
        image = slices.images[slices.slice_id == int(name.removeprefix("slice "))]
        after = apply(image, landmarks)
        for panel, pixels, limits in (("before", image, ends), ("after", after, (-1, 1))):
            shown = data[(data["panel"] == panel) & (data["series"] == name)]["value"]
            counted = np.histogram(pixels, bins=module.BINS, range=limits)[0] / pixels.size * 100
            on_an_edge = 100 / pixels.size + 1e-9  # of one pixel's level, on the edge of a bin
            np.testing.assert_allclose(shown, counted, atol=on_an_edge)
            assert shown.sum() == pytest.approx(100)


def test_the_mapping_ends_on_the_standard_levels(
    figures: dict[str, Figure], slices: SliceSet
) -> None:
    data = figures["histograms"].data
    levels = data[(data["panel"] == "mapping") & (data["series"] == "median")]["x"]
    assert tuple(levels) == fit_nyul(slices.images, PERCENTILES).values


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
    numbers, label = np.array([4, 5, 6]), np.ones(3, np.int64)
    few = SliceSet(masks.astype(np.uint8), masks, numbers, label, (None,) * 3)
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
    """Those with most slices first; in a column training, then validation, then test."""
    data = figures["split"].data
    assert data["split"].unique().tolist() == ["by-image-1", "by-patient-1"]
    data = data.assign(of=data["set"].map(["train", "val", "test"].index))
    for name, part in data.groupby("split"):
        assert sorted(part["slice_id"]) == slices.slice_id.tolist()
        assert not part.duplicated(["column", "row"]).any()
        assert (part.groupby("patient_id")["column"].nunique() == 1).all()
        columns = part.sort_values("row").groupby("column")
        assert (columns["patient_id"].nunique() == 1).all()
        assert columns.size().is_monotonic_decreasing
        assert columns["of"].agg(lambda of: of.is_monotonic_increasing).all()
        assert (columns["set"].nunique() == 1).all() == (name == "by-patient-1")


def test_the_caption_counts_what_leaks() -> None:
    """Counted here from the columns: test slices whose patient has a training slice.

    Validation slices apart: one patient is tested and validated only.
    """
    figure = split_figure(phantoms.make(patients=18, slices_per_patient=2), RECIPE)
    assert set(figure.data["split"]) == {"by-image-1", "by-patient-1"}
    for name, part in figure.data.groupby("split"):
        trained = set(part.loc[part["set"] == "train", "patient_id"])
        test = part[part["set"] == "test"]
        count = int(test["patient_id"].isin(trained).sum())
        words = f"{count} of the {len(test)} test slices have their patient in training too"
        assert words in figure.caption.split(f"{name}: ")[1].split("by-patient")[0]


def test_sets_differ_by_mark_and_not_by_colour_alone(figures: dict[str, Figure]) -> None:
    axes = plotted(figures["split"]).axes[0]
    assert len({line.get_marker() for line in axes.lines}) == 3


def test_without_patients_only_the_split_by_image_is_shown(slices: SliceSet) -> None:
    figure = split_figure(replace(slices, patient_id=(None,) * len(slices)), RECIPE)
    assert figure.data["split"].unique().tolist() == ["by-image-1"]
    assert "no patient is known" in figure.caption
    assert "their patient" not in figure.caption
    assert "by-image-1" in svg_of(figure)


def test_too_few_patients_for_folds_leave_the_split_by_image() -> None:
    few = phantoms.make(patients=4, slices_per_patient=5)
    assert split_figure(few, RECIPE).data["split"].unique().tolist() == ["by-image-1"]


def test_augmented_examples_are_what_a_training_is_fed(
    figures: dict[str, Figure], slices: SliceSet
) -> None:
    """Every number and outline is that of (seed, epoch, slice) itself."""
    figure = figures["augmentation"]
    shown = [axes for i, axes in enumerate(plotted(figure).axes) if i % 6]  # the first is as it is
    assert len(figure.data) == len(shown) == 10
    for row, axes in zip(figure.data.itertuples(), shown, strict=True):
        table = augment.sample(RECIPE.augmentation, SEED, row.epoch, np.array([row.slice_id]))
        assert row.rotation_degrees == pytest.approx(np.degrees(table.rotation[0]))
        assert row.noise_sd == table.noise_sd[0]
        mask = torch.from_numpy(slices.masks[slices.slice_id == row.slice_id])
        _, moved = augment.apply(table, torch.zeros(mask.shape), mask, slices.spacing_mm)
        for patch, outline in zip(axes.patches, loops(moved[0].numpy()), strict=True):
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
    landmarks = fit_nyul(slices.images, PERCENTILES)
    figure = augmented_figure(slices, load_recipe("thesis", changes), landmarks)
    assert figure.data["epoch"].tolist() == [0, 1, 2, 3, 4] * 2
    assert "nothing" in svg_of(figure)
