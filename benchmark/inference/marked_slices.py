"""What models mark on the slices of a data source, held against their truth, if they have one.

The truth may outline another tumour than the models were trained on, or nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.data.slices import LABELS, NO_TUMOUR, Mask, RawSlice, Spacing
from benchmark.errors import DataError
from benchmark.inference.ensemble import (
    DIGITS,
    Outlined,
    check_members,
    doubts,
    names,
    outlined,
)
from benchmark.inference.predict import check_frame, measured
from benchmark.inference.trained_model import TrainedModel
from benchmark.inference.training_slices import Seen, listed, seen
from benchmark.scoring.overlap import count


@dataclass(frozen=True, eq=False)
class MarkedSlice:
    """A slice, its mask being the truth, what the models say of it, and its row of the table."""

    raw: RawSlice
    found: Outlined
    row: Mapping[str, Any]


def survey(models: Sequence[TrainedModel], slices: Iterable[RawSlice]) -> dict[int, Seen]:
    """Go through the slices once: by number, in their order, what the models saw of each.

    Raises, before a model is asked, `SpecError` as `check_members` does, and `DataError` as reading
    the slices does and for one that a model's frame would make too large.
    """
    check_members(models)
    every = []
    for raw in slices:
        check_frame(models, raw.image.shape, raw.spacing_mm, raw.origin)
        every.append(listed(raw))
    return seen([(model.dataset_id, model.split) for model in models], every)


def mark(
    models: Sequence[TrainedModel], slices: Iterable[RawSlice], seen_of: Mapping[int, Seen]
) -> Iterator[MarkedSlice]:
    """Yield the slices one at a time as the models mark them; seen_of: as `survey` returns it.

    The slices are checked ones, of known spacing, as `data.stream` yields them. Raises `DataError`
    for one that has no contrast left at the size a model is fed.
    """
    run_ids = names(models)
    for raw in slices:
        spacing_mm = raw.spacing_mm
        truth = raw.mask != 0
        try:
            found = outlined(models, raw.image, spacing_mm)
        except DataError as error:
            raise DataError(f"{raw.origin}: {error}") from error
        row = {
            "slice": raw.slice_id,
            "shows": LABELS[raw.label or 0] if truth.any() else NO_TUMOUR,
            "patient_id": raw.patient_id,
            "in_training": seen_of[raw.slice_id].value,
            **measured(found.mask, spacing_mm),
            **against(found.mask, truth, spacing_mm or (1.0, 1.0)),
            **found.measures,
            "run_id": run_ids,
            "note": doubts(models, raw.image.shape, spacing_mm),
        }
        yield MarkedSlice(raw, found, row)


def against(mask: Mask, truth: Mask, spacing_mm: Spacing) -> dict[str, float | None]:
    """A mask beside a truth (H, W), both bool, as columns of the table.

    truth_mm2 and outside_mm2: the areas of the truth, and of the mask outside it. dice: in [0, 1],
    covered: the share of the truth that is marked; both None where the truth is empty, for there is
    nothing to find, and 0 where the mask alone is.
    """
    pixels, pixel_mm2 = count(mask, truth), spacing_mm[0] * spacing_mm[1]
    there = pixels.tp + pixels.fn > 0
    return {
        "truth_mm2": round((pixels.tp + pixels.fn) * pixel_mm2, DIGITS),
        "outside_mm2": round(pixels.fp * pixel_mm2, DIGITS),
        "dice": round(pixels.dice, DIGITS) if there else None,
        "covered": round(pixels.sensitivity, DIGITS) if there else None,
    }
