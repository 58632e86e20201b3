"""A model's probabilities on one image of any size: framed, resized, preprocessed, brought back.

A slice goes the way of the run's own: resized to what the arm is fed, preprocessed with the
run's landmarks, outlined, and brought back to its own pixels. One of the run's slices gets the mask
that the run stored. Slices are fed one at a time: rounding, too, must not depend on the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmark.arm import ProbMaps
from benchmark.data.slices import Spacing
from benchmark.errors import DataError
from benchmark.inference.trained_model import TrainedModel
from benchmark.preprocessing import nyul
from benchmark.preprocessing.resize import downsample, upsample_probability
from benchmark.scoring.evaluate import binarise, predict_checked

FIELD_OF_VIEW = 1.2  # times larger or smaller than in training, from which a warning is given

Size = tuple[int, int]


def outline(
    model: TrainedModel, image: NDArray[Any], spacing_mm: Spacing | None
) -> NDArray[np.bool_]:
    """Return the mask (H, W) of one upright image (H, W): `probabilities` above 0.5."""
    return binarise(probabilities(model, image, spacing_mm))


def probabilities(
    model: TrainedModel, image: NDArray[Any], spacing_mm: Spacing | None
) -> NDArray[np.float32]:
    """Return the probability of tumour in each pixel of one upright image (H, W), in [0, 1].

    Without spacing_mm its pixels have the training's form. Raises `DataError` for an image that has
    no contrast left at the size the arm is fed.
    """
    framed = _framed(image, frame(model, image.shape, spacing_mm))
    try:
        fed = nyul.apply(_resized(framed[None], model), model.landmarks)
    except DataError as error:
        raise DataError(f"at {model.fed[0]}x{model.fed[1]} pixels: {error}") from error
    maps = _back(predict_checked(model.arm, fed, None), framed.shape, model)
    top, left = _margins(image.shape, framed.shape)
    return maps[0, top : top + image.shape[0], left : left + image.shape[1]]


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
