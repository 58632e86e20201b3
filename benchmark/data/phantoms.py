"""Heads with an enhancing mass on the dura, made for tests and demonstrations, never for results.

Everything stands in head coordinates, x and y in [-1, 1], so that one phantom looks the same at
every size; only the noise belongs to the pixel grid. A patient's anatomy comes from streams keyed
by (seed, patient); from slice to slice it glides, without new random numbers. As in real slices,
much is as bright as a tumour: scalp, sinuses, vessels, and in most patients a face.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import ndimage

from benchmark.data import slices
from benchmark.data.slices import MENINGIOMA, SPACING_MM, RawSlice, SliceSet
from benchmark.errors import SpecError, known

Floats = NDArray[np.float64]

HEAD, BRAIN, TUMOUR, VESSELS, TEXTURE, PIXELS, FACE = range(7)  # one random stream each
SMALLEST, LARGEST = 0.05, 0.27  # tumour radius; 0.05 is 1.6 pixels at size 64
DURA = 0.86  # the inner side of the skull, as a part of the head's radius
EYE_LEVEL = 0.6  # share of patients whose slices are at the height of the eyes
FIELD_PIXELS = 512  # size at which a pixel measures SPACING_MM; smaller images have larger pixels
PEAK = {"uint8": 255, "int16": 4095, "uint16": 4095}  # grey level of full brightness


def make(
    seed: int = 0,
    patients: int = 48,
    slices_per_patient: int = 4,
    size: int = 64,
    dtype: DTypeLike = np.uint8,
    mass: bool = True,
) -> SliceSet:
    """Return patients * slices_per_patient slices of (size, size), numbered patient by patient.

    The same arguments give the same bits; a slice depends only on (seed, patient, its place in the
    patient, size, dtype), so more patients leave the first slices as they were. Every mask is one
    component inside the skull, never empty; without mass the same heads have none, and every mask
    is empty. Raises `DataError` for an illegal size and `SpecError`
    for another argument out of range.
    """
    slices.check_sides((size, size), "phantom")
    if np.dtype(dtype) not in slices.IMAGE_DTYPES:
        raise SpecError(known("dtype of a phantom", np.dtype(dtype).name, PEAK))
    if seed < 0 or patients < 1 or slices_per_patient < 1:
        raise SpecError(
            f"phantoms with seed={seed}, patients={patients}, "
            f"slices_per_patient={slices_per_patient}: the seed must not be negative, and there "
            "must be at least one patient and one slice"
        )
    raw = _slices(seed, patients, slices_per_patient, size, np.dtype(dtype), mass)
    return slices.gather(raw, allow_empty_masks=not mass, phantom=True)


def _slices(
    seed: int, patients: int, each: int, size: int, dtype: np.dtype, mass: bool
) -> Iterator[RawSlice]:
    spacing_mm = (SPACING_MM[0] * FIELD_PIXELS / size, SPACING_MM[1] * FIELD_PIXELS / size)
    peak = PEAK[dtype.name]
    for patient in range(1, patients + 1):
        for place in range(each):
            light, mask = _slice(seed, patient, place, size, mass)
            image = np.rint(np.clip(light, 0, 1) * peak).astype(dtype)
            number = (patient - 1) * each + place + 1
            origin = f"phantom {number}"
            yield RawSlice(number, MENINGIOMA, image, mask, origin, f"P{patient:02d}", spacing_mm)


def _stream(seed: int, patient: int, part: int, place: int = 0) -> np.random.Generator:
    """Return the stream of one part: counter-based, so no other part can move it."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, patient, part, place]))


