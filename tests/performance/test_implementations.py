"""What each implementation measures, on which slices, and what the machine could do at most."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from bench_forms import small_recipe
from torch import nn

from baselines.unet import UNetArm
from benchmark.arm import Cases
from benchmark.errors import SpecError
from benchmark.training import layers, loop, step
from benchmark.training.seeding import torch_seed
from performance import bare, memory, peak, process
from performance.clock import ASIDE
from performance.implementations import CHANGES, GROUPS, IMPLEMENTATIONS, MAIN, WAYS, job_fields
from performance.job import SEED, Job, Measurement
from performance.workload import Workload, prepare

pytestmark = pytest.mark.slow

PEERS = [name for name, entry in IMPLEMENTATIONS.items() if entry.loads]
ALONE = [  # compile needs a compiler; ways of sharing cores are ours in other processes
    name for name in IMPLEMENTATIONS if name not in (*PEERS, "bare:compile", *GROUPS["waiting"][1:])
]
LABELS = {"forward", "backward", "step", "other", "validation"}


def need_the_speed_extra() -> None:
    for package in ("lightning", "torchio"):
        pytest.importorskip(package, reason="the peers need the speed extra")


def measured(name: str, job: Job) -> Measurement:
    entry = IMPLEMENTATIONS[name]
    return import_module(entry.target).measure(replace(job, **entry.fields))


@pytest.mark.parametrize("name", ALONE)
def test_an_implementation_measures_every_image_once(name: str, job: Job) -> None:
    """The split is left out unless asked for."""
    heard = step.record_function, loop.record_function
    result = measured(name, job)
    assert (result.train_images, result.val_images) == (len(job.train), len(job.val))
    assert min(result.train_seconds, result.val_seconds) > 0
    assert result.memory.process
    assert set(result.split) >= LABELS
    assert ("augmentation" in result.split) == (name == "ours")
    assert min(result.split.values()) >= 0
    assert (step.record_function, loop.record_function) == heard  # nothing goes on listening
    assert measured(name, replace(job, split=False)).split == {}


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_measures_every_image_once(name: str, job: Job) -> None:
    need_the_speed_extra()
    result = process.run(replace(job, target=IMPLEMENTATIONS[name].target, workers=1))
    assert (result.train_images, result.val_images) == (len(job.train), len(job.val))
    assert set(result.split) == {"data", ASIDE, *LABELS}
    assert result.memory.worker or sys.platform != "linux"


@pytest.mark.parametrize("module", ["torchio_peer", "monai_peer"])
def test_a_peer_moves_image_and_mask_together(module: str, job: Job) -> None:
    """Where only the tumour is bright, it is bright where the mask is, after any transform."""
    need_the_speed_extra()
    peer = import_module(f"performance.peers.{module}")
    still = replace(job.recipe.augmentation, motion_p=0.0, bias_p=0.0, intensity_p=0.0, noise_p=0.0)
    spacing: tuple[Any, ...] = (job.train.spacing_mm,)
    sizes = (64, job.train.spacing_mm[0]) if module == "monai_peer" else spacing
    mask = torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[:, 20:44, 16:40] = 1
    image, moved = peer.Transform(still, *sizes)(mask * 2.0 - 1, mask)
    assert image.shape == moved.shape == mask.shape
    assert image.dtype == torch.float32
    assert set(moved.unique().tolist()) == {0, 1}
    assert not torch.equal(moved, mask)
    assert ((image > 0) != (moved > 0)).sum() < 0.1 * moved.sum()


@dataclass(frozen=True, eq=False)
class Watched(Job):
    """A job that keeps what the weights of each network are when its first image comes."""

    begun: list[dict[str, torch.Tensor]] = field(default_factory=list)

    def network(self) -> nn.Module:
        model, seen = super().network(), list[bool]()

        def keep(module: nn.Module, images: tuple[torch.Tensor]) -> None:
            if not seen and not images[0].is_meta:  # counting the work of an image needs none
                seen.append(True)
                state = module.state_dict()
                self.begun.append({name: weight.clone() for name, weight in state.items()})

        model.register_forward_pre_hook(keep)
        return model


@pytest.mark.parametrize("name", MAIN)
def test_the_networks_of_all_implementations_begin_alike(name: str, job: Job) -> None:
    """Each trains from the weights that the arm takes from the job's seed."""
    if name in PEERS:
        need_the_speed_extra()
    watched = Watched("", job.train, job.val, job.recipe, kernel_size=3)
    measured(name, watched)
    torch.manual_seed(torch_seed(SEED, "weights"))
    expected = UNetArm(kernel_size=3).build(job.recipe.network).state_dict()
    (first,) = watched.begun
    assert first.keys() == expected.keys()
    assert all(torch.equal(first[weight], expected[weight]) for weight in expected)


