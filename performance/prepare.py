"""The slices of a round: the benchmark's own, split and preprocessed as for a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark import data
from benchmark.arm import Cases
from benchmark.data import phantoms
from benchmark.data.slices import SliceSet, check_sides
from benchmark.errors import SpecError
from benchmark.planning.request import MAX_SIDE, PHANTOMS, Request
from benchmark.protocol import Recipe
from benchmark.runs.runner import PreparedData
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import make
from benchmark.training.seeding import epoch_order
from performance.job import SEED

PHANTOM_SIDE = 512  # as the real slices


@dataclass(frozen=True)
class Workload:
    """train and val are a round's slices; epoch_train and epoch_val count the whole split's."""

    train: Cases
    val: Cases
    epoch_train: int
    epoch_val: int
    slices: int
    phantom: bool

    @property
    def side(self) -> int:
        return self.train.shape[0]


def prepare(
    source: str | None, image_size: int | None, images: int | None, recipe: Recipe
) -> Workload:
    """Return images training slices (None: all), as many whole batches as there are, and validation
    to match.

    Without a source, what `python -m benchmark` would take: $MENINGIOMA_DATA, an earlier
    download, else phantoms, which are drawn at the image size. Raises `SpecError` where not
    even one batch is there.
    """
    slices = _load(source, image_size)
    shape = slices.shape if image_size is None else (image_size, image_size)
    check_sides(shape, "--image-size")
    split = make(slices, recipe.split, 1)
    batch = recipe.training.batch_size
    wanted = min(images or len(split.train), len(split.train)) // batch * batch
    if wanted == 0:
        raise SpecError(
            f"a batch of {batch} from --images {images or 'all'} and {len(split.train)} training slices: "
            "give a smaller --batch-size, or more images"
        )
    few = max(1, round(wanted * len(split.val) / len(split.train)))
    spec = RunSpec(
        "any",
        {},
        recipe,
        slices.dataset_id,
        slices.fingerprint,
        split.split_id,
        split.fingerprint,
        shape,
        0,
    )
    bench = PreparedData(slices, {}, {})
    train, val = (
        bench.cases(spec, split, chosen)
        for chosen in (_some(split.train, wanted), _some(split.val, few))
    )
    return Workload(train, val, len(split.train), len(split.val), len(slices), slices.phantom)


def _load(source: str | None, image_size: int | None) -> SliceSet:
    if image_size is not None and image_size > MAX_SIDE:
        raise SpecError(f"--image-size {image_size} is above {MAX_SIDE}")
    source = Request(data=source).source
    return (
        phantoms.make(size=image_size or PHANTOM_SIDE) if source == PHANTOMS else data.load(source)
    )


def _some(numbers: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Some slice numbers, drawn once and for all."""
    chosen = np.asarray(numbers)[epoch_order(SEED, 0, len(numbers))[:count]]
    return tuple(int(number) for number in chosen)