def _slice(
    seed: int, patient: int, place: int, size: int, mass: bool
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return one slice as brightness (size, size), about 0 to 1, and its tumour mask."""
    grid = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = grid[None, :], grid[:, None]
    pixel = 2 / size
    radius, dura = _head(_stream(seed, patient, HEAD), place, x, y)
    light = _rings(radius, pixel)
    light, radius, dura = _face(_stream(seed, patient, FACE), place, grid, light, radius, dura)
    brain = _brain(_stream(seed, patient, BRAIN), place, grid, radius, pixel)
    inside = _edge(radius - DURA, pixel)
    light += inside * (brain - light)
    light = _vessels(_stream(seed, patient, VESSELS), place, grid, light, inside, dura)
    mask = np.zeros((size, size), dtype=bool)
    if mass:
        light, mask = _tumour(_stream(seed, patient, TUMOUR), place, grid, light, radius, dura)
    texture = _stream(seed, patient, TEXTURE)
    light *= 1 + 0.05 * _waves(texture, grid, place, 0.5, 2.5, 6)  # coil shading
    light *= 1 + 0.03 * _waves(texture, grid, place, 20, 45, 30)
    light = ndimage.gaussian_filter(light, max(0.5, 0.005 / pixel))
    pixels = _stream(seed, patient, PIXELS, place)
    light *= pixels.uniform(0.75, 1.0)
    real, imaginary = pixels.normal(0, 0.015, (2, size, size))
    light = np.hypot(light + real, imaginary)  # Rician: the magnitude of a noisy complex signal
    return light, mask


def _head(rng: np.random.Generator, place: int, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return each pixel's radius as a part of the skin's, and the dura as 360 points (x, y)."""
    half_width, half_length = rng.uniform(0.66, 0.74), rng.uniform(0.82, 0.90)
    bump, phase = rng.normal(0, 0.02, 4) / np.arange(2, 6), rng.uniform(0, 2 * np.pi, 4)
    level = 1 - 0.05 * (1 - np.cos(0.35 * place + rng.uniform(-0.5, 0.5)))

    def outline(angle: Floats) -> Floats:
        ellipse = 1 / np.hypot(np.cos(angle) / half_width, np.sin(angle) / half_length)
        bumps = zip((2, 3, 4, 5), bump, phase, strict=True)
        waves = sum(b * np.cos(m * angle + p + 0.1 * place) for m, b, p in bumps)
        egg = 0.03 * np.sin(angle) * np.cos(angle) ** 2  # wider behind
        return np.asarray(level * ellipse * (1 + waves + egg))

    angle = np.arange(360) / 180 * np.pi
    dura = DURA * outline(angle)
    points = np.stack([dura * np.cos(angle), dura * np.sin(angle)], axis=1)
    return np.hypot(x, y) / outline(np.arctan2(y, x)), points


def _rings(radius: Floats, pixel: float) -> Floats:
    """Return skin, fat, two tables of bone with marrow between, and the dura, around darkness."""
    light = np.zeros_like(radius)
    radii, values = (1.0, 0.985, 0.935, 0.92, 0.885, 0.868), (0.55, 0.85, 0.10, 0.34, 0.08, 0.42)
    for outer, value in zip(radii, values, strict=True):
        light += _edge(radius - outer, pixel) * (value - light)
    return light


def _face(
    rng: np.random.Generator, place: int, grid: Floats, light: Floats, radius: Floats, dura: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return picture, radius and dura with a face: orbits and nose, unless the slice lies higher.

    There real slices hold fat and mucosa that are as bright as the tumour and as thick. The face is
    a wedge that points to the middle of the head; the dura follows its wall, where the radius is
    DURA.
    """
    x, y = grid[None, :], grid[:, None]
    pixel = 2 / len(grid)
    if rng.random() >= EYE_LEVEL:
        return light, radius, dura
    tip, slope = rng.uniform(-0.34, -0.24) * (1 + 0.04 * place), rng.uniform(0.25, 0.5)
    fat, mucosa, muscle = rng.uniform(0.55, 0.85), rng.uniform(0.5, 0.75), rng.uniform(0.3, 0.5)
    across, reach = rng.uniform(0.22, 0.27), rng.uniform(0.15, 0.19)
    texture = _waves(rng, grid, place, 8, 22, 24)
    ahead = (tip - slope * np.abs(x) - y) / np.hypot(1, slope)  # distance into the face
    within = _edge(np.maximum(radius - DURA, -ahead), pixel)
    bright = muscle * (1 + 0.2 * texture)
    deep = tip - slope * across - reach - 0.03  # the middle of the orbit
    for side in (-1, 1):
        u, v = side * x - across, y - deep
        bright += _edge(np.hypot(u, 0.85 * v) - reach, pixel) * (fat - bright)
        nerve = np.maximum(np.abs(u + 0.25 * v) - 0.016, -v)
        bright += _edge(nerve, pixel) * (0.36 - bright)
        bright += _edge(np.hypot(u, v + 0.06) - 0.085, pixel) * (0.15 - bright)  # the eye
    nose = mucosa * (1 + 0.1 * texture)
    cells = np.abs(texture) - 0.35
    nose += _edge(cells / 15, pixel) * (0.04 - nose)
    bright += _edge(np.abs(x) - 0.07, pixel) * (nose - bright)
    bright += _edge(ahead - 0.025, pixel) * (0.10 - bright)  # the bone
    bright += _edge(ahead - 0.008, pixel) * (0.42 - bright)  # and its dura
    angle = np.arctan2(dura[:, 1], dura[:, 0])
    forwards = -(np.sin(angle) + slope * np.abs(np.cos(angle)))
    wall = np.where(forwards > 0.01, -tip / np.maximum(forwards, 0.01), np.inf)
    nearer = np.minimum(1, wall / np.hypot(dura[:, 0], dura[:, 1]))
    light = light + within * (bright - light)
    return light, np.maximum(radius, DURA + ahead), dura * nearer[:, None]


def _brain(
    rng: np.random.Generator, place: int, grid: Floats, radius: Floats, pixel: float
) -> Floats:
    """Return folded cortex, white matter, ventricles and falx."""
    x, y = grid[None, :], grid[:, None]
    folds = np.abs(_waves(rng, grid, place, 16, 26, 60))
    deep = np.clip((0.80 - radius) / 0.30, 0, 1)  # 0 at the surface, 1 where no sulcus reaches
    white = np.clip((folds - 0.45 + 1.3 * deep) / 0.4, 0, 1)
    light = 0.29 + 0.065 * white + 0.008 * _waves(rng, grid, place, 4, 9, 12)
    light -= 0.17 * _edge((folds - 0.28 * (1 - deep)) / 22, pixel) * (1 - deep) ** 0.5  # sulci
    light -= 0.16 * _edge(0.835 - radius, pixel)  # fluid under the dura
    tilt = rng.uniform(0.25, 0.45)
    size = rng.uniform(0.8, 1.2) * (0.75 + 0.25 * np.cos(0.4 * place))
    horns = ((0.075, -0.13, tilt, 0.034, 0.16), (0.15, 0.17, -1.5 * tilt, 0.030, 0.15))
    middle = rng.normal(0, 0.01)
    for side in (-1, 1):
        u = side * (x - middle)
        for cx, cy, slope, a, b in horns:
            w = y - cy
            v = u - cx + slope * w - 1.2 * w**2  # horns bend outwards
            ventricle = (np.hypot(v / (a * size), w / (b * size)) - 1) * a
            light += _edge(ventricle, pixel) * (0.13 - light)
    third = (np.hypot((x - middle) / 0.014, (y - 0.03) / 0.07) - 1) * 0.014
    light += _edge(third, pixel) * (0.15 - light)
    apart = np.abs(y + 0.02) - 0.36  # the falx reaches from the skull to here
    cleft = np.abs(x - middle)
    light += _edge(np.maximum(cleft - 0.022, -apart), pixel) * (0.18 - light)
    light += _edge(np.maximum(cleft - 0.007, -apart), pixel) * (0.45 - light)
    return light


def _vessels(
    rng: np.random.Generator, place: int, grid: Floats, light: Floats, inside: Floats, dura: Floats
) -> Floats:
    """Return the picture with sinuses, vessels and dots that a threshold takes for tumour."""
    back, front = dura[90], dura[270]
    sinus = np.array([back * 0.975, back * 0.95, front * 0.97, (0, 0.09), (0, 0.13)])
    points, width = [sinus], [np.array([0.045, 0.03, 0.028, 0.022, 0.016])]
    for _ in range(6):
        begin = int(rng.integers(360))
        steps = np.arange(14)
        inwards = np.linspace(0.96, rng.uniform(0.6, 0.95), 14)
        inwards = inwards + 0.02 * np.sin(steps * rng.uniform(0.4, 0.9))
        along = begin + rng.choice((-1, 1)) * steps + 2 * place
        points.append(dura[along % 360] * inwards[:, None])
        width.append(np.full(14, rng.uniform(0.006, 0.011)))
    dots = dura[rng.integers(360, size=16)] * rng.uniform(0.45, 0.97, (16, 1))
    points.append(dots + 0.01 * place * rng.normal(0, 1, (16, 2)))
    width.append(rng.uniform(0.006, 0.018, 16))
    glow = _spots(grid, np.concatenate(points), np.concatenate(width)) * inside
    return light + glow * np.maximum(0.68 - light, 0)


def _tumour(
    rng: np.random.Generator, place: int, grid: Floats, light: Floats, radius: Floats, dura: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the picture with a mass on the convexity or the falx, and its mask, necrosis too."""
    pixel = 2 / len(grid)
    x, y = grid[None, :], grid[:, None]
    on_falx, site, side = rng.random() < 0.3, int(rng.integers(360)), rng.choice((-1.0, 1.0))
    greatest = float(np.clip(np.exp(rng.normal(np.log(0.15), 0.40)), SMALLEST, LARGEST))
    bump, phase = rng.normal(0, 0.18, 5) / np.arange(2, 7), rng.uniform(0, 2 * np.pi, 5)
    drift, brightness = rng.normal(0, 0.25, 5), rng.uniform(0.44, 0.64)
    swelling, necrotic = rng.uniform(0, 0.3), rng.random() < 0.4
    along, start = rng.uniform(0.60, 0.88), rng.uniform(-0.6, 0.6)
    size = max(SMALLEST, greatest * (0.75 + 0.25 * np.cos(0.5 * place + start)))
    if on_falx:
        centre = np.array([side * size * 0.8, dura[90 if site < 180 else 270, 1] * along])
    else:
        centre = dura[site] * (1 - 0.75 * size / np.hypot(*dura[site]))
    dx, dy = x - centre[0], y - centre[1]
    angle = np.arctan2(dy, dx)
    waved = zip(range(2, 7), bump, phase, drift, strict=True)
    lobes = 1 + sum(b * np.cos(m * angle + p + place * d) for m, b, p, d in waved)
    blob = np.hypot(dx, dy) - size * lobes  # signed distance to the outline, nearly
    walls = radius - DURA
    if on_falx:
        walls = np.maximum(walls, 0.008 - side * x)
    outline = np.maximum(blob, walls)
    inside = _edge(radius - DURA, pixel)
    light = light * (1 - swelling * np.clip(1 - blob / (0.8 * size + 0.05), 0, 1) * inside)
    grain = _waves(rng, grid, place, 12, 30, 20)
    tissue = brightness * (1 + 0.04 * grain)
    if necrotic and size > 0.12:
        holes = np.hypot(dx, dy) - size * (0.42 + 0.22 * _waves(rng, grid, place, 10, 22, 16))
        tissue = tissue + _edge(holes, max(pixel, 0.03)) * (0.24 - tissue)
    light = light + _edge(outline, pixel) * (tissue - light)
    if not on_falx:  # the dural tail, which the truth leaves out
        tail = _edge(np.maximum(np.abs(radius - DURA + 0.01) - 0.012, blob - 0.5 * size), pixel)
        light = np.maximum(light, 0.9 * brightness * tail)
    return light, _one_component(outline < 0, centre, grid)


def _one_component(mask: NDArray[np.bool_], centre: Floats, grid: Floats) -> NDArray[np.bool_]:
    """Return the largest component; the pixel nearest the centre is tumour in any case."""
    mask[np.abs(grid - centre[1]).argmin(), np.abs(grid - centre[0]).argmin()] = True
    labels, count = ndimage.label(mask)
    return mask if count == 1 else labels == np.bincount(labels.ravel())[1:].argmax() + 1


def _edge(distance: Floats, pixel: float) -> Floats:
    """Return 1 inside (distance < 0), 0 outside, with a ramp as wide as a pixel: partial volume."""
    return np.clip(0.5 - distance / max(pixel, 0.01), 0, 1)


def _waves(
    rng: np.random.Generator, grid: Floats, place: float, low: float, high: float, count: int
) -> Floats:
    """Return smooth noise (size, size) of unit variance, wave numbers low to high, that glides."""
    angle, phase = rng.uniform(0, 2 * np.pi, (2, count, 1))
    number = rng.uniform(low, high, (count, 1))
    phase = phase + 0.35 * place * rng.normal(0, 1, (count, 1))
    across = number * np.cos(angle) * grid + phase
    down = number * np.sin(angle) * grid
    even, odd = (np.einsum("ph,pw->hw", part(down), part(across)) for part in (np.cos, np.sin))
    return np.asarray((even - odd) * np.sqrt(2 / count))


def _spots(grid: Floats, points: Floats, width: Floats) -> Floats:
    """Return round soft spots (size, size) at points (P, 2) as x, y, at most 1; faint if thin."""
    seen = np.hypot(width, 1 / len(grid))[:, None]
    across = np.exp(-(((grid - points[:, :1]) / seen) ** 2)) * width[:, None] / seen
    down = np.exp(-(((grid - points[:, 1:]) / seen) ** 2))
    return np.asarray(np.minimum(np.einsum("ph,pw->hw", down, across), 1))
