"""How a training is carried out on a device: choices of speed and memory, not of mathematics."""

from __future__ import annotations

from dataclasses import dataclass

CPU_PIXELS_PER_PASS = 2 * 512 * 512  # a larger pass takes more memory and is no faster
CPU_PIXELS_PER_LOOK = 2 * 512 * 512
CUDA_BATCHES_PER_AUGMENTATION = 8
CUDA_IMAGES_PER_LOOK = 64


@dataclass(frozen=True)
class Execution:
    """Each choice changes a result by rounding alone; tests hold every one against `PLAIN`.

    But random layers other than `nn.Dropout`, where a network has such, draw by the pass.

    images_per_pass go through the network together in training, and the rest of a batch
    follows, gradients summed; images_per_look without gradients. images_per_augmentation are
    augmented together. cuda_graph: a pass is captured once and replayed.
    """

    images_per_pass: int = 1
    images_per_look: int = 1
    images_per_augmentation: int = 1
    channels_last: bool = False
    cuda_graph: bool = False


PLAIN = Execution()


def choose(
    device: str, precision: str, shape: tuple[int, ...], batch_size: int, whole: bool
) -> Execution:
    """Return the choices for a device and images of one (H, W) shape.

    whole: the network mixes the images of a batch (batch norm, or a loss pooled over the
    batch), so that a batch must go through in one pass.
    """
    pixels = shape[0] * shape[1]
    if device.startswith("cuda"):
        return Execution(
            images_per_pass=batch_size,
            images_per_look=batch_size if whole else CUDA_IMAGES_PER_LOOK,
            images_per_augmentation=CUDA_BATCHES_PER_AUGMENTATION * batch_size,
            channels_last=precision != "fp32",
            cuda_graph=True,
        )
    few = max(1, min(batch_size, CPU_PIXELS_PER_PASS // pixels))
    return Execution(
        images_per_pass=batch_size if whole else few,
        images_per_look=batch_size if whole else max(1, CPU_PIXELS_PER_LOOK // pixels),
        images_per_augmentation=few,
    )
