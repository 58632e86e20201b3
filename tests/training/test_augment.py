"""Augmentation: each transform against an independent oracle or numbers derived by hand."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage, stats
from scipy.interpolate import BSpline
from strategies import costly, law, seeds

from benchmark.protocol import Augmentation
from benchmark.training import augment
from benchmark.training.augment import AugmentationTable, apply, gaussian_field, sample

Floats = NDArray[np.float64]
OFF = Augmentation(affine_p=0, elastic_p=0, motion_p=0, bias_p=0, intensity_p=0, noise_p=0)
ON = Augmentation(affine_p=1, elastic_p=1, motion_p=1, bias_p=1, intensity_p=1, noise_p=1)
SPACING = (0.9, 1.3)  # rows and columns apart, so that exchanging them shows
H, W = 64, 96
WORD = 2**64


def neutral(b: int = 1, black_level: float = -1.0, **columns: Any) -> AugmentationTable:
    """A table of b rows in which nothing happens, but for the given columns."""
    table = sample(replace(OFF, black_level=black_level), 0, 0, np.arange(b))
    return replace(table, **{name: np.asarray(value) for name, value in columns.items()})


def pictures(b: int = 1, h: int = H, w: int = W) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth images in [-1, 1], black at the rim as a head in air is, and an ellipse as mask."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    texture = np.stack([ndimage.gaussian_filter(rng.normal(0, 1, (h, w)), 2) for _ in range(b)])
    light = np.clip(0.5 + 1.5 * texture, 0, 1) * (np.hypot(x, y) < 0.8)
    masks = np.repeat((np.hypot((x - 0.2) / 0.5, (y + 0.1) / 0.3) < 1)[None], b, axis=0)
    return torch.from_numpy((2 * light - 1).astype(np.float32)), torch.from_numpy(masks)


def changed(
    table: AugmentationTable, image: torch.Tensor, spacing_mm: tuple[float, float] = SPACING
) -> Floats:
    """Apply a one-row table to one (H, W) image and return it as float64."""
    done, _ = apply(table, image[None], torch.zeros(1, *image.shape, dtype=torch.bool), spacing_mm)
    return done[0].numpy().astype(np.float64)


def turned(angle: float) -> Floats:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


# Sampling


@pytest.fixture(scope="module")
def many() -> AugmentationTable:
    """3000 samples of the default strengths."""
    return sample(Augmentation(), 452669, 1, np.arange(3000))


def happened(table: AugmentationTable) -> dict[str, NDArray[np.bool_]]:
    return {
        "affine": (table.scale != 1).any(axis=1),
        "elastic": (table.elastic != 0).any(axis=(1, 2, 3)),
        "motion": table.motion_on,
        "bias": (table.bias != 0).any(axis=1),
        "intensity": table.intensity != 1,
        "noise": table.noise_sd != 0,
    }


OFTEN = {"affine": 1.0, "elastic": 1.0, "motion": 0.05, "bias": 0.2, "intensity": 0.25}
OFTEN |= {"noise": 0.25}


@pytest.mark.parametrize(("name", "p"), OFTEN.items())
def test_frequencies_are_the_thesis_s(name: str, p: float, many: AugmentationTable) -> None:
    # thesis, 2.8; the central 99.9 % of a binomial distribution of 3000 draws
    low, high = stats.binom.interval(0.999, 3000, p) if p < 1 else (3000, 3000)
    assert low <= happened(many)[name].sum() <= high


def test_events_are_independent(many: AugmentationTable) -> None:
    # a quarter of a quarter has both intensity and noise; 0.25 * 0.2 both noise and bias
    events = happened(many)
    pairs = (("intensity", "noise", 1 / 16), ("noise", "bias", 0.05), ("intensity", "bias", 0.05))
    for a, b, p in pairs:
        low, high = stats.binom.interval(0.999, 3000, p)
        assert low <= (events[a] & events[b]).sum() <= high


def test_noise_and_intensity_can_be_one_joint_event() -> None:
    joint = Augmentation(noise_with_intensity=True, intensity_p=0.9)
    events = happened(sample(joint, 1, 0, np.arange(1000)))
    assert (events["noise"] == events["intensity"]).all()
    low, high = stats.binom.interval(0.999, 1000, 0.25)  # noise_p decides
    assert low <= events["noise"].sum() <= high


def test_strengths_are_uniform_over_their_ranges(many: AugmentationTable) -> None:
    events = happened(many)
    turn = math.radians(10)
    for values, low, high in (
        (many.scale.ravel(), 0.9, 1.1),
        (many.rotation, -turn, turn),
        (many.elastic[:, :, 2:5, 2:5].ravel(), -7.5, 7.5),
        (many.motion_rotation.ravel(), -turn, turn),
        (many.motion_shift.ravel(), -10, 10),
        (many.bias[events["bias"]].ravel(), -0.5, 0.5),
        (many.intensity[events["intensity"]], 0.7, 1.3),
        (many.noise_sd[events["noise"]], 0, 0.25),
    ):
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3
        assert low <= values.min() <= values.max() <= high
    inner = np.zeros((7, 7), bool)
    inner[2:5, 2:5] = True
    assert not many.elastic[:, :, ~inner].any()  # the outer two rings stay still
    first, second = many.motion_times.T
    assert ((first >= 0) & (first < second) & (second < 1)).all()


def test_seed_epoch_and_slice_each_change_every_column() -> None:
    base = sample(ON, 1, 2, np.array([3]))
    drawn = {field.name for field in fields(AugmentationTable)}
    drawn -= {"motion_on", "shift", "black_level"}
    for seed, epoch, number in ((9, 2, 3), (1, 9, 3), (1, 2, 9)):
        other = sample(ON, seed, epoch, np.array([number]))
        for name in drawn:
            assert not np.array_equal(getattr(base, name), getattr(other, name)), name


def test_switching_one_transform_off_leaves_the_others_draws_alone() -> None:
    ids = np.arange(20)
    full, less = sample(ON, 1, 0, ids), sample(replace(ON, elastic_p=0, noise_p=0), 1, 0, ids)
    motion = ("motion_times", "motion_rotation", "motion_shift")
    for name in ("scale", "rotation", "bias", "intensity", *motion):
        np.testing.assert_array_equal(getattr(full, name), getattr(less, name))


def test_no_global_generator_is_read_or_moved() -> None:
    images, masks = pictures(2)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - the point
    first, _ = apply(sample(ON, 1, 0, np.arange(2)), images, masks, SPACING)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(99)
        again, _ = apply(sample(ON, 1, 0, np.arange(2)), images, masks, SPACING)
    assert torch.equal(first, again)


def test_shapes_dtypes_and_input_are_kept() -> None:
    images, masks = pictures(3)
    before = images.clone(), masks.clone()
    done, moved = apply(sample(ON, 1, 0, np.arange(3)), images, masks, SPACING)
    assert (done.dtype, moved.dtype) == (torch.float32, torch.bool)
    assert done.shape == moved.shape == (3, H, W)
    assert bool(done.isfinite().all())
    assert torch.equal(images, before[0])
    assert torch.equal(masks, before[1])


# Affine and elastic


@pytest.mark.parametrize(
    ("scale", "degrees"),
    [((1.0, 1.0), 10.0), ((1.1, 0.9), 0.0), ((0.92, 1.07), -7.0), ((1.05, 1.05), 90.0)],
)
def test_affine_agrees_with_scipy(scale: tuple[float, float], degrees: float) -> None:
    # An output position is divided by the scale, then turned, in mm from the centre; scipy works in
    # pixels.
    (image,), _ = pictures()
    angle = math.radians(degrees)
    mm = np.diag(SPACING)
    matrix = np.linalg.inv(mm) @ turned(angle) @ np.diag(1 / np.array(scale)) @ mm
    centre = np.array([(H - 1) / 2, (W - 1) / 2])
    above = image.numpy().astype(np.float64) + 1
    offset = centre - matrix @ centre
    oracle = ndimage.affine_transform(above, matrix, offset, order=1, mode="grid-constant")
    result = changed(neutral(scale=[scale], rotation=[angle]), image)
    np.testing.assert_allclose(result, oracle - 1, atol=1e-4)


def test_elastic_agrees_with_scipy_s_bspline_and_map_coordinates() -> None:
    # A uniform cubic B-spline on 7 control points: 4 intervals across the image, knots -3 ... 7.
    rng = np.random.default_rng(8)
    control = np.zeros((1, 2, 7, 7))
    control[0, :, 2:5, 2:5] = rng.uniform(-7.5, 7.5, (2, 3, 3))
    knots = np.arange(-3, 8)
    rows, columns = (
        BSpline.design_matrix((np.arange(n) + 0.5) / n * 4, knots, 3).toarray() for n in (H, W)
    )
    field_mm = np.stack([rows @ control[0, axis] @ columns.T for axis in (0, 1)])
    (image,), _ = pictures()
    where = np.mgrid[0:H, 0:W] + field_mm / np.array(SPACING)[:, None, None]
    above = image.numpy().astype(np.float64) + 1
    oracle = ndimage.map_coordinates(above, where, order=1, mode="grid-constant")
    np.testing.assert_allclose(changed(neutral(elastic=control), image), oracle - 1, atol=1e-4)


def test_affine_comes_after_elastic_in_one_resampling() -> None:
    # an output position is displaced first and then divided by the scale: 1.1 mm become 1 mm
    control = np.zeros((1, 2, 7, 7))
    control[0, 1] = 1.1  # all alike: the splines add up to 1, a pure move along columns
    x = np.mgrid[0:H, 0:W][1]
    ramp = torch.from_numpy((x / W).astype(np.float32))
    moved = changed(neutral(elastic=control, scale=[[1.0, 1.1]]), ramp, (1.0, 1.0))
    expected = ((x - (W - 1) / 2) / 1.1 + 1 + (W - 1) / 2) / W
    np.testing.assert_allclose(moved[2:-2, 4:-4], expected[2:-2, 4:-4], atol=1e-5)


def test_what_comes_in_from_outside_is_black_and_no_tumour() -> None:
    white = torch.ones(1, H, W)
    done, moved = apply(neutral(scale=[[0.5, 0.5]]), white, white.bool(), SPACING)
    assert float(done[0, :10].max()) == -1.0
    assert not moved[0, :10].any()


def test_an_affine_move_is_exactly_the_same_geometry_at_half_the_size() -> None:
    # on a grey ramp bilinear interpolation is exact: away from the rim there is only geometry
    def ramp(n: int) -> torch.Tensor:
        y, x = np.mgrid[0:n, 0:n]
        return torch.from_numpy(((0.3 * (x + 0.5) + 0.7 * (y + 0.5)) / n).astype(np.float32))

    table = neutral(scale=[[1.1, 0.95]], rotation=[0.1])
    fine, coarse = changed(table, ramp(128), (0.5, 0.5)), changed(table, ramp(64), (1.0, 1.0))
    blocks = fine.reshape(64, 2, 64, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(blocks[10:-10, 10:-10], coarse[10:-10, 10:-10], atol=1e-5)


def test_doubling_the_spacing_alone_halves_the_displacement_in_pixels() -> None:
    control = np.full((1, 2, 7, 7), 4.0)  # a pure move of 4 mm in both directions
    (image,), _ = pictures()
    near, far = (changed(neutral(elastic=control), image, (mm, mm)) for mm in (2.0, 1.0))
    np.testing.assert_allclose(near[:-2, :-2], image[2:, 2:], atol=1e-5)
    np.testing.assert_allclose(far[:-4, :-4], image[4:, 4:], atol=1e-5)


# Bias field, intensity, noise


def test_bias_field_agrees_with_a_double_loop() -> None:
    # exp of the sum over i + j <= 3 of coefficient * row^i * column^j in -1 to 1, i outermost
    h, w = 5, 7
    coefficients = np.random.default_rng(4).uniform(-0.5, 0.5, 10)
    image = torch.from_numpy(np.random.default_rng(6).uniform(-1, 1, (h, w)).astype(np.float32))
    expected = np.empty((h, w))
    for y, x in np.ndindex(h, w):
        row, column, power, term = 2 * y / (h - 1) - 1, 2 * x / (w - 1) - 1, 0.0, 0
        for i in range(4):
            for j in range(4 - i):
                power += coefficients[term] * row**i * column**j
                term += 1
        expected[y, x] = (float(image[y, x]) + 1) * math.exp(power) - 1
    np.testing.assert_allclose(changed(neutral(bias=[coefficients]), image), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (neutral(intensity=[1.3]), [-1, 0.3, 1.6]),  # 1.3 * (0, 1, 2) - 1
        (neutral(intensity=[0.7]), [-1, -0.3, 0.4]),  # 0.7 * (0, 1, 2) - 1
        (neutral(intensity=[1.3], black_level=0.0), [-1.3, 0, 1.3]),
        (neutral(shift=[0.6]), [-0.4, 0.6, 1.6]),  # +30 % of the grey range, which is 2 wide
    ],
)
def test_intensity_by_hand(table: AugmentationTable, expected: list[float]) -> None:
    greys = torch.tensor([[-1.0, 0.0, 1.0]])
    np.testing.assert_allclose(changed(table, greys), [expected], atol=1e-6)


def test_shift_mode_draws_shares_of_the_grey_range() -> None:
    table = sample(replace(OFF, intensity_p=1, intensity_mode="shift"), 1, 0, np.arange(500))
    scaled = sample(replace(OFF, intensity_p=1), 1, 0, np.arange(500))
    assert (table.intensity == 1).all()
    assert not scaled.shift.any()
    np.testing.assert_allclose(table.shift, 2 * (scaled.intensity - 1), atol=1e-12)


def splitmix64(key: int, i: int) -> int:
    """Output i of splitmix64 from state key (Steele, Lea and Flood 2014), in whole numbers."""
    z = (key + i * 0x9E3779B97F4A7C15) % WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def signed(word: int) -> int:
    return word - WORD if word >= WORD // 2 else word


def test_the_python_splitmix64_is_the_published_one() -> None:
    # the first outputs for seed 1234567, printed with many implementations
    printed = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [splitmix64(1234567, i) for i in (1, 2, 3)] == printed


def test_splitmix64_agrees_with_python_s_whole_numbers() -> None:
    rng = np.random.default_rng(0)
    words = [0, 1, 2**31, 2**62 - 1, 2**63 - 1, -1, -(2**63)]
    words += rng.integers(-(2**63), 2**63 - 1, 200).tolist()
    hashed = augment._splitmix64(torch.tensor(words, dtype=torch.int64)).tolist()
    assert hashed == [signed(splitmix64(word % WORD, 0)) for word in words]


def test_noise_is_box_and_muller_of_splitmix64() -> None:
    keys = [0, 12345, 2**62 - 1]
    expected = np.empty((3, 4, 5))
    for row, key in zip(expected.reshape(3, 20), keys, strict=True):
        for i in range(20):
            bits = splitmix64(key, i)
            u, v = ((bits >> 40) + 1) / 2**24, (bits >> 8) % 2**24 / 2**24
            row[i] = math.sqrt(-2 * math.log(u)) * math.cos(2 * math.pi * v)
    np.testing.assert_allclose(gaussian_field(torch.tensor(keys), 4, 5), expected, atol=2e-5)


def test_noise_is_standard_normal() -> None:
    noise = gaussian_field(torch.tensor([7, 2**61]), 128, 128).numpy().astype(np.float64)
    for values in noise:
        # of n values, the mean has SD 1/sqrt(n) and the SD about 1/sqrt(2 n): four of each
        n = values.size
        assert abs(values.mean()) < 4 / math.sqrt(n)
        assert abs(values.std() - 1) < 4 / math.sqrt(2 * n)
        assert stats.kstest(values.ravel(), "norm").pvalue > 1e-3


def test_noise_has_no_visible_correlation() -> None:
    keys = torch.tensor([100, 101, 102])
    noise = gaussian_field(keys, 128, 128).numpy().astype(np.float64)
    bound = 4 / math.sqrt(128 * 127)
    for values in noise:
        assert abs(np.corrcoef(values[:, 1:].ravel(), values[:, :-1].ravel())[0, 1]) < bound
        assert abs(np.corrcoef(values[1:].ravel(), values[:-1].ravel())[0, 1]) < bound
    for a, b in ((0, 1), (0, 2), (1, 2)):  # neighbouring keys
        assert abs(np.corrcoef(noise[a].ravel(), noise[b].ravel())[0, 1]) < bound


def test_noise_is_added_with_its_sd_and_its_own_key() -> None:
    images, masks = pictures(3)
    table = neutral(3, noise_sd=[0.25, 0.0, 0.1], noise_key=[5, 6, 5])
    done, moved = apply(table, images, masks, SPACING)
    field = gaussian_field(torch.tensor([5]), H, W)[0]
    torch.testing.assert_close(done[0] - images[0], 0.25 * field, rtol=0, atol=1e-6)
    torch.testing.assert_close(done[2] - images[2], 0.10 * field, rtol=0, atol=1e-6)
    assert torch.equal(done[1], images[1])
    assert torch.equal(moved, masks)


# Motion


def moving(times: tuple[float, float], shift: Any, degrees: Any = (0, 0)) -> AugmentationTable:
    moves = {"motion_rotation": [np.radians(degrees)], "motion_shift": [np.asarray(shift, float)]}
    return neutral(motion_on=[True], motion_times=[times], **moves)


def rigid(above: Floats, degrees: float, shift_mm: tuple[float, float]) -> Floats:
    """Sample at the shifted, then turned position, in mm from the centre: scipy."""
    mm = np.diag(SPACING)
    matrix = np.linalg.inv(mm) @ turned(math.radians(degrees)) @ mm
    centre = np.array([(H - 1) / 2, (W - 1) / 2])
    offset = centre - matrix @ (centre + np.array(shift_mm) / np.array(SPACING))
    moved = ndimage.affine_transform(above, matrix, offset, order=1, mode="grid-constant")
    return np.asarray(moved)


@pytest.mark.parametrize("times", [(0.2, 0.7), (0.1, 0.3), (0.6, 0.9), (0.45, 0.55)])
def test_motion_agrees_with_numpy_s_fft_line_by_line(times: tuple[float, float]) -> None:
    # Lines of k-space are acquired one after another. Three stretches of time: in the one that
    # holds the middle line the head lies still; the two others take the two movements in their
    # order.
    degrees, shift = (6.0, -9.0), ((3.0, -5.0), (-8.0, 2.0))
    (image,), _ = pictures()
    above = image.numpy().astype(np.float64) + 1
    heads = [above, rigid(above, degrees[0], shift[0]), rigid(above, degrees[1], shift[1])]
    spectra = [np.fft.fftshift(np.fft.fft2(head), axes=0) for head in heads]
    stretch = [sum((line + 0.5) / H >= t for t in times) for line in range(H)]
    movements = iter((1, 2))
    head_in = [0 if s == stretch[H // 2] else next(movements) for s in range(3)]
    mixed = np.stack([spectra[head_in[stretch[line]]][line] for line in range(H)])
    oracle = np.abs(np.fft.ifft2(np.fft.ifftshift(mixed, axes=0))) - 1
    np.testing.assert_allclose(changed(moving(times, shift, degrees), image), oracle, atol=2e-4)


@pytest.mark.parametrize(
    ("times", "first", "last"),
    # lines 0 ... 63 in time, each at its middle (line + 0.5) / 64; zero frequency is line 32
    # and its middle is at 0.5078: the head may move while that line is acquired
    [((0.25, 0.75), 16, 47), ((0.1, 0.25), 16, 63), ((0.75, 0.9), 0, 47), ((0.001, 0.999), 0, 63),
     ((0.505, 0.9), 32, 57), ((0.2, 0.505), 32, 63)],
)  # fmt: skip
def test_motion_leaves_the_centre_of_k_space_alone(
    times: tuple[float, float], first: int, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,), _ = pictures()
    seen: list[torch.Tensor] = []
    inverse = torch.fft.ifft2
    monkeypatch.setattr(torch.fft, "ifft2", lambda x: seen.append(x) or inverse(x))
    changed(moving(times, shift=((5, 5), (-5, 5))), image)
    difference = (seen[0][0] - torch.fft.fft2(image + 1)).abs().amax(dim=1)
    other = np.fft.fftshift((difference > 1e-3).numpy())  # than of the head that lies still
    assert other.tolist() == [not first <= line <= last for line in range(H)]


def test_motion_touches_its_own_rows_of_the_batch_and_no_mask() -> None:
    images, masks = pictures(3)
    moves = {"motion_times": [[0.3, 0.7]] * 3, "motion_shift": np.full((3, 2, 2), 6.0)}
    table = neutral(3, motion_on=[True, False, True], **moves)
    done, moved = apply(table, images, masks, SPACING)
    assert torch.equal(done[1], images[1])
    assert [torch.equal(done[i], images[i]) for i in range(3)] == [False, True, False]
    assert torch.equal(moved, masks)


def test_motion_keeps_the_anatomy_where_the_mask_is() -> None:
    # a bright disc: after motion the mask still outlines it, though both movements are 10 mm
    y, x = np.mgrid[0:H, 0:W]
    masks = torch.from_numpy(np.hypot(y - 30, x - 40) < 12)[None]
    table = moving((0.3, 0.7), shift=((10, 10), (-10, 10)))
    done, _ = apply(table, masks.float() * 2 - 1, masks, (1.0, 1.0))
    found = done > 0
    assert 2 * int((found & masks).sum()) / int(found.sum() + masks.sum()) > 0.9


# Laws; each test's docstring quotes its law

COLUMNS = [field.name for field in fields(AugmentationTable) if field.name != "black_level"]
epochs = st.integers(0, 200)
slice_ids = st.lists(st.integers(0, 4000), min_size=1, max_size=6, unique=True)
probabilities = st.sampled_from([0.0, 0.3, 1.0])


@st.composite
def settings_(draw: st.DrawFn) -> Augmentation:
    """An augmentation in which each transform is off, now and then, or always on."""
    names = ("affine_p", "elastic_p", "motion_p", "bias_p", "intensity_p", "noise_p")
    modes = {"intensity_mode": draw(st.sampled_from(["scale", "shift"]))}
    return replace(Augmentation(), **{name: draw(probabilities) for name in names}, **modes)


def smooth(seed: int, b: int, side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth images in [-1, 1] and smooth masks."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(0, 1, (2, b, side, side)), (0, 0, 3, 3)) * 6
    return torch.from_numpy(np.tanh(noise[0]).astype(np.float32)), torch.from_numpy(noise[1] > 0.5)


@law
@given(settings_(), seeds, epochs, slice_ids, st.data())
def test_a_sample_is_the_same_for_any_batch_and_order(
    settings: Augmentation, seed: int, epoch: int, ids: list[int], data: st.DataObject
) -> None:
    """A row depends on (seed, epoch, slice number) alone: not on batch size, order or resume."""
    order = data.draw(st.permutations(range(len(ids))))
    together = sample(settings, seed, epoch, np.array(ids))
    shuffled = sample(settings, seed, epoch, np.array(ids)[order])
    alone = [sample(settings, seed, epoch, np.array([number])) for number in ids]
    for name in COLUMNS:
        column = getattr(together, name)
        np.testing.assert_array_equal(getattr(shuffled, name), column[order])
        np.testing.assert_array_equal(np.concatenate([getattr(row, name) for row in alone]), column)


@costly
@given(settings_(), seeds, epochs)
def test_a_batch_is_each_of_its_images_alone(settings: Augmentation, seed: int, epoch: int) -> None:
    """Batch result equals each element alone: to 1e-4 in grey level, and all but a few rim pixels
    of a mask.

    Not bitwise: a row that nothing moves is resampled at its own pixel centres in one case and left
    alone in the other.
    """
    images, masks = smooth(seed, 3)
    together, moved = apply(sample(settings, seed, epoch, np.arange(3)), images, masks, SPACING)
    for i in range(3):
        table = sample(settings, seed, epoch, np.array([i]))
        alone, own = apply(table, images[i : i + 1], masks[i : i + 1], SPACING)
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-4)
        assert int((own[0] != moved[i]).sum()) <= 2


@law
@given(seeds, epochs, slice_ids)
def test_no_strength_is_the_identity(seed: int, epoch: int, ids: list[int]) -> None:
    """A transform of no strength, or probability 0, changes nothing, bit for bit."""
    none = dict.fromkeys(("scale", "rotation_degrees", "elastic_mm", "bias_coefficient"), 0)
    still = replace(ON, motion_p=0, intensity_change=0, noise_sd=0, **none)
    images, masks = smooth(seed, len(ids))
    for settings in (still, OFF):
        done, moved = apply(sample(settings, seed, epoch, np.array(ids)), images, masks, SPACING)
        assert torch.equal(done, images)
        assert torch.equal(moved, masks)


@law
@given(seeds, st.floats(0, 20), st.integers(5, 9))
def test_no_displacement_exceeds_elastic_mm(seed: int, elastic_mm: float, points: int) -> None:
    """Along each axis at most `elastic_mm`: B-splines never overshoot their control points."""
    settings = replace(ON, elastic_mm=elastic_mm, elastic_control_points=points)
    field = augment._elastic_field(
        torch.from_numpy(sample(settings, seed, 0, np.arange(2)).elastic), 32, 48
    )
    assert float(field.abs().max()) <= elastic_mm * (1 + 1e-12)


@costly
@given(seeds, epochs)
def test_image_and_mask_stay_aligned(seed: int, epoch: int) -> None:
    """Masks stay binary and aligned: an image of its mask, moved and cut, is the moved mask."""
    _, masks = smooth(seed, 2)
    settings = replace(ON, motion_p=0, bias_p=0, intensity_p=0, noise_p=0)
    done, moved = apply(
        sample(settings, seed, epoch, np.arange(2)), masks.float() * 2 - 1, masks, SPACING
    )
    assert moved.dtype == torch.bool
    assert int(((done > 0) != moved).sum()) <= 2


@costly
@given(seeds, epochs)
def test_masks_follow_affine_and_elastic_only(seed: int, epoch: int) -> None:
    """Motion, bias field, intensity and noise leave the mask as it is, bit for bit."""
    images, masks = smooth(seed, 2)
    settings = replace(ON, affine_p=0, elastic_p=0)
    done, moved = apply(sample(settings, seed, epoch, np.arange(2)), images, masks, SPACING)
    assert torch.equal(moved, masks)
    assert not torch.equal(done, images)


@costly
@given(seeds, st.sampled_from([-1.0, 0.0]))
def test_bias_and_scale_leave_the_black_level_alone(seed: int, black_level: float) -> None:
    """`black_level`: the value of no signal, which scaling and bias leave alone."""
    settings = replace(ON, affine_p=0, elastic_p=0, motion_p=0, noise_p=0, black_level=black_level)
    images, masks = smooth(seed, 2)
    images = torch.where(images > 0.2, images, black_level)
    done, _ = apply(sample(settings, seed, 0, np.arange(2)), images, masks, SPACING)
    assert bool((done[images == black_level] == black_level).all())
    assert not torch.equal(done, images)
