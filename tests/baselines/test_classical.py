"""The classical arms, on pictures small enough to know the answer beforehand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from baselines import _morphology
from baselines._morphology import deepest_pixel, head, otsu_threshold, thickest_component
from baselines._tuning import tune
from baselines.background import Background
from baselines.clusters import Clusters, k_means
from baselines.edges import Edges, flooded
from baselines.otsu import Otsu
from baselines.region_growing import ClickRegionGrowing, RegionGrowing, bright_seed, grow
from baselines.threshold import Threshold
from benchmark.arm import Arm, Cases, RunContext
from benchmark.data import pairs
from benchmark.data.phantoms import make
from benchmark.protocol import Recipe
from benchmark.scoring.overlap import count

REAL = os.environ.get("MENINGIOMA_DATA", "")  # read now: the tests themselves run without it
AIR, BRAIN, TUMOUR = -1.0, -0.21, 0.5
CONTEXT = RunContext(recipe=Recipe(), seed=0)
AUTOMATIC = [Background, Otsu, Threshold, RegionGrowing, Edges, Clusters]

Mask = NDArray[np.bool_]


def disc(row: float, column: float, radius: float, size: int = 64) -> Mask:
    rows, columns = np.ogrid[:size, :size]
    return np.asarray(np.hypot(rows - row, columns - column) <= radius)


def picture(*tumours: Mask) -> NDArray[np.float32]:
    """A round head of radius 26 in air, with tumours of one brightness."""
    image = np.where(disc(32, 32, 26), BRAIN, AIR)
    for tumour in tumours:
        image[tumour] = TUMOUR
    return image.astype(np.float32)


def cases(images: NDArray[np.float32], masks: Mask) -> Cases:
    return Cases(images, masks, np.arange(1, len(images) + 1), (0.49, 0.49))


def stretched(images: NDArray[np.generic]) -> NDArray[np.float32]:
    grey = images.astype(np.float32)
    low, high = grey.min((1, 2), keepdims=True), grey.max((1, 2), keepdims=True)
    return np.asarray((grey - low) / (high - low) * 2 - 1, dtype=np.float32)


@pytest.fixture(scope="module")
def one_tumour() -> Cases:
    mask = disc(26, 38, 6)
    return cases(picture(mask)[None], mask[None])


@pytest.fixture(scope="module")
def phantoms() -> Cases:
    drawn = make(seed=3, patients=8, slices_per_patient=2)
    return cases(stretched(drawn.images), drawn.masks)


def fitted(arm: type, train: Cases) -> Arm:
    made = arm()
    made.fit(train, train, CONTEXT)
    return made  # type: ignore[no-any-return]


def mean_dice(found: NDArray[np.float32], masks: Mask) -> float:
    return float(np.mean([count(f > 0.5, m).dice for f, m in zip(found, masks, strict=True)]))


# --- every arm -------------------------------------------------------------------------


@pytest.mark.parametrize("arm", [Otsu, Threshold, RegionGrowing, Edges, Clusters])
def test_a_lone_bright_disc_is_found_exactly(arm: type, one_tumour: Cases) -> None:
    found = fitted(arm, one_tumour).predict(one_tumour.images)
    assert np.array_equal(found > 0.5, one_tumour.masks)


@pytest.mark.parametrize("arm", AUTOMATIC)
def test_a_constant_image_holds_no_tumour(arm: type, one_tumour: Cases) -> None:
    assert not fitted(arm, one_tumour).predict(np.zeros((2, 64, 64), np.float32)).any()


@pytest.mark.parametrize(
    ("arm", "chosen", "pixels"),
    [
        (Otsu, {}, 1844),
        (Threshold, {"threshold": -0.12}, 3758),
        (RegionGrowing, {"tolerance": 0.9}, 3618),
        (Edges, {"level": 0.1}, 2987),
        (Clusters, {"clusters": 6, "bright": 3}, 4733),
        (ClickRegionGrowing, {"tolerance": 0.65}, 11948),
    ],
)
def test_what_they_outline_of_drawn_slices_stays(
    arm: type, chosen: dict[str, float], pixels: int, phantoms: Cases
) -> None:
    """Pixels in all, computed once; a changed method must raise `benchmark.runs.spec.SCHEMA`."""
    ready, clicks = fitted(arm, phantoms), np.array([deepest_pixel(m) for m in phantoms.masks])
    clicked = arm is ClickRegionGrowing
    maps = ready.predict(phantoms.images, *([clicks] if clicked else []))
    assert ready.state() == pytest.approx(chosen)  # type: ignore[attr-defined]
    assert maps.sum() == pytest.approx(pixels, abs=3)
    assert set(np.unique(maps)) == {0.0, 1.0}
    assert not clicked or maps[np.arange(len(clicks)), clicks[:, 0], clicks[:, 1]].all()


# --- background, Otsu, threshold -------------------------------------------------------


def test_background_is_zero_everywhere(phantoms: Cases) -> None:
    found = Background().predict(phantoms.images)
    assert found.shape == phantoms.images.shape
    assert not found.any()


@pytest.mark.parametrize("seed", range(5))
def test_no_cut_parts_the_values_better_than_otsu(seed: int) -> None:
    """Otsu 1979: the cut maximises w0 w1 (mean1 - mean0)^2, here over a fine grid of cuts."""
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(-0.5, 0.1, 700), rng.normal(0.3, 0.2, 300)])
    values = values.astype(np.float32)

    def apart(cut: float) -> float:
        low, high = values[values <= cut], values[values > cut]
        if not (len(low) and len(high)):
            return 0.0
        return len(low) * len(high) * float(high.mean() - low.mean()) ** 2

    cut = otsu_threshold(values)
    assert cut is not None
    best = max(apart(c) for c in np.linspace(values.min(), values.max(), 1000))
    assert apart(cut) >= 0.999 * best  # 256 bins against 1000 cuts


def test_otsu_threshold_parts_two_levels() -> None:
    cut = otsu_threshold(np.array([0.0, 0.0, 1.0, 1.0], np.float32))
    assert cut is not None
    assert 0 <= cut < 1


@pytest.mark.parametrize("values", [[], [0.3], [0.3, 0.3]])
def test_otsu_threshold_of_one_value_is_none(values: list[float]) -> None:
    assert otsu_threshold(np.array(values, np.float32)) is None


def test_threshold_is_the_first_cut_that_parts_the_levels(one_tumour: Cases) -> None:
    # Cuts at -1, -0.96, ...; brain at -0.21 and tumour at 0.5 are parted from -0.20 on: Dice 1.
    arm = Threshold(steps=50)
    report = arm.fit(one_tumour, one_tumour, CONTEXT)
    assert report.facts["threshold"] == arm.threshold == pytest.approx(-0.20)
    assert report.facts["tuning_dice"] == 1


# --- edges -----------------------------------------------------------------------------


def test_an_outline_is_moved_to_the_steepest_edge_within_the_band() -> None:
    """Too small and too large a disc both end at the disc of radius 10, the edge of the relief."""
    disc_of = {r: disc(32, 32, r) for r in (7, 10, 13)}
    inner = disc(32, 32, 9) | ~disc(32, 32, 11)
    relief = np.where(inner, 0.0, 1.0).astype(np.float32)  # a crest of radius 10
    for radius in (7, 10, 13):
        found = flooded(disc_of[radius], relief, band=5)
        assert not (found & ~disc(32, 32, 11)).any()
        assert not (disc(32, 32, 9) & ~found).any()


def test_an_outline_stays_within_the_band() -> None:
    """On a slope without edges, too: 3 pixels from a disc of radius 8."""
    found = flooded(disc(32, 32, 8), np.zeros((64, 64), np.float32), band=3)
    assert not (disc(32, 32, 5) & ~found).any()
    assert not (found & ~disc(32, 32, 12)).any()


def test_a_thin_outline_is_flooded_from_the_middle_and_no_outline_from_nowhere() -> None:
    line = np.zeros((32, 32), bool)
    line[15:18, 5:27] = True  # 2 deep, under the band of 9
    relief = np.where(line, 0.0, 1.0).astype(np.float32)
    assert (flooded(line, relief, 9.0) & line)[16, 6:26].all()
    assert not flooded(np.zeros_like(line), relief, 9.0).any()


def test_an_outline_at_the_border_of_the_image_is_flooded_too() -> None:
    mask = np.zeros((32, 32), bool)
    mask[:10, :10] = True
    relief = np.zeros((32, 32), np.float32)
    relief[10, :11] = relief[:11, 10] = 1
    found = flooded(mask, relief, 4.0)
    assert found[:10, :10].all()
    assert not found[11:].any()


# --- clusters --------------------------------------------------------------------------


def test_means_of_few_values_by_hand() -> None:
    values = np.array([0.0, 0.0, 0.2, 0.8, 1.0, 1.0, 1.0], np.float32)
    assert k_means(values, 2) == pytest.approx([0.2 / 3, 3.8 / 4])
    assert k_means(values, 3) == pytest.approx([0.2 / 3, 0.8, 1.0])  # from 0, 0.8, 1, the middles
    assert k_means(values, 4) == pytest.approx([0.0, 0.2, 0.8, 1.0])
    assert k_means(values, 5) is None
    assert k_means(np.zeros(0, np.float32), 2) is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [2, 3, 5, 8])
def test_scipy_s_k_means_stays_where_ours_ends(k: int, seed: int) -> None:
    """Lloyd's algorithm moves no mean of a solution, and every cluster has values."""
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(-0.2, 0.1, 900), rng.normal(0.5, 0.1, 60)])
    values = np.round(values, 2).astype(np.float32)  # as few levels as 8-bit slices have
    means = k_means(values, k)
    assert means is not None
    assert (np.diff(means) > 0).all()
    again, labels = kmeans2(values.astype(float), means, iter=1, minit="matrix")
    assert again == pytest.approx(means, abs=1e-12)
    assert set(labels) == set(range(k))


