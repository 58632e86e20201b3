"""The same peer with MONAI's dictionary transforms.

MONAI has nothing like TorchIO's motion, which is left out; affine and elastic go through
one resampling. Both favour this peer. Metadata are not tracked: MetaTensor is slow.
"""

from __future__ import annotations

import math

import torch
from monai.data.meta_obj import set_track_meta
from monai.data.utils import worker_init_fn
from monai.transforms.compose import Compose
from monai.transforms.intensity import dictionary as intensity
from monai.transforms.spatial.dictionary import Rand2DElasticd

from benchmark.protocol import Augmentation
from performance.job import Job, Measurement
from performance.peers import lightning_peer
from performance.peers.lightning_peer import Pair


def measure(job: Job) -> Measurement:
    """Time MONAI's transforms, Lightning and MONAI's network."""
    set_track_meta(False)
    rows = job.train.shape[0]
    transform = Transform(job.recipe.augmentation, rows, job.train.spacing_mm[0])
    return lightning_peer.measure(job, transform, worker_init_fn)


class Transform:
    """The protocol's strengths in MONAI's units; control points as far apart as TorchIO's."""

    def __init__(self, s: Augmentation, rows: int, mm: float) -> None:
        apart = max(2, rows // (s.elastic_control_points - 3))  # pixels between control points
        most, bias = s.elastic_p * s.elastic_mm / mm, (-s.bias_coefficient, s.bias_coefficient)
        self.transform = Compose(
            [
                Rand2DElasticd(
                    keys=("image", "mask"),
                    spacing=apart,
                    magnitude_range=(0, most),
                    prob=max(s.affine_p, s.elastic_p),
                    rotate_range=math.radians(s.rotation_degrees),
                    scale_range=(s.scale, s.scale),
                    mode=("bilinear", "nearest"),
                    padding_mode=("border", "zeros"),
                ),
                intensity.RandBiasFieldd(
                    "image", degree=s.bias_order, coeff_range=bias, prob=s.bias_p
                ),
                intensity.RandScaleIntensityd(
                    "image", factors=s.intensity_change, prob=s.intensity_p
                ),
                intensity.RandGaussianNoised("image", std=s.noise_sd, prob=s.noise_p),
            ]
        )

    def __call__(self, image: torch.Tensor, mask: torch.Tensor) -> Pair:
        changed = self.transform({"image": image, "mask": mask})
        return changed["image"], changed["mask"].to(torch.uint8)
