"""Augmentation: a table of parameters sampled on the CPU, applied in batches on any device.

The transforms and their frequencies are the thesis's (section 2.8), the strengths TorchIO
1.2.1's defaults. Order: affine and elastic in one resampling, motion, bias field,
intensity, noise. Images are in [-1, 1], so what comes in from outside the field of view,
and what motion calls no signal, is -1. Results are not clipped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmark.protocol import Augmentation
from benchmark.training.device import on_device
from benchmark.training.seeding import generator

Floats = NDArray[np.float64]
Spacing = tuple[float, float]  # mm between rows and between columns
Pair = tuple[torch.Tensor, torch.Tensor]  # images and masks
BLACK = -1.0  # of preprocessed images
GREY_RANGE = 2.0
MOVEMENTS = 2  # TorchIO's num_transforms
LOCKED_RINGS = 2  # TorchIO's locked_borders: the outer control points stay still
GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # splitmix64's increment, as int64


@dataclass(frozen=True)
class AugmentationTable:
    """One row per slice, B rows. A transform that does not happen has its neutral parameters.

    scale (B, 2) factors; rotation (B,) radians; elastic (B, 2, C, C) mm; motion_on (B,) bool;
    motion_times (B, 2) in [0, 1], rising; motion_rotation (B, 2) radians; motion_shift
    (B, 2, 2) mm; bias (B, K) coefficients; intensity (B,) factors; shift (B,) grey levels;
    noise_sd (B,); noise_key (B,) int64; black_level the value that bias and factors leave
    alone. Rows first, columns second throughout.
    """

    scale: Floats
    rotation: Floats
    elastic: Floats
    motion_on: NDArray[np.bool_]
    motion_times: Floats
    motion_rotation: Floats
    motion_shift: Floats
    bias: Floats
    intensity: Floats
    shift: Floats
    noise_sd: Floats
    noise_key: NDArray[np.int64]
    black_level: float = BLACK

    @property
    def spatial(self) -> bool:
        """False where no row moves anything, so that resampling can be left out."""
        return bool((self.scale != 1).any() or self.rotation.any() or self.elastic.any())


def sample(
    settings: Augmentation, seed: int, epoch: int, slice_ids: NDArray[np.int64]
) -> AugmentationTable:
    """Sample the parameters of B slices; a row depends on (seed, epoch, slice number) alone."""
    rows = [_sample_one(settings, seed, epoch, int(number)) for number in slice_ids]
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return AugmentationTable(**columns, black_level=settings.black_level)  # type: ignore[arg-type]


def _sample_one(
    s: Augmentation, seed: int, epoch: int, number: int
) -> dict[str, NDArray[np.generic]]:
    affine, elastic, motion, bias, intensity, noise = (
        generator(seed, stream, epoch, number)
        for stream in ("affine", "elastic", "motion", "bias", "intensity", "noise")
    )
    turn, shake = math.radians(s.rotation_degrees), math.radians(s.motion_degrees)
    scaled, noisy = bool(intensity.random() < s.intensity_p), bool(noise.random() < s.noise_p)
    if s.noise_with_intensity:
        scaled = noisy
    change = scaled * intensity.uniform(-s.intensity_change, s.intensity_change)
    moved, c = bool(affine.random() < s.affine_p), s.elastic_control_points
    control = np.zeros((2, c, c))
    if elastic.random() < s.elastic_p:
        inner = slice(LOCKED_RINGS, c - LOCKED_RINGS)
        control[:, inner, inner] = elastic.uniform(-1, 1, (2, c, c))[:, inner, inner] * s.elastic_mm
    return {
        "scale": 1 + moved * affine.uniform(-s.scale, s.scale, 2),
        "rotation": np.asarray(moved * affine.uniform(-turn, turn)),
        "elastic": control,
        "motion_on": np.asarray(motion.random() < s.motion_p),
        "motion_times": np.sort(motion.random(MOVEMENTS)),
        "motion_rotation": motion.uniform(-shake, shake, MOVEMENTS),
        "motion_shift": motion.uniform(-s.motion_mm, s.motion_mm, (MOVEMENTS, 2)),
        "bias": (bias.random() < s.bias_p)
        * bias.uniform(-s.bias_coefficient, s.bias_coefficient, len(_terms(s.bias_order))),
        "intensity": np.asarray(1 + change * (s.intensity_mode == "scale")),
        "shift": np.asarray(GREY_RANGE * change * (s.intensity_mode == "shift")),
        "noise_sd": np.asarray(noisy * noise.uniform(0, s.noise_sd)),
        "noise_key": np.asarray(noise.integers(0, 2**62, dtype=np.int64)),
    }


def apply(
    table: AugmentationTable, images: torch.Tensor, masks: torch.Tensor, spacing_mm: Spacing
) -> Pair:
    """Transform (B, H, W) float32 images and (B, H, W) bool masks with the B rows of a table.

    Returns tensors of the same shapes, dtypes and device; masks follow affine and elastic
    only. Pixels from outside the field of view are black and not tumour.
    """
    if table.spatial:
        images, masks = _resample(table, images, masks, spacing_mm)
    device, black = images.device, table.black_level
    if table.motion_on.any():
        rows = on_device(np.flatnonzero(table.motion_on), device)
        moved = _motion(table, images[rows] - BLACK, spacing_mm) + BLACK
        images = images.index_copy(0, rows, moved)
    if table.bias.any():
        images = (images - black) * _bias_field(table.bias, images) + black
    if (table.intensity != 1).any():
        images = (images - black) * _per_image(table.intensity, images) + black
    if table.shift.any():
        images = images + _per_image(table.shift, images)
    if (noisy := np.flatnonzero(table.noise_sd)).size:
        rows = on_device(noisy, device)
        noise = gaussian_field(on_device(table.noise_key[noisy], device), *images.shape[1:])
        noise = _per_image(table.noise_sd[noisy], images) * noise
        images = images.index_copy(0, rows, images[rows] + noise)
    return images, masks


def _resample(
    table: AugmentationTable, images: torch.Tensor, masks: torch.Tensor, spacing_mm: Spacing
) -> Pair:
    """Move image and mask together: bilinear, the mask cut at one half."""
    _, h, w = images.shape
    mm = _like(np.asarray(spacing_mm), images)
    field = _elastic_field(_like(table.elastic, images), h, w)  # (B, H, W, 2) mm
    points = _pixel_centres_mm(h, w, spacing_mm, images) + field
    output_to_input = _rotation(table.rotation) / table.scale[:, None, :]
    matrix = _like(output_to_input, images)  # (B, 2, 2)
    points = torch.einsum("bij,bhwj->bhwi", matrix, points)
    half = _like(np.array([h / 2, w / 2]), images)
    grid = (points / mm / half).flip(-1)  # grid_sample wants (x, y)
    both = torch.stack([images - BLACK, masks.to(images.dtype)], dim=1)
    moved = _sampled(both, grid)
    return moved[:, 0] + BLACK, moved[:, 1] > 0.5


def _rotation(angle: Floats) -> Floats:
    """(...,) radians -> (..., 2, 2) rotation of (row, column) vectors."""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)


def _pixel_centres_mm(h: int, w: int, spacing_mm: Spacing, like: torch.Tensor) -> torch.Tensor:
    """(H, W, 2) position of each pixel centre in mm from the image's centre."""
    row = (torch.arange(h, dtype=like.dtype, device=like.device) - (h - 1) / 2) * spacing_mm[0]
    column = (torch.arange(w, dtype=like.dtype, device=like.device) - (w - 1) / 2) * spacing_mm[1]
    return torch.stack(torch.meshgrid(row, column, indexing="ij"), dim=-1)


