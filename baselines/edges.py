"""Edges: a thick bright part, its outline moved to the edges around it by Canny and a watershed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import canny
from skimage.segmentation import watershed

from baselines._keeping import Kept
from baselines._morphology import Mask, depth, head, radius, thickest_component
from baselines._tuning import Segment, tune
from benchmark.arm import Cases, FitReport, FloatImages, ProbMaps, RunContext
from benchmark.errors import ArmError

LEVELS = tuple(round(0.05 * i, 2) for i in range(2, 9))  # 0.1 to 0.4
BRIGHTEST = 99.5  # percentile of the brain that stands for the brightest of it
WEAK, STRONG = 0.8, 0.9  # Canny's two thresholds, as quantiles of the gradient in the head
CORE = 0.6  # of its greatest depth, where an outline is thinner than the band

Floats = NDArray[np.float32]


@dataclass
class Edges(Kept):
    """The thickest bright part inside the head, flooded up to the edges around it.

    Bright is above a level between the brain's median (0) and its brightest (1), chosen on training
    slices. Around the thickest part above it the slope of the image, highest on the edges that
    Canny finds (1986), is flooded from within and from well outside; the outline is where the
    waters meet (Beucher and Lantuejoul 1979).

    smoothing, rim and band are parts of the head's radius: the blur before edges and slopes,
    the skin and bone that are left out, and how far the outline may be moved.
    tuning_slices: training slices the level is tried on.
    """

    smoothing: float = 0.01
    rim: float = 0.2
    band: float = 0.1
    tuning_slices: int = 96
    level: float | None = field(default=None, init=False)

    deterministic: ClassVar[bool] = True
    needs_click: ClassVar[bool] = False

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        """Choose the level with the greatest mean Dice."""
        self.level, dice = tune(
            LEVELS,
            len(train),
            self.tuning_slices,
            lambda i: self._prepare(train.images[i]),
            train.masks,
        )
        return FitReport(facts={"level": self.level, "tuning_dice": dice}, parameters=1)

    def predict(self, images: FloatImages) -> ProbMaps:
        """Return 0 or 1 (N, H, W); all 0 for a constant image. Raises `ArmError` before `fit`."""
        if self.level is None:
            raise ArmError("edges: predict came before fit; fit the arm first")
        masks = [self._prepare(image)(self.level) for image in images]
        return np.stack(masks).astype(np.float32)

    def _prepare(self, image: Floats) -> Segment:
        """Return the function level -> mask (H, W)."""
        whole = head(image)
        unit = radius(whole)
        inside = depth(whole) > self.rim * unit
        if not inside.any():
            return lambda level: inside
        sigma = self.smoothing * unit
        slope = ndimage.gaussian_gradient_magnitude(image, sigma)
        quantiles = {"low_threshold": WEAK, "high_threshold": STRONG, "use_quantiles": True}
        edges = canny(image, sigma, mask=whole, **quantiles)
        relief = np.where(edges, slope.max(), slope)
        dark, bright = np.percentile(image[inside], (50, BRIGHTEST))

        def segment(level: float) -> Mask:
            above = inside & (image > dark + level * (bright - dark))
            return flooded(thickest_component(above), relief, self.band * unit)

        return segment


def flooded(outline: Mask, relief: Floats, band: float) -> Mask:
    """Return, holes filled, where water from within an outline is before that from outside.

    Both rise over the relief (H, W), from band pixels within and without the outline; within a
    thinner one, from 0.6 of its depth. All False of an empty outline.
    """
    found = np.zeros_like(outline)
    if outline.any():
        box = tuple(
            slice(max(0, int(side.start - band) - 1), int(side.stop + band) + 1)
            for side in ndimage.find_objects(outline.view(np.uint8))[0]
        )
        first = outline[box]
        within, without = depth(first), ndimage.distance_transform_edt(~first)
        core = within > min(band, CORE * float(within.max()))
        markers = np.where(core, 1, np.where(without > band, 2, 0))
        found[box] = ndimage.binary_fill_holes(watershed(relief[box], markers) == 1)
    return found
