"""The thesis's own tools: TorchIO transforms a sample, in the protocol's order and strength."""

from __future__ import annotations

import numpy as np
import SimpleITK
import torch
import torchio

from benchmark.protocol import Augmentation
from benchmark.training.augment import BLACK
from performance.job import Job, Measurement
from performance.peers import lightning_peer
from performance.peers.lightning_peer import Pair

THICKNESS_MM = 6.0  # of a slice; TorchIO wants three sides


def measure(job: Job) -> Measurement:
    """Time TorchIO's transforms, Lightning and MONAI's network."""
    transform = Transform(job.recipe.augmentation, job.train.spacing_mm)
    return lightning_peer.measure(job, transform, _one_thread)


class Transform:
    """A slice as a volume one pixel deep, through TorchIO and back."""

    def __init__(self, s: Augmentation, spacing_mm: tuple[float, float]) -> None:
        low, high, turn, shake = 1 - s.scale, 1 + s.scale, s.rotation_degrees, s.motion_degrees
        scales, degrees = (low, high, low, high, 1, 1), (0, 0, 0, 0, -turn, turn)
        points, mm, change = s.elastic_control_points, s.elastic_mm, _Change(s.intensity_change)
        self.affine = np.diag([*spacing_mm, THICKNESS_MM, 1.0])
        self.transform = torchio.Compose(
            [
                torchio.RandomAffine(scales, degrees, default_pad_value=BLACK, p=s.affine_p),
                torchio.RandomElasticDeformation(points, (mm, mm, 0), p=s.elastic_p),
                torchio.RandomMotion(degrees=shake, translation=s.motion_mm, p=s.motion_p),
                torchio.RandomBiasField(s.bias_coefficient, order=s.bias_order, p=s.bias_p),
                torchio.Lambda(change, types_to_apply=[torchio.INTENSITY], p=s.intensity_p),
                torchio.RandomNoise(std=(0, s.noise_sd), p=s.noise_p),
            ]
        )

    def __call__(self, image: torch.Tensor, mask: torch.Tensor) -> Pair:
        subject = torchio.Subject(
            image=torchio.ScalarImage(tensor=image[..., None], affine=self.affine),
            mask=torchio.LabelMap(tensor=mask[..., None], affine=self.affine),
        )
        changed = self.transform(subject)
        return changed.image.data[..., 0], changed.mask.data[..., 0]


class _Change:
    """Multiply the intensity above black by a new random factor."""

    def __init__(self, most: float) -> None:
        self.most = most

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        return (tensor - BLACK) * (1 + self.most * float(2 * torch.rand(()) - 1)) + BLACK


def _one_thread(worker: int) -> None:
    """ITK starts a thread per core in every worker unless told otherwise."""
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
