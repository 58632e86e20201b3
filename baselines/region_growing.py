"""Region growing: from a seed in the tumour, over every connected pixel that is bright enough."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from baselines._keeping import Kept
from baselines._morphology import (
    component_at,
    deepest_pixel,
    depth,
    head,
    otsu_threshold,
    radius,
    thickest_component,
    without_necks,
)
from baselines._tuning import Segment, tune
from benchmark.arm import Cases, Clicks, FitReport, FloatImages, ProbMaps, RunContext
from benchmark.errors import ArmError
from benchmark.scoring.evaluate import simulated_clicks

TOLERANCES = tuple(round(0.05 * i, 2) for i in range(4, 20))  # 0.2 to 0.95
BRAIN = 0.2  # deeper than this part of the head's radius it is brain, mostly
LEAST_CONTRAST = 0.1  # of the seed against the brain, where it is no brighter

Pixel = tuple[int, int]


@dataclass
class _Growing(Kept):
    """What both arms share: the parameters, the tuning and the growing.

    smoothing, rim and neck are parts of the head's radius: the blur before growing, the skin
    and bone that are never entered, and the width under which a passage counts as a leak.
    tuning_slices: training slices the tolerance is tried on.
    """

    smoothing: float = 0.01
    rim: float = 0.12
    neck: float = 0.10
    tuning_slices: int = 48
    tolerance: float | None = field(default=None, init=False)

    deterministic: ClassVar[bool] = True

    def _fit(self, train: Cases, seed: Callable[[int], Pixel | None]) -> FitReport:
        """Choose the tolerance with the greatest mean Dice, growing from seed(place in train)."""
        self.tolerance, dice = tune(
            TOLERANCES,
            len(train),
            self.tuning_slices,
            lambda i: self._prepare(train.images[i], seed(i)),
            train.masks,
        )
        return FitReport(facts={"tolerance": self.tolerance, "tuning_dice": dice}, parameters=1)

    def _grown(self, image: NDArray[np.float32], seed: Pixel | None) -> NDArray[np.bool_]:
        if self.tolerance is None:
            raise ArmError("region growing: predict came before fit; fit the arm first")
        return self._prepare(image, seed)(self.tolerance)

    def _prepare(self, image: NDArray[np.float32], seed: Pixel | None) -> Segment:
        """Return the function tolerance -> region (H, W); empty without a seed."""
        if seed is None:
            return lambda tolerance: np.zeros(image.shape, dtype=bool)
        whole = head(image)
        unit, deep = radius(whole), depth(whole)
        smooth = ndimage.gaussian_filter(image, self.smoothing * unit)
        brain = smooth[deep > BRAIN * unit]
        typical = float(np.median(brain)) if brain.size else float(smooth.min())
        return lambda tolerance: grow(
            smooth, seed, tolerance, typical, deep > self.rim * unit, self.neck * unit
        )


def grow(
    image: NDArray[np.float32],
    seed: Pixel,
    tolerance: float,
    typical: float,
    allowed: NDArray[np.bool_],
    neck: float,
) -> NDArray[np.bool_]:
    """Return the region (H, W) around the seed, holes filled; it always holds the seed.

    It spreads over 4-connected allowed pixels that lie at most `tolerance` of the way from the
    seed's intensity down to the typical one of the brain (brighter is always near enough), and
    not through passages narrower than `neck` pixels.
    """
    level = float(image[seed])
    near = image >= level - tolerance * max(level - typical, LEAST_CONTRAST)
    near &= allowed
    near[seed] = True
    region = component_at(near, seed)
    box = ndimage.find_objects(region.view(np.uint8))[0]
    corner = (seed[0] - box[0].start, seed[1] - box[1].start)
    region[box] = ndimage.binary_fill_holes(without_necks(region[box], corner, neck))
    region[seed] = True
    return region


def bright_seed(image: NDArray[np.float32]) -> Pixel | None:
    """Return the deepest pixel of the thickest bright part of the brain; None where there is none.

    Bright is above Otsu's threshold over the head. The brightest pixel would often be a vessel's.
    """
    whole = head(image)
    cut = otsu_threshold(image[whole])
    if cut is None:
        return None
    bright = thickest_component((depth(whole) > BRAIN * radius(whole)) & (image > cut))
    return deepest_pixel(bright) if bright.any() else None


@dataclass
class RegionGrowing(_Growing):
    """Region growing that finds its own seed (see `bright_seed`)."""

    needs_click: ClassVar[bool] = False

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        """Choose the tolerance, growing from the seeds that `predict` will find."""
        return self._fit(train, lambda i: bright_seed(train.images[i]))

    def predict(self, images: FloatImages) -> ProbMaps:
        """Return 0 or 1 (N, H, W); all 0 where no seed is found. Raises `ArmError` before `fit`."""
        grown = [self._grown(image, bright_seed(image)) for image in images]
        return np.stack(grown).astype(np.float32)


@dataclass
class ClickRegionGrowing(_Growing):
    """Region growing from a click: semi-automatic, it is told where the tumour is."""

    needs_click: ClassVar[bool] = True

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        """Choose the tolerance, with clicks as the harness will make; without a tumour, no seed."""
        clicks = simulated_clicks(train.masks).tolist()
        return self._fit(train, lambda i: tuple(clicks[i]) if train.masks[i].any() else None)

    def predict(self, images: FloatImages, clicks: Clicks) -> ProbMaps:
        """Return 0 or 1 (N, H, W), 1 at every click (N, 2) row, column. `ArmError` before `fit`."""
        pairs = zip(images, clicks, strict=True)
        grown = [self._grown(image, (int(row), int(column))) for image, (row, column) in pairs]
        return np.stack(grown).astype(np.float32)
