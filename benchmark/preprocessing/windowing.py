"""How a slice is shown: its grey levels as the 256 of a picture. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOW = (0.5, 99.5)  # percentiles of a slice's grey levels, shown as black and white


def grey(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Map an (H, W) image to 0 to 255, linearly between the percentiles of `WINDOW`."""
    pixels = image.astype(np.float32)
    low, high = np.percentile(pixels, WINDOW).astype(np.float32)
    if not high > low:  # what is bright fills less than the window leaves out
        low, high = pixels.min(), pixels.max()
    share = (pixels - low) / (high - low)
    return np.rint(share.clip(0, 1) * 255).astype(np.uint8)