def test_few_values_far_from_many_begin_in_clusters_of_their_own() -> None:
    """All quantiles of these lie on one level; starts differ nevertheless."""
    values = np.array([0.0] * 97 + [0.5, 0.6, 1.0], np.float32)
    assert k_means(values, 3) == pytest.approx([0.0, 0.55, 1.0])


def test_the_brightest_clusters_are_the_tumour() -> None:
    """Of a picture with three levels of brightness besides air, three clusters and one bright."""
    tumour, grey = disc(26, 38, 6), disc(40, 26, 6)
    image = picture(tumour)
    image[grey] = 0.1
    train = cases(image[None], tumour[None])
    arm = Clusters()
    report = arm.fit(train, train, CONTEXT)
    assert report.facts["tuning_dice"] == 1
    assert (arm.clusters, arm.bright) == (2, 1)  # the first of equals
    assert np.array_equal(arm.predict(image[None])[0] > 0.5, tumour)


# --- region growing --------------------------------------------------------------------


def test_a_click_returns_the_clicked_one_of_two_equal_discs() -> None:
    left, right = disc(32, 22, 6), disc(32, 42, 6)
    image = picture(left, right)[None]
    arm = ClickRegionGrowing()
    report = arm.fit(cases(image, left[None]), cases(image, left[None]), CONTEXT)
    assert report.facts["tuning_dice"] == 1
    assert np.array_equal(arm.predict(image, np.array([[32, 22]]))[0] > 0.5, left)
    assert np.array_equal(arm.predict(image, np.array([[32, 42]]))[0] > 0.5, right)


