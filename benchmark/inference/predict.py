"""Images of a user's outlined by trained models and measured: masks, overlays and one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from tabulate import tabulate

from benchmark.data.guard import MAX_PIXELS
from benchmark.data.slices import Spacing
from benchmark.errors import DataError
from benchmark.inference.ensemble import (
    DIGITS,
    check_members,
    doubts,
    names,
    outlined,
    research_only,
)
from benchmark.inference.input_files import check_names, outputs
from benchmark.inference.outline import frame
from benchmark.inference.slice_image import SANE_MM, SPACING_AGREES, SliceImage, overlay, read
from benchmark.inference.trained_model import TrainedModel
from benchmark.scoring.diameters import diameters
from benchmark.storage.atomic import (
    check_absent,
    check_replaceable,
    move_into,
    replace_into,
    staging_folder,
)

TABLE = "measures.csv"
SHOWN = 3  # names in the note of images whose pixel size is not known
IN_MM = (
    "area_mm2",
    "longest_diameter_mm",
    "perpendicular_mm",
    "row_spacing_mm",
    "column_spacing_mm",
)

Models = Sequence[TrainedModel]


def measured(mask: NDArray[np.bool_], spacing_mm: Spacing | None) -> dict[str, Any]:
    """Area of a mask (H, W) and the diameters of its largest component, as columns of the table.

    In pixels, and in mm where spacing is known, else None. An empty mask has area and diameters 0.
    Diameters in pixels hold where pixels are square.
    """
    area = int(mask.sum())
    pixels = diameters(mask, (1.0, 1.0))
    in_mm: tuple[float | None, ...] = (None, None, None)
    if spacing_mm:
        mm = diameters(mask, spacing_mm)
        values = (area * spacing_mm[0] * spacing_mm[1], mm.longest_mm, mm.perpendicular_mm)
        in_mm = tuple(round(value, DIGITS) for value in values)
    return {
        "tumour_found": bool(area),
        "area_mm2": in_mm[0],
        "longest_diameter_mm": in_mm[1],
        "perpendicular_mm": in_mm[2],
        "area_pixels": area,
        "longest_diameter_pixels": round(pixels.longest_mm, DIGITS),
        "perpendicular_pixels": round(pixels.perpendicular_mm, DIGITS),
        "row_spacing_mm": spacing_mm[0] if spacing_mm else None,
        "column_spacing_mm": spacing_mm[1] if spacing_mm else None,
    }


def check(
    models: Models,
    paths: Sequence[Path],
    out: Path,
    spacing_mm: Spacing | None,
    overwrite: bool,
) -> list[Path]:
    """Return the slices whose pixel size is not known.

    Raises `DataError` for what would stop the work half-way: a bad file, name or spacing, a name
    that is taken in out, or with overwrite one that is a folder's or a slice's.
    """
    if spacing_mm is not None and not all(SANE_MM[0] <= side <= SANE_MM[1] for side in spacing_mm):
        raise DataError(
            f"--spacing {spacing_mm} mm must be two numbers from {SANE_MM[0]:g} to {SANE_MM[1]:g}"
        )
    several = len(models) > 1
    check_names(paths, several)
    (check_replaceable if overwrite else check_absent)(out, _names(paths, several))
    unsized = []
    for path in paths:
        given = read(path)
        side_mm = spacing_of(given, spacing_mm)
        unsized += [] if side_mm else [path]
        check_frame(models, given.image.shape, side_mm, str(path))
    _check_inputs_stay(paths, out, _names(paths, several))
    return unsized


def check_frame(
    models: Models, shape: tuple[int, ...], spacing_mm: Spacing | None, origin: str
) -> None:
    """Raise `DataError` for an image (H, W) that a model's frame would make too large."""
    for height, width in (frame(model, shape, spacing_mm) for model in models):
        if height * width > MAX_PIXELS:
            raise DataError(
                f"{origin}: filled up to the form of the slices trained on it has "
                f"{height}x{width} pixels; crop it"
            )


def _check_inputs_stay(paths: Sequence[Path], out: Path, written: Sequence[str]) -> None:
    """Raise `DataError` where what is written would take the place of a slice that is read."""
    inputs = {(path.stat().st_dev, path.stat().st_ino) for path in paths}
    for place in (out / name for name in written):
        if place.exists() and (place.stat().st_dev, place.stat().st_ino) in inputs:
            raise DataError(
                f"{place}: is one of the images given, not overwritten; give another --out"
            )


def pixels_only(unsized: Sequence[Path]) -> str:
    """A sentence that names slices whose pixel size is not known, with the cure; "" for none."""
    if not unsized:
        return ""
    names = ", ".join(str(path) for path in unsized[:SHOWN])
    more = f" and {len(unsized) - SHOWN} more" if len(unsized) > SHOWN else ""
    return (
        f"Note: no pixel size is known of {names}{more}: measured in pixels alone; "
        "give --spacing ROW COLUMN, in mm a pixel, for measures in mm."
    )


