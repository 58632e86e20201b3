"""What both peers share: a LightningModule, DataLoader workers and Lightning's Trainer.

Tuned as a competent user would: slices preprocessed and in memory, persistent workers that
prefetch, pinned memory and cuDNN's search on a card, no logger, checkpoint or progress bar,
validation without workers since nothing is left to do for them.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmark.arm import Cases
from benchmark.training.losses import thesis_tversky, tumour_probability
from performance.clock import ASIDE, Clock, split
from performance.job import ALPHA, Job, Measurement
from performance.memory import peak

Pair = tuple[torch.Tensor, torch.Tensor]
"""image (1, H, W) float32 and mask (1, H, W) uint8."""
Transform = Callable[[torch.Tensor, torch.Tensor], Pair]
PRECISIONS = {"fp32": "32-true", "tf32": "32-true", "bf16": "bf16-mixed"}
WARM_UP, TIMED, HEARD = range(3)  # epochs
BATCHES_AHEAD = 4  # of each worker
SAMPLES_ASIDE = 8  # images whose augmentation is timed in one process


class Augmented(Dataset[Pair]):
    """Slices in memory, each transformed when it is asked for."""

    def __init__(self, cases: Cases, transform: Transform) -> None:
        self.images, self.masks = tensors(cases)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Pair:
        return self.transform(self.images[index], self.masks[index])


def tensors(cases: Cases) -> Pair:
    """All images (N, 1, H, W) float32 and masks (N, 1, H, W) uint8."""
    images, masks = torch.from_numpy(cases.images), torch.from_numpy(cases.masks)
    return images[:, None], masks.to(torch.uint8)[:, None]


class Model(LightningModule):
    """MONAI's U-Net and Tversky loss under Adam; clock hears the forward pass in epoch HEARD."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.network, self.loss = job.network(), thesis_tversky(ALPHA, job.recipe.loss)
        self.recipe, self.clock = job.recipe, Clock(job.device)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images)  # type: ignore[no-any-return]

    def training_step(self, batch: Pair, index: int) -> torch.Tensor:
        with self.clock("forward") if self.current_epoch == HEARD else nullcontext():
            return self.loss(self(batch[0]).float(), batch[1].float())  # type: ignore[no-any-return]

    def validation_step(self, batch: Pair, index: int) -> None:
        """Log loss and Dice at p > 0.5, as this repository's validation computes them."""
        logits, truth = self(batch[0]).float(), batch[1][:, 0] > 0
        marked = tumour_probability(logits, self.recipe.loss.activation) > 0.5
        overlap = (marked & truth).sum(dim=(1, 2))
        sizes = marked.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
        self.log("val_loss", self.loss(logits, batch[1].float()))
        dice = torch.where(sizes > 0, 2 * overlap / sizes.clamp(min=1), 1.0)
        self.log("val_dice", dice.mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.recipe.training.learning_rate)


class Watch(Callback):
    """Times every epoch from its start to its last step; hears the parts of the last."""

    def __init__(self, model: Model) -> None:
        self.clock = model.clock
        self.train_seconds, self.val_seconds = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        self.memory = peak(self.clock.device)
        self.begun = self.mark = 0.0

    def _lap(self, trainer: Any, label: str | None = None) -> None:
        """In the epoch that is listened to, add the time since the last lap to a label."""
        if trainer.current_epoch == HEARD:
            now = self.clock.now()
            if label:
                self.clock.seconds[label] += now - self.mark
            self.mark = now

    def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
        self.begun = self.mark = self.clock.now()

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self._lap(trainer, "data")

    def on_before_backward(self, trainer: Any, *_: Any) -> None:
        self._lap(trainer)

    def on_after_backward(self, trainer: Any, module: Any) -> None:
        self._lap(trainer, "backward")

    def on_before_optimizer_step(self, trainer: Any, *_: Any) -> None:
        self._lap(trainer)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        self._lap(trainer, "step")
        if trainer.is_last_batch:
            self.train_seconds[trainer.current_epoch] = self.clock.now() - self.begun

    def on_validation_start(self, trainer: Any, module: Any) -> None:
        self.mark = self.clock.now()

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        self.val_seconds[trainer.current_epoch] = self.clock.now() - self.mark
        self.memory = peak(self.clock.device)  # the workers are still there


def measure(
    job: Job, transform: Transform, worker_init: Callable[[int], None] | None = None
) -> Measurement:
    """Fit for a warm-up epoch, a timed one and, where the split is asked for, one to listen to."""
    advice = "lightning|torch.utils.data"  # on loggers and workers
    warnings.filterwarnings("ignore", module=advice)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    precision, card = job.recipe.training.precision, job.device.startswith("cuda")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    slices, batch = Augmented(job.train, transform), job.recipe.training.batch_size
    loading: dict[str, Any] = {"num_workers": job.workers, "worker_init_fn": worker_init}
    if job.workers:
        loading |= {"prefetch_factor": BATCHES_AHEAD, "persistent_workers": True}
    train = DataLoader(slices, batch, shuffle=True, pin_memory=card, **loading)
    val = DataLoader(TensorDataset(*tensors(job.val)), batch, pin_memory=card)
    model = Model(job)
    watch = Watch(model)
    Trainer(
        accelerator="gpu" if card else "cpu",
        devices=[int(job.device.partition(":")[2] or 0)] if card else 1,
        precision=PRECISIONS[precision],
        max_epochs=HEARD + 1 if job.split else TIMED + 1,
        benchmark=card,
        callbacks=[watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    ).fit(model, train, val)
    n, m, val_seconds = len(job.train), len(job.val), watch.val_seconds[TIMED]
    result = Measurement(n, watch.train_seconds[TIMED], m, val_seconds, watch.memory)
    if not job.split:
        return result
    heard = {**model.clock.seconds, "validation": val_seconds}
    parts = split(heard, watch.train_seconds[HEARD], n, m)
    return replace(result, split={**parts, ASIDE: _aside(slices)})


def _aside(slices: Augmented) -> float:
    """Milliseconds that transforming an image takes one process with one thread."""
    torch.set_num_threads(1)
    slices[0]
    clock, some = Clock("cpu"), range(min(SAMPLES_ASIDE, len(slices)))
    with clock("augmentation"):
        for index in some:
            slices[index]
    return 1000 * clock.seconds["augmentation"] / len(some)