def test_the_level_is_the_tolerance_of_the_way_down_to_the_brain() -> None:
    # Seed 1, brain 0: with tolerance 0.6 the region reaches down to 0.4 and no further.
    image = np.array([[1.0, 0.8, 0.6, 0.41, 0.39, 0.2, 0.0]], np.float32)
    region = grow(image, (0, 0), 0.6, 0.0, np.ones_like(image, bool), 0.0)
    assert region.tolist() == [[True, True, True, True, False, False, False]]


def test_brighter_pixels_are_always_near_enough_and_forbidden_ones_never() -> None:
    image = np.array([[0.5, 0.9, 0.5, 0.5]], np.float32)
    region = grow(image, (0, 0), 0.5, 0.0, np.array([[True, True, True, False]]), 0.0)
    assert region.tolist() == [[True, True, True, False]]


def test_a_dark_centre_is_filled() -> None:
    whole = disc(32, 32, 10)
    image = np.where(whole & ~disc(32, 32, 4), 1.0, 0.0).astype(np.float32)
    assert np.array_equal(grow(image, (25, 32), 0.5, 0.0, np.ones_like(whole), 0.0), whole)


def test_growing_does_not_leak_through_a_thin_vessel() -> None:
    left, right = disc(32, 15, 8), disc(32, 48, 8)
    bridge = np.zeros_like(left)
    bridge[32, 15:48] = True
    image, free = (left | right | bridge).astype(np.float32), np.ones_like(left)
    assert grow(image, (32, 15), 0.5, 0.0, free, neck=0.0)[32, 48]
    stopped = grow(image, (32, 15), 0.5, 0.0, free, neck=4.0)
    assert not (stopped & right).any()
    assert count(stopped, left).dice > 0.98  # but a stump of the bridge, a pixel of the outline


