"""The slices of a round: the benchmark's own, split and preprocessed as for a run."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark import data
from benchmark.arm import Cases
from benchmark.data import phantoms
from benchmark.data.slices import check_sides
from benchmark.errors import SpecError
from benchmark.planning.request import MAX_SIDE, PHANTOMS, Request
from benchmark.protocol import Recipe
from benchmark.runs.prepared_data import PreparedData
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


def prepare(
    source: str | None, image_size: int | None, images: int | None, recipe: Recipe
) -> Workload:
    """Return images training slices (None: all) in whole batches, and validation to match.

    Without a source, what `python -m benchmark` would take: $MENINGIOMA_DATA, an earlier download,
    else phantoms, which are made at the image size. Raises `SpecError` where not even one batch is
    there.
    """
    if image_size is not None and image_size > MAX_SIDE:
        raise SpecError(f"--image-size {image_size} is above {MAX_SIDE}")
    source = Request(data=source).source
    made = source == PHANTOMS
    slices = phantoms.make(size=image_size or PHANTOM_SIDE) if made else data.load(source)
    shape = slices.shape if image_size is None else (image_size, image_size)
    check_sides(shape, "--image-size")
    split, batch = make(slices, recipe.split, 1), recipe.training.batch_size
    wanted = min(images or len(split.train), len(split.train)) // batch * batch
    if wanted == 0:
        raise SpecError(
            f"a batch of {batch} from --images {images or 'all'} and {len(split.train)} training "
            "slices: give a smaller --batch-size, or more images"
        )
    few = max(1, round(wanted * len(split.val) / len(split.train)))
    of, content = slices.dataset_id, slices.fingerprint
    spec = RunSpec("any", {}, recipe, of, content, split.split_id, split.fingerprint, shape, 0)
    prepared = PreparedData(slices, {}, {})
    train = prepared.cases(spec, split, sample(split.train, wanted))
    val = prepared.cases(spec, split, sample(split.val, few))
    return Workload(train, val, len(split.train), len(split.val), len(slices), slices.phantom)


def sample(numbers: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return some slice numbers, the same every time."""
    return tuple(numbers[row] for row in epoch_order(SEED, 0, len(numbers))[:count])