def spacing_of(image: SliceImage, given_mm: Spacing | None) -> Spacing | None:
    """The header's pixel size, else the given one; `DataError` where they contradict each other."""
    own_mm = image.spacing_mm
    if given_mm and own_mm and not np.allclose(own_mm, given_mm, rtol=SPACING_AGREES, atol=0):
        raise DataError(
            f"{image.path}: its header says {own_mm} mm a pixel, but {given_mm} mm was given; "
            "give this file apart without --spacing, or mend the header"
        )
    return own_mm or given_mm


def _names(paths: Sequence[Path], several: bool) -> list[str]:
    """What is written into out; the table, which every call writes, first."""
    return [TABLE, *(name for path in paths for name in outputs(path, several))]


def predict(
    models: Models,
    paths: Sequence[Path],
    out: Path,
    spacing_mm: Spacing | None,
    *,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Outline slices, write masks, overlays and `TABLE` into out, and return the table.

    Of several models the mask is that of their mean probability, and a map of their disagreement
    is written too. The table has one row per slice, and the columns in mm where the pixel size of
    any slice is known. Everything is checked, and say is told of slices without a pixel size,
    before a model is asked; all appears in out only when all is done, with overwrite in the place
    of files of the same names. Raises `SpecError` as `check_members` does, `DataError` as `check`,
    `outlined` and `move_into` do, and `OutputError` where the disk refuses; then out is as it was.
    """
    check_members(models)
    with staging_folder(out) as staging:
        if note := pixels_only(check(models, paths, out, spacing_mm, overwrite)):
            say(note)
        shown = track(paths, "predict", disable=not Console().is_terminal)
        table = pd.DataFrame([_outlined(models, path, staging, spacing_mm) for path in shown])
        table = table.drop(columns=[name for name in IN_MM if table[name].isna().all()])
        (staging / TABLE).write_bytes(table.to_csv(index=False, lineterminator="\n").encode())
        written = _names(paths, len(models) > 1)
        (replace_into if overwrite else move_into)(staging, out, written)
    return table


def _outlined(
    models: Models, path: Path, staging: Path, given_mm: Spacing | None
) -> dict[str, Any]:
    """Outline one slice and write its mask and overlay; return its row of the table."""
    given = read(path)
    spacing_mm = spacing_of(given, given_mm)
    try:
        found = outlined(models, given.image, spacing_mm)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    mask_name, overlay_name, *map_name = outputs(path, len(models) > 1)
    (staging / mask_name).write_bytes(given.encode(found.mask))
    (staging / overlay_name).write_bytes(overlay(given.image, found.mask))
    for name in map_name:
        (staging / name).write_bytes(given.encode_disagreement(found.disagreement))
    return {
        "file": str(path),
        **measured(found.mask, spacing_mm),
        **found.measures,
        "run_id": names(models),
        "note": doubts(models, given.image.shape, spacing_mm),
    }


def report(table: pd.DataFrame, models: Models) -> str:
    """The table as text, one line per slice, and what its reader must know."""
    rows = [(row["file"], *_words(row), row["note"]) for row in table.to_dict("records")]
    headers = ("slice", "tumour", "area", "diameters", "note")
    lines = tabulate(rows, headers=headers, disable_numparse=True)
    return f"{lines}\n\n{_how_many(table)}\n\n{research_only(models)}"


def _how_many(table: pd.DataFrame) -> str:
    """On how many slices something is outlined, and the median of its area."""
    found = table[table["tumour_found"]]
    text = f"Something is outlined on {len(found)} of {len(table)} slices"
    unit = next((unit for unit in ("mm2", "pixels") if _whole(found, f"area_{unit}")), None)
    if unit is None:
        return f"{text}."
    return f"{text}, in the median {found[f'area_{unit}'].median():.0f} {unit}."


def _whole(table: pd.DataFrame, name: str) -> bool:
    return name in table and len(table) > 0 and bool(table[name].notna().all())


def _words(row: dict[Any, Any]) -> tuple[str, str, str]:
    """Whether there is a tumour, its area, and its diameters, in mm where the spacing is known."""
    if not row["tumour_found"]:
        return "none", "", ""
    unit, square = ("pixels", "pixels") if pd.isna(row.get("area_mm2")) else ("mm", "mm2")
    longest, perpendicular = row[f"longest_diameter_{unit}"], row[f"perpendicular_{unit}"]
    return (
        "outlined",
        f"{row[f'area_{square}']:.0f} {square}",
        f"{longest:.1f} x {perpendicular:.1f} {unit}",
    )