@pytest.mark.parametrize(("rows", "passes"), [(7, True), (5, False)])
def test_where_nothing_is_as_wide_as_the_neck_a_disc_of_0_6_of_the_widest_must_pass(
    rows: int, passes: bool
) -> None:
    """Two squares of 9 are 5 deep; a passage of 7 rows is 4 deep, over 3, one of 5 rows is not."""
    mask = np.zeros((11, 34), bool)
    mask[1:10, 1:10] = mask[1:10, 24:33] = mask[5 - rows // 2 : 6 + rows // 2, 10:24] = True
    assert _morphology.without_necks(mask, (5, 5), 99.0)[5, 28] == passes


def test_a_mask_thinner_than_the_neck_is_kept() -> None:
    line = np.zeros((9, 9), bool)
    line[4, 2:7] = True
    assert np.array_equal(_morphology.without_necks(line, (4, 4), width=6.0), line)


def test_the_seed_is_the_centre_of_the_bright_disc(one_tumour: Cases) -> None:
    assert bright_seed(one_tumour.images[0]) == (26, 38)


# --- helpers ---------------------------------------------------------------------------


def test_head_is_filled_and_without_specks() -> None:
    image = picture(disc(26, 38, 6))
    image[32, 20:24] = AIR  # a sinus
    image[1, 1] = BRAIN  # a speck in the air
    assert np.array_equal(head(image), disc(32, 32, 26))


def test_thickest_is_not_largest() -> None:
    strip, ball = np.zeros((64, 64), bool), disc(40, 32, 5)
    strip[4:7, 2:62] = True  # 180 pixels against 81, but 3 wide
    assert np.array_equal(thickest_component(strip | ball), ball)
    assert not thickest_component(np.zeros((64, 64), bool)).any()


def test_tune_takes_the_best_and_the_first_of_equals() -> None:
    masks = np.ones((5, 2, 2), bool)
    seen: list[int] = []

    def prepare(place: int):  # type: ignore[no-untyped-def]
        seen.append(place)
        return lambda candidate: np.full((2, 2), candidate >= 2)

    assert tune([1, 2, 3], 5, 3, prepare, masks) == (2.0, 1.0)
    assert seen == [0, 2, 4]


# --- real slices -----------------------------------------------------------------------


@pytest.mark.skipif(
    not (REAL and (Path(REAL) / "masks").is_dir()),
    reason="MENINGIOMA_DATA names no folder of image pairs",
)
def test_on_real_slices_the_click_helps() -> None:
    files = sorted((Path(REAL) / "images").iterdir())[::36]
    images = stretched(np.stack([pairs.decode(file) for file in files]))
    outlines = (Path(REAL) / "masks" / f"{file.stem}.png" for file in files)
    masks = np.stack([pairs.decode(file).astype(bool) for file in outlines])
    train, test = cases(images[::2], masks[::2]), cases(images[1::2], masks[1::2])
    clicked, alone = ClickRegionGrowing(), fitted(Otsu, train)
    clicked.fit(train, train, CONTEXT)
    clicks = np.array([deepest_pixel(mask) for mask in test.masks])
    with_click = mean_dice(clicked.predict(test.images, clicks), test.masks)
    without = mean_dice(alone.predict(test.images), test.masks)
    assert with_click > 0.75 > without > 0.4  # measured on 106 test slices: 0.88 and 0.62
