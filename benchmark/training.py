"""The one loop that trains a network: epochs, early stopping, checkpoints."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmark import augment
from benchmark.arm import Cases, FitReport, FloatImages, ProbMaps, RunContext
from benchmark.errors import ArmError, RecordError
from benchmark.losses import thesis_tversky, tumour_probability
from benchmark.seeding import epoch_order, torch_seed
from benchmark.stopping import EarlyStopping

CPU_PIXELS_PER_PASS = 2 * 512 * 512  # larger passes leave the cache
OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
COLLAPSED_BELOW = 0.1  # mean validation Dice; all-tumour outlines score about 0.03 here, all-background 0


@dataclass
class State:
    """What a checkpoint holds. Random streams need none: they are functions of (seed, epoch, step)."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    stopping: EarlyStopping
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write everything atomically."""
        temporary = path.with_suffix(".tmp")
        content = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "stopping": asdict(self.stopping),
            "best_weights": self.best_weights,
            "history": self.history,
        }
        with temporary.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)

    def load(self, path: Path, device: str) -> None:
        """Restore everything; only tensors and plain values are read, never code."""
        try:
            content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise RecordError(f"{path}: cannot be read; remove it to start this training over") from error
        self.model.load_state_dict(content["model"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.stopping = EarlyStopping(**content["stopping"])
        self.best_weights = content["best_weights"]
        self.history = content["history"]


def train_network(model: nn.Module, alpha: float, train: Cases, val: Cases, context: RunContext) -> FitReport:
    """Train to the stopping rule and leave the best epoch's weights in the model.

    Goes on from context.checkpoint where that file exists. Raises `ArmError` if the loss
    stops being a finite number.
    """
    recipe, device = context.recipe, context.device
    model.to(device)
    loss = thesis_tversky(alpha, recipe.loss)
    state = State(
        model,
        OPTIMISERS[recipe.training.optimiser](model.parameters(), lr=recipe.training.learning_rate),
        EarlyStopping(recipe.training.patience),
    )
    if context.checkpoint and context.checkpoint.exists():
        state.load(context.checkpoint, device)
        context.on_epoch(state.history)
    whole = recipe.loss.pool_batch or any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules())
    per_pass = images_per_pass(train.images.shape[1:], recipe.training.batch_size, device, whole)
    resident = (_on(train.images, device), _on(train.masks, device))
    saved = time.monotonic()
    while not state.stopping.stop and state.stopping.epoch + 1 < recipe.training.max_epochs:
        epoch = state.stopping.epoch + 1
        with _stopwatch(device) as clock:
            train_loss = _one_epoch(state, loss, resident, train, context, epoch, per_pass)
            val_loss, val_dice = validate(model, loss, val, context, per_pass)
        row = {"epoch": epoch, "train_loss": train_loss, "val_loss": val_loss, "val_dice": val_dice, **clock}
        if not np.isfinite([train_loss, val_loss]).all():
            raise ArmError(
                f"epoch {epoch}: train loss {train_loss}, validation loss {val_loss}; try a lower learning rate"
            )
        state.history.append(row)
        state.stopping = state.stopping.after(val_dice if recipe.training.monitor == "val_dice" else -val_loss)
        if state.stopping.improved:
            state.best_weights = copy.deepcopy(model.state_dict())
        if context.checkpoint and time.monotonic() - saved >= context.checkpoint_every_seconds:
            state.save(context.checkpoint)
            saved = time.monotonic()
        context.on_epoch(state.history)
    model.load_state_dict(state.best_weights)
    return _report(state, train, per_pass)


def _report(state: State, train: Cases, per_pass: int) -> FitReport:
    best = state.history[state.stopping.best_epoch]
    return FitReport(
        facts={
            "best_epoch": state.stopping.best_epoch,
            "stop_epoch": state.stopping.epoch,
            "stopped_early": state.stopping.stop,
            "val_dice": best["val_dice"],
            "val_loss": best["val_loss"],
            "collapsed": best["val_dice"] < COLLAPSED_BELOW,
            "images_per_pass": per_pass,
        },
        history=state.history,
        parameters=sum(p.numel() for p in state.model.parameters() if p.requires_grad),
        train_gflop_per_image=gflop_per_image(state.model, train.images.shape[1:]),
    )


def _one_epoch(
    state: State,
    loss: nn.Module,
    resident: tuple[torch.Tensor, torch.Tensor],
    train: Cases,
    context: RunContext,
    epoch: int,
    per_pass: int,
) -> float:
    """Visit every training slice once, augmented anew; return the mean loss per image."""
    recipe, total = context.recipe, 0.0
    order = epoch_order(context.seed, epoch, len(train))
    size = recipe.training.batch_size
    state.model.train()
    for step, start in enumerate(range(0, len(order), size)):
        batch = order[start : start + size]
        torch.manual_seed(torch_seed(context.seed, "dropout", epoch, step))
        state.optimiser.zero_grad(set_to_none=True)
        for first in range(0, len(batch), per_pass):
            rows = batch[first : first + per_pass]
            table = augment.draw(recipe.augmentation, context.seed, epoch, train.slice_id[rows])
            index = torch.from_numpy(rows).to(context.device)
            images, masks = augment.apply(table, resident[0][index], resident[1][index], train.spacing_mm)
            with arithmetic(recipe.training.precision, context.device):
                logits = state.model(images[:, None])
            value = loss(logits.float(), masks[:, None].float()) * (len(rows) / len(batch))
            value.backward()
            total += float(value.detach()) * len(batch)
        state.optimiser.step()
    return total / len(order)


@torch.inference_mode()
def validate(model: nn.Module, loss: nn.Module, val: Cases, context: RunContext, per_pass: int) -> tuple[float, float]:
    """Return (mean loss, mean Dice at p > 0.5), each the mean over validation images."""
    model.eval()
    losses, dices = 0.0, 0.0
    for start in range(0, len(val), per_pass):
        images = _on(val.images[start : start + per_pass], context.device)
        truth = _on(val.masks[start : start + per_pass], context.device)
        with arithmetic(context.recipe.training.precision, context.device):
            logits = model(images[:, None]).float()
        losses += float(loss(logits, truth[:, None].float())) * len(images)
        predicted = tumour_probability(logits, context.recipe.loss.activation) > 0.5
        overlap = (predicted & truth).sum(dim=(1, 2))
        sizes = predicted.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
        dices += float(torch.where(sizes > 0, 2 * overlap / sizes.clamp(min=1), 1.0).double().sum())
    return losses / len(val), dices / len(val)


@torch.inference_mode()
def predict_network(model: nn.Module, images: FloatImages, context: RunContext) -> ProbMaps:
    """(N, H, W) float32 in [-1, 1] -> (N, H, W) float32 tumour probability."""
    device, recipe = context.device, context.recipe
    model.to(device).eval()
    maps = np.empty(images.shape, dtype=np.float32)
    per_pass = images_per_pass(images.shape[1:], 16, device, whole=False)
    for start in range(0, len(images), per_pass):
        batch = _on(images[start : start + per_pass], device)
        with arithmetic(recipe.training.precision, device):
            logits = model(batch[:, None]).float()
        maps[start : start + per_pass] = tumour_probability(logits, recipe.loss.activation).cpu().numpy()
    return maps


def images_per_pass(shape: tuple[int, ...], batch_size: int, device: str, whole: bool) -> int:
    """How many images go through the network at once; the rest of a batch follows, gradients summed.

    Instance norm and a per-image loss make the gradient the same. Batch norm, or a loss
    pooled over the batch, needs the whole batch in one pass.
    """
    if whole or not device.startswith("cpu"):
        return batch_size
    return max(1, min(batch_size, CPU_PIXELS_PER_PASS // (shape[0] * shape[1])))


@contextlib.contextmanager
def arithmetic(precision: str, device: str) -> Any:
    """Compute in fp32, tf32 (NVIDIA cards only; plain fp32 elsewhere) or bf16 autocast."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    kind = device.partition(":")[0]
    with torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bf16"):
        yield


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


def gflop_per_image(model: nn.Module, shape: tuple[int, ...]) -> float:
    """Count the GFLOP of one forward and backward pass of one image, on shapes alone."""
    from torch.utils.flop_counter import FlopCounterMode

    shadow = copy.deepcopy(model).to("meta").train()
    with FlopCounterMode(display=False) as counter:
        shadow(torch.empty(1, 1, *shape, device="meta")).sum().backward()
    return counter.get_total_flops() / 1e9


def _on(array: np.ndarray, device: str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)
