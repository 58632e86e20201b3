"""What an arm learned as the bytes of one file, model.pt: plain values and tensors, never code."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import ArmError, RecordError
from benchmark.preprocessing.nyul import Landmarks

FORMAT = 2
AGAIN = "move the run's folder away and train it again with --keep-models"


@dataclass(frozen=True, eq=False)
class ModelState:
    """The state of a fitted arm, and the slices that it and its landmarks come from.

    landmarks: the standard histogram its images were given; shape (H, W) and spacing_mm
    (row, column): of the slices themselves, before they were resized for the arm; slices and
    patients: how many it was trained on, 0 patients where they are not known.
    """

    state: Mapping[str, Any]
    landmarks: Landmarks
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]
    slices: int
    patients: int


def pack(model: ModelState, arm: str) -> bytes:
    """Return the bytes of a model file; `ArmError` for a state of more than values and tensors."""
    import torch

    packed = io.BytesIO()
    content = {"format": FORMAT, "state": dict(model.state), **seen_by(model)}
    try:
        torch.save(content, packed)
        _content(packed.getvalue())
    except Exception as error:  # a state may hold anything
        raise ArmError(
            f"arm {arm}: its state holds more than plain values and tensors "
            f"({type(error).__name__}); mend its method state, or run it without --keep-models"
        ) from error
    return packed.getvalue()


def seen_by(model: ModelState) -> dict[str, Any]:
    """Everything of a model but its state, as plain JSON values that `parsed` reads."""
    return {
        "percentiles": list(model.landmarks.percentiles),
        "values": list(model.landmarks.values),
        "whole": model.landmarks.whole,
        "shape": list(model.shape),
        "spacing_mm": list(model.spacing_mm),
        "slices": model.slices,
        "patients": model.patients,
    }


def unpack(packed: bytes, path: Path) -> ModelState:
    """Read what `pack` wrote, running nothing; `RecordError` names the path of anything else."""
    try:
        content = _content(packed)
        if content["format"] == FORMAT:
            return parsed(content)
    except Exception as error:  # torch, zipfile and pickle raise many kinds at hostile bytes
        raise RecordError(
            f"{path}: is no model of plain values and tensors ({type(error).__name__}), "
            f"and nothing in it was run; {AGAIN}"
        ) from error
    raise RecordError(
        f"{path}: has format {content['format']!r}, but this version reads {FORMAT}; {AGAIN}"
    )


def _content(packed: bytes) -> dict[str, Any]:
    """Raises any exception for no file of torch's, which unpacks to no more than it holds."""
    import torch

    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        if sum(member.file_size for member in archive.infolist()) > len(packed):
            raise ValueError("it unpacks to more than it holds")
    content: dict[str, Any] = torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)
    return content


def parsed(content: Mapping[str, Any]) -> ModelState:
    """Read "state" and what `seen_by` gave; raises any exception where a value is another's."""
    percentiles, values = (tuple(map(float, content[name])) for name in ("percentiles", "values"))
    (height, width), (row_mm, column_mm) = content["shape"], content["spacing_mm"]
    sizes = [float(side) for side in (height, width, row_mm, column_mm)]
    if not all(map(math.isfinite, [*percentiles, *values, *sizes])) or min(sizes) <= 0:
        raise ValueError("a number out of range")
    if len(percentiles) != len(values) or len(values) < 2:
        raise ValueError("landmarks that do not pair")
    landmarks = Landmarks(percentiles, values, bool(content["whole"]))
    slices, patients = int(content["slices"]), int(content["patients"])
    if slices < 1 or patients < 0:
        raise ValueError("a count out of range")
    shape, spacing_mm = (int(height), int(width)), (float(row_mm), float(column_mm))
    return ModelState(dict(content["state"]), landmarks, shape, spacing_mm, slices, patients)
