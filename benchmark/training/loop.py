"""The one loop that trains a network: epochs, early stopping, checkpoints."""

from __future__ import annotations

import contextlib
import copy
import itertools
import pickle
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.profiler import record_function

from benchmark.arm import Cases, FitReport, FloatImages, ProbMaps, RunContext
from benchmark.errors import ArmError, RecordError
from benchmark.protocol import Recipe
from benchmark.storage.atomic import replacing
from benchmark.training import augment
from benchmark.training.device import Resident, current, on_device
from benchmark.training.early_stopping import EarlyStopping
from benchmark.training.execution import Execution, choose
from benchmark.training.layers import dropout_keys, replace_layers
from benchmark.training.losses import pools_batch, thesis_tversky, tumour_probability
from benchmark.training.seeding import epoch_order, torch_seed
from benchmark.training.step import Pass, Step, autocast, tf32

Rows = NDArray[np.int64]  # (b,) rows of the training slices
OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
COLLAPSED_BELOW = 0.1  # mean validation Dice; all-tumour outlines score 0.03, all-background 0


@dataclass
class TrainingState:
    """What a checkpoint holds; random streams need none, being functions of (seed, epoch, step)."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    stopping: EarlyStopping
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write everything atomically."""
        content = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "stopping": asdict(self.stopping),
            "best_weights": self.best_weights,
            "history": self.history,
        }
        with replacing(path) as stream:
            torch.save(content, stream)

    def load(self, path: Path, device: str) -> None:
        """Restore everything; only tensors and plain values are read, never code."""
        try:
            content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            cure = "remove it to start this training over"
            raise RecordError(f"{path}: cannot be read; {cure}") from error
        self.model.load_state_dict(content["model"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.stopping = EarlyStopping(**content["stopping"])
        self.best_weights = content["best_weights"]
        self.history = content["history"]


def train_network(
    model: nn.Module,
    alpha: float,
    train: Cases,
    val: Cases,
    context: RunContext,
    execution: Execution | None = None,
    loss: nn.Module | None = None,
) -> FitReport:
    """Train to the stopping rule and leave the best epoch's weights in the model.

    Goes on from context.checkpoint where that file exists. The model's dropout and PReLU
    layers are replaced by cheaper ones. execution: by default what suits the device; loss: by
    default the thesis's with alpha.
    Raises `ArmError` if the loss stops being a finite number.
    """
    loss = loss or thesis_tversky(alpha, context.recipe.loss)
    pooled = pools_batch(loss)
    how = execution or execution_for(model, train.shape, context.recipe, context.device, pooled)
    with current(context.device):
        return _train(model, loss, train, val, context, how)


def _train(
    model: nn.Module, loss: nn.Module, train: Cases, val: Cases, context: RunContext, how: Execution
) -> FitReport:
    settings, device = context.recipe.training, context.device
    gflop = _counted(replace_layers(model), train.shape)
    model.to(device)
    if how.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = OPTIMISERS[settings.optimiser](
        model.parameters(), lr=settings.learning_rate, fused=True
    )
    state = TrainingState(model, optimiser, EarlyStopping(settings.patience))
    if context.checkpoint and context.checkpoint.exists():
        state.load(context.checkpoint, device)
        context.on_epoch(state.history)
    step = Step(model, loss, optimiser, settings.precision, device, how)
    learn_from, look_at = Resident.of(train, device), Resident.of(val, device)
    saved = time.monotonic()
    while not state.stopping.stop and state.stopping.epoch + 1 < settings.max_epochs:
        epoch = state.stopping.epoch + 1
        with _stopwatch(device) as clock:
            train_loss = _one_epoch(step, learn_from, train, context, epoch)
            val_loss, val_dice = validate(model, loss, look_at, context, how.images_per_look)
        if not np.isfinite([train_loss, val_loss]).all():
            losses = f"train loss {train_loss}, validation loss {val_loss}"
            raise ArmError(f"epoch {epoch}: {losses}; try a lower learning rate")
        means = {"train_loss": train_loss, "val_loss": val_loss, "val_dice": val_dice}
        state.history.append({"epoch": epoch, **means, **clock})
        monitored = val_dice if settings.monitor == "val_dice" else -val_loss
        state.stopping = state.stopping.after(monitored)
        if state.stopping.improved:
            state.best_weights = copy.deepcopy(model.state_dict())
        leaving = context.leaving()  # before anything is written: it says so where the run was lost
        due = time.monotonic() - saved >= context.checkpoint_every_seconds
        if context.checkpoint and (due or leaving):
            state.save(context.checkpoint)
            saved = time.monotonic()
        context.on_epoch(state.history)
    model.load_state_dict(state.best_weights)
    optimiser.zero_grad()  # gradients may lie in a captured graph's memory
    return _report(state, how, gflop)


def execution_for(
    model: nn.Module, shape: tuple[int, ...], recipe: Recipe, device: str, pooled: bool = False
) -> Execution:
    """Return what suits a device; running statistics or a pooled loss ask for whole batches.

    pooled: the loss pools the batch, whatever the recipe says.
    """
    kinds = nn.modules.batchnorm
    norms = [layer for layer in model.modules() if isinstance(layer, kinds._NormBase)]
    mixing = any(isinstance(norm, kinds._BatchNorm) or norm.track_running_stats for norm in norms)
    whole, settings = pooled or recipe.loss.pool_batch or mixing, recipe.training
    return choose(device, settings.precision, shape, settings.batch_size, whole)


def _report(state: TrainingState, how: Execution, gflop: float | None) -> FitReport:
    best = state.history[state.stopping.best_epoch]
    return FitReport(
        facts={
            "best_epoch": state.stopping.best_epoch,
            "stop_epoch": state.stopping.epoch,
            "stopped_early": state.stopping.stop,
            "val_dice": best["val_dice"],
            "val_loss": best["val_loss"],
            "collapsed": best["val_dice"] < COLLAPSED_BELOW,
            **asdict(how),
        },
        history=state.history,
        parameters=sum(p.numel() for p in state.model.parameters() if p.requires_grad),
        train_gflop_per_image=gflop,
    )


def _one_epoch(
    step: Step, resident: Resident, train: Cases, context: RunContext, epoch: int
) -> float:
    """Visit every training slice once, augmented anew; return the mean loss per image."""
    step.model.train()
    order = epoch_order(context.seed, epoch, len(train))
    size, per_pass = context.recipe.training.batch_size, step.execution.images_per_pass
    batches = _cut(order, size)
    passes = [_cut(batch, per_pass) for batch in batches]
    flow = augmented(step, resident, train, list(itertools.chain(*passes)), context, epoch)
    total = torch.zeros((), dtype=torch.float64, device=context.device)
    for number, batch in enumerate(batches):
        torch.manual_seed(torch_seed(context.seed, "other", epoch, number))
        total += step(itertools.islice(flow, len(passes[number])), len(batch)) * len(batch)
    return float(total) / len(order)


def _cut(rows: Rows, size: int) -> list[Rows]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def augmented(
    step: Step,
    resident: Resident,
    train: Cases,
    passes: Sequence[Rows],
    context: RunContext,
    epoch: int,
) -> Iterator[Pass]:
    """Yield the passes of an epoch, each of these rows of train; several are augmented at once."""
    together = max(1, step.execution.images_per_augmentation // step.execution.images_per_pass)
    for first in range(0, len(passes), together):
        group = passes[first : first + together]
        with record_function("augmentation"):
            rows = np.concatenate(group)
            settings, numbers = context.recipe.augmentation, train.slice_id[rows]
            table = augment.sample(settings, context.seed, epoch, numbers)
            index = on_device(rows, context.device)
            pictures, truth = resident.images(index), resident.masks[index]
            images, masks = augment.apply(table, pictures, truth, train.spacing_mm)
            drawn = dropout_keys(step.model, context.seed, epoch, numbers)
            keys = on_device(drawn, context.device)
        sizes = [len(rows) for rows in group]
        yield from zip(images.split(sizes), masks.split(sizes), keys.split(sizes), strict=True)


@torch.inference_mode()
def validate(
    model: nn.Module, loss: nn.Module, val: Resident, context: RunContext, at_once: int
) -> tuple[float, float]:
    """Return (mean loss, mean Dice at p > 0.5), each the mean over validation images."""
    model.eval()
    sums = torch.zeros(2, dtype=torch.float64, device=context.device)
    with record_function("validation"):
        for rows in torch.arange(len(val.masks), device=context.device).split(at_once):
            images, truth = val.images(rows), val.masks[rows]
            logits = _logits(model, images, context)
            predicted = tumour_probability(logits, context.recipe.loss.activation) > 0.5
            overlap = (predicted & truth).sum(dim=(1, 2))
            sizes = predicted.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
            sums[0] += loss(logits, truth[:, None].float()) * len(images)
            sums[1] += torch.where(sizes > 0, 2 * overlap / sizes.clamp(min=1), 1.0).double().sum()
        mean_loss, mean_dice = (sums / len(val.masks)).tolist()  # the only wait for the device
    return mean_loss, mean_dice


def _logits(model: nn.Module, images: torch.Tensor, context: RunContext) -> torch.Tensor:
    """(B, H, W) -> (B, 2, H, W) float32, in the recipe's precision."""
    precision = context.recipe.training.precision
    with tf32(precision == "tf32"), autocast(precision, context.device):
        return model(images[:, None]).float()  # type: ignore[no-any-return]


@torch.inference_mode()
def predict_network(model: nn.Module, images: FloatImages, context: RunContext) -> ProbMaps:
    """(N, H, W) float32 in [-1, 1] -> (N, H, W) float32 tumour probability."""
    device, recipe = context.device, context.recipe
    model.to(device).eval()
    maps = np.empty(images.shape, dtype=np.float32)
    at_once = execution_for(model, images.shape[1:], recipe, device).images_per_look
    for first in range(0, len(images), at_once):
        rows = slice(first, first + at_once)
        logits = _logits(model, on_device(images[rows], device), context)
        maps[rows] = tumour_probability(logits, recipe.loss.activation).cpu().numpy()
    return maps


@contextlib.contextmanager
def _stopwatch(device: str) -> Any:
    """Fill a dict with wall seconds and, on a GPU, the seconds between two CUDA events."""
    clock: dict[str, float] = {}
    cuda = device.startswith("cuda")
    if cuda:
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        events[0].record()
    start = time.perf_counter()
    yield clock
    if cuda:
        events[1].record()
        torch.cuda.synchronize()
        clock["gpu_seconds"] = events[0].elapsed_time(events[1]) / 1000
    clock["seconds"] = time.perf_counter() - start


def _counted(model: nn.Module, shape: tuple[int, ...]) -> float | None:
    """The GFLOP of an image before training; None for a network that shapes alone do not satisfy.

    Such as one whose layers ask for values, or make tensors on a device of their own.
    """
    try:
        return gflop_per_image(model, shape)
    except Exception:  # whatever a network raises, its training is worth more than its cost
        return None


def gflop_per_image(model: nn.Module, shape: tuple[int, ...]) -> float:
    """Count the GFLOP of one forward and backward pass of one image, on shapes alone."""
    from torch.utils.flop_counter import FlopCounterMode

    shadow = copy.deepcopy(model).to("meta").eval()
    with FlopCounterMode(display=False) as counter:
        shadow(torch.empty(1, 1, *shape, device="meta")).sum().backward()
    return counter.get_total_flops() / 1e9
