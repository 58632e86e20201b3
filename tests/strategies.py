"""Hypothesis strategies: small masks, images, slice sets and recipes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from benchmark.data.slices import SliceSet, dataset_id_of
from benchmark.protocol import Recipe, override

slow_is_well = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}  # busy machines
law = settings(max_examples=30, derandomize=True, **slow_is_well)  # type: ignore[arg-type]
costly = settings(law, max_examples=15)

seeds = st.integers(0, 2**31 - 1)


def masks(shape: tuple[int, int] = (5, 7)) -> st.SearchStrategy[NDArray[np.bool_]]:
    """One (H, W) bool mask, empty and full ones included."""
    return arrays(np.bool_, shape) | st.sampled_from([np.zeros(shape, bool), np.ones(shape, bool)])


def mask_pairs() -> st.SearchStrategy[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Two masks of one shape."""
    return st.tuples(masks(), masks())


def images(side: int = 8) -> st.SearchStrategy[NDArray[np.int16]]:
    """One (H, W) int16 image, not constant; some have few grey levels, so that landmarks tie."""
    shapes = st.tuples(st.integers(2, side), st.integers(2, side))
    tops = st.sampled_from([1, 2, 5, 255])
    any_image = st.tuples(shapes, tops).flatmap(
        lambda pair: arrays(np.int16, pair[0], elements=st.integers(0, pair[1]))
    )
    return any_image.filter(lambda image: bool(image.min() < image.max()))


def rich_images(side: int = 12) -> st.SearchStrategy[NDArray[np.int16]]:
    """One square image whose grey levels are all different, in any order: no landmarks tie."""

    def build(size: int, seed: int) -> NDArray[np.int16]:
        levels = np.random.default_rng(seed).choice(4096, (size, size), replace=False)
        return levels.astype(np.int16)

    return st.builds(build, st.integers(6, side), seeds)


def slice_set(slice_ids: Sequence[int], patients: Sequence[str | None]) -> SliceSet:
    """Slices of one pixel: splits ask for numbers and patients only."""
    n = len(slice_ids)
    arrays = {"images": np.zeros((n, 1, 1), np.uint8), "masks": np.ones((n, 1, 1), bool)}
    names = {"label": np.ones(n, np.int64), "patient_id": tuple(patients)}
    return SliceSet(slice_id=np.array(slice_ids, dtype=np.int64), **arrays, **names)


@st.composite
def slice_sets(draw: st.DrawFn) -> SliceSet:
    """Slices of 3 to 12 patients, numbers and patients mixed, at least 12 slices."""
    counts = draw(st.lists(st.integers(1, 6), min_size=3, max_size=12))
    counts[0] += max(0, 12 - sum(counts))
    n = sum(counts)
    numbers = sorted(draw(st.lists(st.integers(1, 4000), min_size=n, max_size=n, unique=True)))
    owners = [f"P{i}" for i, count in enumerate(counts) for _ in range(count)]
    return slice_set(numbers, draw(st.permutations(owners)))


def cheng_rows() -> list[dict[str, str]]:
    """The shipped table's rows of the 708 meningiomas: slice, label, patient_id and mask_sha256."""
    text = (files("benchmark.data") / "cheng.csv").read_text(encoding="utf-8")
    return [row for row in csv.DictReader(text.splitlines()) if row["label"] == "1"]


def cheng_set() -> SliceSet:
    """The 708 slices with their numbers, patients and dataset_id, each image of one pixel."""
    rows = cheng_rows()
    numbers, hashes = [int(row["slice"]) for row in rows], [row["mask_sha256"] for row in rows]
    slices = slice_set(numbers, [row["patient_id"] for row in rows])
    vars(slices)["dataset_id"] = dataset_id_of(zip(numbers, hashes, strict=True))
    return slices


unit = st.floats(0, 1, allow_subnormal=False)

OVERRIDES: dict[str, st.SearchStrategy[object]] = {
    "preprocess.nyul_fit": st.sampled_from(["all", "train"]),
    "preprocess.nyul_foreground": st.sampled_from(["above_mean", "whole"]),
    "preprocess.nyul_percentiles": st.sampled_from([(1.0, 50.0, 99.0), (0.0, 25.0, 75.0, 100.0)]),
    "split.unit": st.sampled_from(["image", "patient", "cvind"]),
    "split.folds": st.integers(3, 9),
    "augmentation.affine_p": unit,
    "augmentation.motion_p": unit,
    "augmentation.intensity_mode": st.sampled_from(["scale", "shift"]),
    "augmentation.black_level": st.floats(-2, 2),
    "network.channels": st.sampled_from([(8, 16), (16, 32, 64)]),
    "network.dropout": unit,
    "loss.activation": st.sampled_from(["softmax", "sigmoid"]),
    "loss.pool_batch": st.booleans(),
    "training.learning_rate": st.floats(1e-5, 1),
    "training.batch_size": st.integers(1, 64),
    "training.precision": st.sampled_from(["fp32", "tf32", "bf16"]),
}


def overrides() -> st.SearchStrategy[dict[str, object]]:
    """Some legal `section.key` values."""
    return st.fixed_dictionaries({}, optional=OVERRIDES)


def recipes() -> st.SearchStrategy[Recipe]:
    """The default recipe with some legal values replaced."""
    return overrides().map(lambda values: override(Recipe(), "drawn", values))
