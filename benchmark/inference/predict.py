"""Other slices outlined by a trained model and measured: masks, overlays and one table.

A slice goes the way of the run's own: resized to what the arm is fed, preprocessed with the
run's landmarks, outlined, and brought back to its own pixels. One of the run's slices gets the mask
that the run stored. Slices are fed one at a time: rounding, too, must not depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from tabulate import tabulate

from benchmark.arm import ProbMaps
from benchmark.data.guard import MAX_PIXELS
from benchmark.errors import DataError
from benchmark.inference.input_files import check_names, outputs
from benchmark.inference.slice_image import SANE_MM, SPACING_AGREES, SliceImage, overlay, read
from benchmark.inference.trained_model import TrainedModel
from benchmark.preprocessing import nyul
from benchmark.preprocessing.resize import downsample, upsample_probability
from benchmark.scoring.diameters import diameters
from benchmark.scoring.evaluate import binarise, predict_checked
from benchmark.storage.atomic import (
    check_absent,
    check_replaceable,
    move_into,
    replace_into,
    staging_folder,
)

TABLE = "measures.csv"
FIELD_OF_VIEW = 1.2  # times larger or smaller than in training, from which a warning is given
DIGITS = 4  # of mm, as in scores.csv
SHOWN = 3  # names in the note of images whose pixel size is not known
IN_MM = (
    "area_mm2",
    "longest_diameter_mm",
    "perpendicular_mm",
    "row_spacing_mm",
    "column_spacing_mm",
)
WARNING = (
    "This is a research tool and no medical device; nothing here may guide the care of a patient.\n"
    "The model was trained on {seen}, each showing an outlined tumour. It was never tried on\n"
    "healthy slices or on other tumours, and outlines something on most slices."
)

Size = tuple[int, int]
Spacing = tuple[float, float]


def outline(
    model: TrainedModel, image: NDArray[Any], spacing_mm: Spacing | None
) -> NDArray[np.bool_]:
    """Return the mask (H, W) of one upright image (H, W).

    Without spacing_mm its pixels have the training's form. Raises `DataError` for an image that has
    no contrast left at the size the arm is fed.
    """
    framed = _framed(image, frame(model, image.shape, spacing_mm))
    fed = nyul.apply(_resized(framed[None], model), model.landmarks)
    maps = _back(predict_checked(model.arm, fed, None), framed.shape, model)
    top, left = _margins(image.shape, framed.shape)
    return binarise(maps)[0, top : top + image.shape[0], left : left + image.shape[1]]


def frame(model: TrainedModel, shape: tuple[int, ...], spacing_mm: Spacing | None) -> Size:
    """Return the least (H, W) that holds an image, its sides in the training's ratio in mm."""
    row_mm, column_mm = spacing_mm or model.spacing_mm
    height, width = shape[0] * row_mm, shape[1] * column_mm
    ratio = model.shape[0] * model.spacing_mm[0] / (model.shape[1] * model.spacing_mm[1])
    if height < width * ratio:
        return max(shape[0], round(width * ratio / row_mm)), shape[1]
    return shape[0], max(shape[1], round(height / ratio / column_mm))


def _margins(shape: tuple[int, ...], framed: tuple[int, ...]) -> Size:
    return (framed[0] - shape[0]) // 2, (framed[1] - shape[1]) // 2


def _framed(image: NDArray[Any], size: Size) -> NDArray[Any]:
    """The image in the middle of a larger one, filled up with its least value."""
    top, left = _margins(image.shape, size)
    sides = ((top, size[0] - image.shape[0] - top), (left, size[1] - image.shape[1] - left))
    return np.pad(image, sides, constant_values=image.min())


def _resized(images: NDArray[Any], model: TrainedModel) -> NDArray[Any]:
    """(1, H, W) to the size the arm is fed, as in the run for slices of its size, else bilinear."""
    size = images.shape[1:]
    larger = max(size[0], model.fed[0]), max(size[1], model.fed[1])
    if size not in (larger, model.shape):  # `downsample` enlarges in blocks
        tensor = torch.from_numpy(images.astype(np.float64))[:, None]
        tensor = F.interpolate(tensor, size=larger, mode="bilinear", align_corners=False)
        images = tensor[:, 0].numpy()
    return downsample(images, model.fed)


