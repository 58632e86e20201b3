"""The slices of a grid as its arms are fed them: resized, on one scale of grey, split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.arm import ArmEntry, Cases, FloatImages
from benchmark.data.slices import SliceSet
from benchmark.preprocessing import nyul
from benchmark.preprocessing.level_table import Levels
from benchmark.preprocessing.resize import downsample, downsample_masks, scaled_spacing
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import Split


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """All slices as an arm is fed them: N images (h, w), their masks and standard histogram."""

    images: FloatImages | Levels
    masks: NDArray[np.bool_]
    landmarks: nyul.Landmarks


@dataclass
class PreparedData:
    """The slices of a grid and its splits by name; remembers the last preprocessing."""

    slices: SliceSet
    splits: Mapping[str, Split]
    arms: Mapping[str, ArmEntry]
    _last: tuple[Any, PreparedSet] | None = field(default=None, repr=False)

    def prepared(self, spec: RunSpec, split: Split) -> PreparedSet:
        """Return all slices preprocessed as the spec asks."""
        rule = spec.recipe.preprocess
        fit_ids = split.train if rule.nyul_fit == "train" else None
        key = (spec.shape, rule, fit_ids)
        if self._last is None or self._last[0] != key:
            images = downsample(self.slices.images, spec.shape)
            rows = slice(None) if fit_ids is None else np.isin(self.slices.slice_id, fit_ids)
            whole = rule.nyul_foreground == "whole"
            landmarks = nyul.fit_nyul(images[rows], rule.nyul_percentiles, whole)
            masks = downsample_masks(self.slices.masks, spec.shape)
            few_levels = (
                images.dtype.kind in "iu"
                and int(images.max()) - int(images.min()) < images[0].size // 2
            )
            transform = nyul.tabulate if few_levels else nyul.apply  # long tables take more memory
            self._last = (key, PreparedSet(transform(images, landmarks), masks, landmarks))
        return self._last[1]

    def cases(self, spec: RunSpec, split: Split, wanted: tuple[int, ...]) -> Cases:
        """Return the preprocessed slices of one set, ascending by number."""
        everything, slices = self.prepared(spec, split), self.slices
        rows = np.isin(slices.slice_id, wanted)
        spacing_mm = scaled_spacing(slices.spacing_mm, slices.shape, spec.shape)
        return Cases(
            everything.images[rows], everything.masks[rows], slices.slice_id[rows], spacing_mm
        )