EAGER = {"passes": 4, "looks": 4, "dropout": {nn.Dropout}, "prelu": {nn.PReLU}, "fused": False}
EAGER |= {"norm": {nn.InstanceNorm2d}}


@pytest.mark.parametrize(
    ("name", "differs"),
    [
        *(("bare:batch-at-once", {"passes": 4}), ("bare:pass-1", {"passes": 1})),
        *(("bare:pass-4", {"passes": 4}), ("bare:look-16", {"looks": 16})),
        ("bare:torch-dropout", {"dropout": {nn.Dropout}}),
        ("bare:torch-prelu", {"prelu": {nn.PReLU}}),
        ("bare:torch-norm", {"norm": {nn.InstanceNorm2d}}),
        ("bare:as-it-was", {"norm": {nn.InstanceNorm2d}}),
        *(("bare:plain-adam", {"fused": False}), ("bare:channels-last", {"last": True})),
        ("monai-eager", EAGER),
    ],
)
def test_a_change_changes_what_it_says(name: str, differs: dict[str, object], job: Job) -> None:
    """Nothing else of a step differs from the bare network's, of which a pass has two images."""
    images, masks = np.zeros((4, 512, 512), np.float32), np.zeros((4, 512, 512), bool)
    large = replace(job, train=Cases(images, masks, np.arange(4), (1.0, 1.0)))

    def traits(job: Job) -> dict[str, object]:
        step = bare.step_for(job)
        weights = [weight for weight in step.model.parameters() if weight.ndim == 4]
        last = {"memory_format": torch.channels_last}
        kinds = {type(layer) for layer in step.model.modules()}
        return {
            "passes": step.execution.images_per_pass,
            "looks": step.execution.images_per_look,
            "dropout": kinds & {layers.KeyedDropout, nn.Dropout},
            "prelu": kinds & {layers.LightPReLU, nn.PReLU},
            "norm": kinds & {layers.LightInstanceNorm, nn.InstanceNorm2d},
            "fused": step.optimiser.defaults["fused"],
            "last": any(w.is_contiguous(**last) for w in weights if w.shape[1] > 1),
        }

    plain, changed = traits(large), traits(replace(large, **IMPLEMENTATIONS[name].fields))
    assert {trait: changed[trait] for trait in plain if plain[trait] != changed[trait]} == differs


def test_groups_stand_for_their_members() -> None:
    changed = [f"bare:{change}" for change in CHANGES]
    assert list(job_fields(["tried"], [0])) == ["bare", "bare:as-it-was", *changed]
    assert list(job_fields(["waiting", "ours"], [0])) == ["ours", *(f"ours:{way}" for way in WAYS)]


def test_an_unknown_implementation_is_told_the_known_ones() -> None:
    known = r"unknown implementation 'ourz'; known: bare, bare:as-it-was, .*, torchio"
    with pytest.raises(SpecError, match=known):
        job_fields(["ourz"], (1,))


def test_a_round_has_whole_batches_and_validation_to_match(workload: Workload) -> None:
    """192 phantoms: 29 to test, 33 of 163 to validate; 8 of 130 match 8 x 33 / 130 = 2.03, so 2."""
    assert (workload.epoch_train, workload.epoch_val, workload.slices) == (130, 33, 192)
    assert (len(workload.train), len(workload.val)) == (8, 2)
    assert workload.phantom
    eleven = prepare("phantoms", 64, 11, small_recipe())
    assert np.array_equal(eleven.train.slice_id, workload.train.slice_id)  # the same every time
    assert len(prepare("phantoms", 64, None, small_recipe()).train) == 128


def test_the_peak_is_the_rate_of_the_best_shape() -> None:
    """A product of 64 x 64 is 2 x 64**3 operations, here after at least 0.01 s of idling."""
    names = [name for name, _ in peak.works("cpu", torch.float32, (16, 24), ((2, 4, 8, 3),))]
    assert len(set(names)) == 4
    a = torch.ones(64, 64)
    idling = ("idling", lambda: (time.sleep(0.01), a @ a))
    most = 2 * 64**3 / 0.01 / 1e9
    assert most / 5 < peak.best([idling], seconds=0.1).gflop_per_second <= most
    assert peak.best([idling, ("product", lambda: a @ a)], seconds=0.01).shape == "product"


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_private_memory_is_less_than_all() -> None:
    whole, own = memory.kernel_mib("self", "status", "VmHWM"), memory.private_peak(os.getpid())
    assert whole
    assert own
    assert 0 < own < whole
    assert memory.private_peak(None) is None  # no such process