def _back(maps: ProbMaps, size: tuple[int, ...], model: TrainedModel) -> ProbMaps:
    """(1, h, w) to (1, H, W), as in the run for slices of its size, else averaged where smaller."""
    if size != model.shape:  # `upsample_probability` shrinks by leaving pixels out
        smaller = min(maps.shape[1], size[0]), min(maps.shape[2], size[1])
        maps = np.asarray(downsample(maps, smaller), np.float32)
    return upsample_probability(maps, (size[0], size[1]))


def warning(model: TrainedModel, shape: tuple[int, ...], spacing_mm: Spacing | None) -> str:
    """A warning where a slice shows much more or less than the training's, as far as is known."""
    if spacing_mm is None:
        return ""
    height_mm = frame(model, shape, spacing_mm)[0] * spacing_mm[0]
    times = height_mm / (model.shape[0] * model.spacing_mm[0])
    if 1 / FIELD_OF_VIEW <= times <= FIELD_OF_VIEW:
        return ""
    return f"shows {times:.2f} times the field of view of the slices trained on: unreliable"


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
    model: TrainedModel,
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
    check_names(paths)
    (check_replaceable if overwrite else check_absent)(out, _names(paths))
    unsized = []
    for path in paths:
        given = read(path)
        side_mm = spacing_of(given, spacing_mm)
        unsized += [] if side_mm else [path]
        height, width = frame(model, given.image.shape, side_mm)
        if height * width > MAX_PIXELS:
            raise DataError(
                f"{path}: filled up to the form of the slices trained on it has "
                f"{height}x{width} pixels; crop it"
            )
    _check_inputs_stay(paths, out)
    return unsized


def _check_inputs_stay(paths: Sequence[Path], out: Path) -> None:
    """Raise `DataError` where what is written would take the place of a slice that is read."""
    inputs = {(path.stat().st_dev, path.stat().st_ino) for path in paths}
    for place in (out / name for name in _names(paths)):
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


def _names(paths: Sequence[Path]) -> list[str]:
    """What is written into out; the table, which every call writes, first."""
    return [TABLE, *(name for path in paths for name in outputs(path))]


def predict(
    model: TrainedModel,
    paths: Sequence[Path],
    out: Path,
    spacing_mm: Spacing | None,
    *,
    overwrite: bool = False,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Outline slices, write masks, overlays and `TABLE` into out, and return the table.

    It has one row per slice, and the columns in mm where the pixel size of any slice is known.
    Everything is checked, and say is told of slices without a pixel size, before the model is
    asked; all appears in out only when all is done, with overwrite in the place of files of the
    same names. Raises `DataError` as `check`, `outline` and `move_into` do, and `OutputError`
    where the disk refuses; then out is as it was.
    """
    with staging_folder(out) as staging:
        if note := pixels_only(check(model, paths, out, spacing_mm, overwrite)):
            say(note)
        shown = track(paths, "predict", disable=not Console().is_terminal)
        table = pd.DataFrame([_outlined(model, path, staging, spacing_mm) for path in shown])
        table = table.drop(columns=[name for name in IN_MM if table[name].isna().all()])
        (staging / TABLE).write_bytes(table.to_csv(index=False, lineterminator="\n").encode())
        (replace_into if overwrite else move_into)(staging, out, _names(paths))
    return table


def _outlined(
    model: TrainedModel, path: Path, staging: Path, given_mm: Spacing | None
) -> dict[str, Any]:
    """Outline one slice and write its mask and overlay; return its row of the table."""
    given = read(path)
    spacing_mm = spacing_of(given, given_mm)
    try:
        mask = outline(model, given.image, spacing_mm)
    except DataError as error:
        raise DataError(f"{path}: at {model.fed[0]}x{model.fed[1]} pixels: {error}") from error
    mask_name, overlay_name = outputs(path)
    (staging / mask_name).write_bytes(given.encode(mask))
    (staging / overlay_name).write_bytes(overlay(given.image, mask))
    note = warning(model, given.image.shape, spacing_mm)
    return {"file": str(path), **measured(mask, spacing_mm), "run_id": model.run_id, "note": note}


def report(table: pd.DataFrame, model: TrainedModel) -> str:
    """The table as text, one line per slice, and what its reader must know."""
    rows = [(row["file"], *_words(row), row["note"]) for row in table.to_dict("records")]
    headers = ("slice", "tumour", "area", "diameters", "note")
    lines = tabulate(rows, headers=headers, disable_numparse=True)
    patients = f" of {model.patients} patients" if model.patients else ""
    kind = "drawn phantoms" if model.phantom else f"2D slices{patients}"
    return f"{lines}\n\n{WARNING.format(seen=f'{model.slices} {kind}')}"


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
