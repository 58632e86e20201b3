"""The one form that every source of slices is turned into, and the rules it obeys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError

Mask = NDArray[np.bool_]  # (H, W), True = tumour
Spacing = tuple[float, float]  # (row, column) size of a pixel, in mm

LABELS = {1: "meningioma", 2: "glioma", 3: "pituitary"}
MENINGIOMA = 1
NO_TUMOUR = "none"  # what a slice shows whose mask is empty, whatever its label
SPACING_MM = (0.49, 0.49)  # of the Cheng dataset, rows then columns (thesis, section 2.1)
IMAGE_DTYPES = (np.uint8, np.int16, np.uint16)
NAMED = 20  # files that one error names
SIDE_MULTIPLE, SIDE_MINIMUM = 32, 64  # five halvings, and InstanceNorm refuses a 1x1 bottom


@dataclass(frozen=True)
class RawSlice:
    """One slice as a reader found it, before any rule is checked.

    image is (H, W) uint8, int16 or uint16; mask is (H, W) with two values at most, zero being
    background; both upright. label is None where the source does not tell it. origin names the
    file in error messages.
    """

    slice_id: int
    label: int | None
    image: NDArray[np.generic]
    mask: NDArray[np.generic]
    origin: str
    patient_id: str | None = None
    spacing_mm: Spacing | None = None


@dataclass(frozen=True, eq=False)
class SliceSet:
    """N slices of one size, sorted by slice number.

    images (N, H, W) uint8 | int16 | uint16; masks (N, H, W) bool, True = tumour; slice_id and
    label (N,) int64; patient_id N strings, None where unknown; spacing_mm (row, column) size of a
    pixel; phantom is True for made-up data; note is one line for the user on what was recognised
    and left out, "" where there is nothing to say.
    """

    images: NDArray[np.generic]
    masks: NDArray[np.bool_]
    slice_id: NDArray[np.int64]
    label: NDArray[np.int64]
    patient_id: tuple[str | None, ...]
    spacing_mm: Spacing = SPACING_MM
    phantom: bool = False
    note: str = ""

    def __len__(self) -> int:
        return len(self.slice_id)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of every slice, in pixels."""
        return (self.images.shape[1], self.images.shape[2])

    @property
    def pixel_mm2(self) -> float:
        """Area of a pixel, in mm2."""
        return self.spacing_mm[0] * self.spacing_mm[1]

    @cached_property
    def row_of(self) -> dict[int, int]:
        """Slice number -> its row in the arrays."""
        return {number: row for row, number in enumerate(self.slice_id.tolist())}

    @cached_property
    def patient_of(self) -> dict[int, str | None]:
        """Slice number -> its patient, None where unknown."""
        return dict(zip(self.slice_id.tolist(), self.patient_id, strict=True))

    @property
    def patients_known(self) -> bool:
        return None not in self.patient_id

    @cached_property
    def dataset_id(self) -> str:
        """sha256 over slice numbers and masks: the same for every file form of the same slices."""
        return dataset_id_of(zip(self.slice_id.tolist(), map(mask_hash, self.masks), strict=True))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over the decoded arrays, slice numbers and spacing: what a run was fed."""
        digest = hashlib.sha256(repr([round(float(s), 4) for s in self.spacing_mm]).encode())
        digest.update(f"{self.images.dtype.name}{self.images.shape}".encode())
        for number, image, mask in zip(self.slice_id, self.images, self.masks, strict=True):
            digest.update(f"{number}:{mask_hash(mask)}:".encode())
            digest.update(np.ascontiguousarray(image).tobytes())
        return digest.hexdigest()


def mask_hash(mask: Mask) -> str:
    """sha256 of one decoded (H, W) bool mask, its size included."""
    h, w = mask.shape
    packed = np.packbits(np.ascontiguousarray(mask, dtype=bool))
    return hashlib.sha256(f"{h}x{w}:".encode() + packed.tobytes()).hexdigest()


def dataset_id_of(hashes: Iterable[tuple[int, str]]) -> str:
    """sha256 over (slice number, `mask_hash`), sorted by number: see `SliceSet.dataset_id`."""
    digest = hashlib.sha256()
    for number, mask_sha256 in sorted(hashes):
        digest.update(f"{number}:{mask_sha256}\n".encode())
    return digest.hexdigest()


def gather(
    source: Iterable[RawSlice],
    *,
    labels: Iterable[int] | None = (MENINGIOMA,),
    allow_empty_masks: bool = False,
    phantom: bool = False,
) -> SliceSet:
    """Check every rule of the data and stack the slices into one `SliceSet`.

    Raises `DataError` as `checked` does, and for kept slices of different sizes or spacings, and
    for sides that are not multiples of 32 or under 64.
    """
    kept = checked(source, labels=labels, allow_empty_masks=allow_empty_masks)
    slices = sorted(kept, key=lambda raw: raw.slice_id)
    _check_uniform(slices)
    return SliceSet(
        images=np.stack([raw.image for raw in slices]),
        masks=np.stack([np.asarray(raw.mask, bool) for raw in slices]),
        slice_id=np.array([raw.slice_id for raw in slices], dtype=np.int64),
        label=np.array([raw.label for raw in slices], dtype=np.int64),
        patient_id=tuple(raw.patient_id for raw in slices),
        spacing_mm=slices[0].spacing_mm or SPACING_MM,
        phantom=phantom,
    )


def checked(
    source: Iterable[RawSlice], *, labels: Iterable[int] | None, allow_empty_masks: bool
) -> Iterator[RawSlice]:
    """Yield the slices of the labels (None: all), each held to the rules for one, its mask as bool.

    Raises `DataError`, naming the file, for: an unknown label, a wrong dtype, an image and mask of
    different size, a mask with more than two values, an empty mask (unless allowed), a duplicate
    slice number, and, at the end, no slice left.
    """
    wanted = None if labels is None else set(labels)
    origins: dict[int, str] = {}
    for raw in source:
        _check_label(raw)
        if wanted is None or raw.label in wanted:
            _check_new(raw, origins)
            origins[raw.slice_id] = raw.origin
            yield replace(raw, mask=_checked_mask(raw, allow_empty_masks))
    if not origins:
        chosen = "any label" if wanted is None else f"label {sorted(wanted)}"
        raise DataError(f"no slice with {chosen} was found; choose another folder or other labels")


def _check_label(raw: RawSlice) -> None:
    if raw.label not in LABELS:
        known = ", ".join(f"{label} ({name})" for label, name in LABELS.items())
        raise DataError(f"{raw.origin}: label {raw.label} is unknown; known: {known}")


def _check_new(raw: RawSlice, origins: Mapping[int, str]) -> None:
    if raw.slice_id in origins:
        raise DataError(
            f"{raw.origin}: slice {raw.slice_id} is there twice "
            f"(also {origins[raw.slice_id]}); remove one of the two, or renumber one that is "
            "not Cheng's: slices of Cheng's dataset have the numbers that go with their masks"
        )


def _checked_mask(raw: RawSlice, allow_empty: bool) -> Mask:
    """Return the mask as bool after checking the pair of arrays of one slice."""
    image, array, origin = raw.image, raw.mask, raw.origin
    if image.ndim != 2 or array.ndim != 2:
        raise DataError(
            f"{origin}: image {image.shape} and mask {array.shape} must be 2-D, one grey channel"
        )
    if image.dtype not in IMAGE_DTYPES:
        raise DataError(
            f"{origin}: image dtype {image.dtype} is not one of uint8, int16, uint16; "
            "convert it without rescaling"
        )
    if image.size and image.min() == image.max():
        raise DataError(
            f"{origin}: constant image, every pixel is {image.flat[0]}; remove the slice"
        )
    if image.shape != array.shape:
        raise DataError(
            f"{origin}: image is {_sides(image.shape)} but its mask is {_sides(array.shape)}; "
            "they must agree"
        )
    if array.dtype.kind not in "bui":
        raise DataError(f"{origin}: mask dtype {array.dtype} must be bool or an integer")
    mask: Mask = array != 0
    tumour = array[mask]
    if tumour.size and tumour.min() != tumour.max():
        values = np.unique(array)
        shown = ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")
        raise DataError(
            f"{origin}: mask holds {len(values)} values ({shown}), not 0 and one other; "
            "lossy files blur masks: use PNG, lossless WebP or TIFF"
        )
    if not tumour.size and not allow_empty:
        raise DataError(
            f"{origin}: mask is empty; allow it with --allow-empty-masks, or remove the slice"
        )
    return mask


def _check_uniform(slices: list[RawSlice]) -> None:
    """Raise unless all slices share one legal size, dtype and spacing."""
    _check_one_size(slices)
    dtype, spacing_mm, origin = slices[0].image.dtype, slices[0].spacing_mm, slices[0].origin
    for raw in slices:
        if raw.image.dtype != dtype:
            raise DataError(f"{raw.origin}: {raw.image.dtype}, but {origin} is {dtype}")
        if raw.spacing_mm != spacing_mm:
            raise DataError(
                f"{raw.origin}: pixel spacing {raw.spacing_mm} mm, but {origin} has {spacing_mm} mm"
            )
    check_sides(slices[0].image.shape, origin)


def _check_one_size(slices: list[RawSlice]) -> None:
    """Raise, counting the slices of each size and naming the fewer ones, unless all have one."""
    by_size: dict[tuple[int, ...], list[str]] = {}
    for raw in slices:
        by_size.setdefault(raw.image.shape, []).append(raw.origin)
    if len(by_size) == 1:
        return
    (most, same), *others = sorted(by_size.items(), key=lambda item: -len(item[1]))
    odd = [origin for _, origins in others for origin in origins]
    names = ", ".join([odd[0], *(Path(origin).name for origin in odd[1:NAMED])])
    counts = ", ".join(f"{len(origins)} of {_sides(shape)}" for shape, origins in others)
    raise DataError(
        f"{names}{', ...' if len(odd) > NAMED else ''}: {counts}, but the other {len(same)} of "
        f"these {len(slices)} slices are {_sides(most)} pixels; one run needs one size: choose "
        "labels whose slices agree, or take those named out of the source, or resize them "
        "beforehand"
    )


def check_sides(shape: tuple[int, ...], origin: str) -> None:
    """Raise `DataError` unless both sides are multiples of 32 and at least 64."""
    if any(side % SIDE_MULTIPLE or side < SIDE_MINIMUM for side in shape):
        raise DataError(
            f"{origin}: {_sides(shape)} pixels; both sides must be multiples of {SIDE_MULTIPLE} "
            f"and at least {SIDE_MINIMUM}, for the network halves them five times; pad or resize "
            "the slices"
        )


def _sides(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def iterate(slices: SliceSet) -> Iterator[RawSlice]:
    """Yield the slices of a set one by one, as a writer of files wants them."""
    for number, row in slices.row_of.items():
        label, patient = int(slices.label[row]), slices.patient_id[row]
        image, mask, origin = slices.images[row], slices.masks[row], f"slice {number}"
        yield RawSlice(number, label, image, mask, origin, patient, slices.spacing_mm)