@lru_cache(maxsize=32)
def _spline_basis(n: int, control_points: int) -> Floats:
    """(n, C) weights of a uniform cubic B-spline with C control points over n pixels.

    As in ITK's BSplineTransform: the image is C - 3 intervals wide and one control point
    lies outside it on the left, so pixel t (in intervals) is moved by points floor(t) to
    floor(t) + 3 with the four cubic weights.
    """
    t = (np.arange(n) + 0.5) / n * (control_points - 3)
    left = np.minimum(t.astype(int), control_points - 4)
    u = t - left
    weights = [(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3]
    basis = np.zeros((n, control_points))
    for k, weight in enumerate(weights):
        basis[np.arange(n), left + k] = weight / 6
    return basis


def _elastic_field(control: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """(B, 2, C, C) control displacements in mm -> (B, H, W, 2) field in mm."""
    rows = _like(_spline_basis(h, control.shape[-2]), control)
    columns = _like(_spline_basis(w, control.shape[-1]), control)
    return (rows @ control @ columns.T).permute(0, 2, 3, 1)


def _motion(table: AugmentationTable, above: torch.Tensor, spacing_mm: Spacing) -> torch.Tensor:
    """Corrupt k-space along the rows, as if the head moved twice while they were acquired.

    Rows are acquired in order; the head lies still while the centre of k-space is, which
    decides where the anatomy appears, so the mask stays true. Returns magnitude images.
    """
    rows = table.motion_on
    angles, shifts = table.motion_rotation[rows], table.motion_shift[rows]
    moved = [_rigid(above, angles[:, i], shifts[:, i], spacing_mm) for i in range(MOVEMENTS)]
    h = above.shape[1]
    when = _like((np.arange(h) + 0.5) / h, above)[None]
    times = _like(table.motion_times[rows], above)
    phase = (when >= times[:, :1]).long() + (when >= times[:, 1:]).long()  # (B, H): 0, 1 or 2
    still = phase[:, h // 2, None]  # the phase that holds the zero-frequency row
    # the two other phases, in order, take the two movements
    source = torch.where(phase < still, phase + 1, torch.where(phase > still, phase, 0))
    each = (torch.fft.fftshift(torch.fft.fft2(x), dim=-2) for x in (above, *moved))
    spectra = torch.stack(list(each))  # (3, B, H, W)
    mixed = torch.gather(spectra, 0, source[None, :, :, None].expand(1, *spectra.shape[1:]))[0]
    return torch.fft.ifft2(torch.fft.ifftshift(mixed, dim=-2)).abs()


def _rigid(above: torch.Tensor, angle: Floats, shift: Floats, spacing_mm: Spacing) -> torch.Tensor:
    """Rotate by radians and shift by (row, column) mm, black coming in from outside."""
    _, h, w = above.shape
    points = _pixel_centres_mm(h, w, spacing_mm, above) - _like(shift, above)[:, None, None]
    points = torch.einsum("bij,bhwj->bhwi", _like(_rotation(angle), above), points)
    extent = _like(np.array([h / 2, w / 2]) * np.asarray(spacing_mm), above)
    return _sampled(above[:, None], (points / extent).flip(-1))[:, 0]


def _sampled(images: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Interpolate (B, C, H, W) at (B, H, W, 2) places (x, y) in -1..1; 0 outside."""
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _terms(order: int) -> list[tuple[int, int]]:
    """Exponents (row, column) of every term of a 2-D polynomial up to an order."""
    return [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]


def _bias_field(coefficients: Floats, like: torch.Tensor) -> torch.Tensor:
    """exp of a polynomial in coordinates -1..1, (B, K) -> (B, H, W); TorchIO's RandomBiasField."""
    _, h, w = like.shape
    order = (math.isqrt(8 * coefficients.shape[1] + 1) - 3) // 2  # K = (order + 1)(order + 2) / 2
    square = np.zeros((len(coefficients), order + 1, order + 1))
    powers = np.array(_terms(order))
    square[:, powers[:, 0], powers[:, 1]] = coefficients
    row, column = (np.linspace(-1, 1, n)[:, None] ** np.arange(order + 1) for n in (h, w))
    return torch.exp(_like(row, like) @ _like(square, like) @ _like(column.T, like))


def gaussian_field(keys: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """(B,) int64 keys -> (B, H, W) float32 standard normal noise, the same on every device.

    A counter-based generator: pixel i of key k is a hash of (k, i) (the finaliser of
    splitmix64, Steele et al. 2014), turned normal by Box and Muller.
    """
    index = torch.arange(h * w, device=keys.device, dtype=torch.int64)
    bits = _splitmix64(keys[:, None] + index[None] * GOLDEN)
    first = ((bits >> 40) & 0xFFFFFF).to(torch.float32)  # 24 bits
    second = ((bits >> 8) & 0xFFFFFF).to(torch.float32)
    radius = torch.sqrt(-2 * torch.log((first + 1) / 2**24))
    return (radius * torch.cos(second * (2 * math.pi / 2**24))).view(len(keys), h, w)


def _splitmix64(x: torch.Tensor) -> torch.Tensor:
    """The splitmix64 finaliser on int64, which wraps like uint64; masks make shifts logical."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64)):
        x = (x ^ ((x >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return x ^ ((x >> 31) & ((1 << 33) - 1))


def _like(values: NDArray[np.generic], tensor: torch.Tensor) -> torch.Tensor:
    """A float array as a tensor of the other's dtype and device."""
    kind = np.float64 if tensor.dtype == torch.float64 else np.float32
    return on_device(values.astype(kind), tensor.device)


def _per_image(values: NDArray[np.generic], images: torch.Tensor) -> torch.Tensor:
    """(B,) numbers as a tensor (B, 1, 1) that goes with (B, H, W) images."""
    return _like(values, images)[:, None, None]
