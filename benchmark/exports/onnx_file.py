"""A network as ONNX with its probability at the end, held to its own masks before it is kept.

The input is an image that was preprocessed already: the landmarks, and what else that takes, lie
beside it as JSON (docs/models.md has it in NumPy).
"""

from __future__ import annotations

import importlib
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.arm import FloatImages
from benchmark.data.slices import SliceSet
from benchmark.errors import ArmError, DataError, brief
from benchmark.inference.trained_model import TrainedModel
from benchmark.preprocessing import nyul
from benchmark.runs.model_file import ModelState, seen_by
from benchmark.storage.atomic import staging_folder

NETWORK, PREPROCESSING = "model.onnx", "preprocessing.json"
IMAGE, PROBABILITY = "image", "probability"  # names of input and output
OPSET = 18
MOST = 100  # slices it is checked on
ROUNDING = 1e-4  # |p - 0.5| within which two programs may differ in a pixel
INSTALL = "pip install 'meningioma-bench[onnx]'"


def write(model: TrainedModel, slices: SliceSet, folder: Path) -> str:
    """Write `NETWORK` and `PREPROCESSING` into a new folder, and return what was found in a line.

    The file maps image, (1, 1, h, w) float32 in [-1, 1] at the size fed, to probability,
    (1, h, w). It is asked for up to `MOST` of the slices with onnxruntime, and kept where every
    pixel is on the network's side of 0.5, but for those within `ROUNDING` of it. Raises `DataError`
    where the folder exists, `ArmError` for an arm that is no network, one that torch cannot
    export, or one whose file has other masks, and where onnx is not installed, and `OutputError`
    where the disk refuses.
    """
    if folder.exists():
        raise DataError(
            f"{folder}: exists already and is left as it is; choose another folder or remove it"
        )
    packed = exported(model)
    fed = _fed(model, slices)
    differing, near = compared(model.arm.predict(fed), asked(packed, fed))
    if differing:
        raise ArmError(
            f"{model.run_id}: onnxruntime gives another mask than torch at {differing} pixels "
            "that do not lie at p = 0.5; use the run's own folder, or another onnxruntime"
        )
    described = json.dumps(_preprocessing(model), indent=1, allow_nan=False) + "\n"
    with staging_folder(folder.parent, asked=folder) as staging:
        whole = staging / folder.name
        whole.mkdir()
        (whole / NETWORK).write_bytes(packed)
        (whole / PREPROCESSING).write_bytes(described.encode())
        whole.rename(folder)
    kind = "drawn phantoms" if slices.phantom else "slices"
    return (
        f"onnxruntime gives torch's masks on {len(fed)} {kind}, {fed.shape[1]}x{fed.shape[2]}: "
        f"{near} pixels differ, all within {ROUNDING:g} of p = 0.5."
    )


def exported(model: TrainedModel) -> bytes:
    """Return the bytes of the ONNX file of a network arm; `ArmError` for any other arm."""
    import torch
    from torch import nn

    from benchmark.network_arm import NetworkArm
    from benchmark.training.losses import tumour_probability

    _installed("onnx")
    arm = model.arm
    if not isinstance(arm, NetworkArm) or arm.context is None:
        raise ArmError(
            f"{model.run_id}: {type(arm).__name__} is no network; choose a run of a network arm"
        )
    settings = arm.context.recipe
    with torch.random.fork_rng([]):  # as its author built it: our cheaper layers ask for values
        network = arm.build(settings.network)
    network.load_state_dict(arm.state())

    class WithProbability(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return tumour_probability(self.network(image), settings.loss.activation)

    try:
        with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
            # torch prefers an exporter that takes two packages and ten times the time
            warnings.simplefilter("ignore")
            torch.onnx.export(
                WithProbability().eval(),
                (torch.zeros(1, 1, *model.fed),),
                Path(place) / NETWORK,
                input_names=[IMAGE],
                output_names=[PROBABILITY],
                opset_version=OPSET,
                dynamo=False,
            )
            return (Path(place) / NETWORK).read_bytes()
    except Exception as error:  # of a user's network, anything
        raise ArmError(
            f"{model.run_id}: torch cannot write this network as ONNX ({brief(error)}); leave out "
            "what depends on values, or pass on the model's folder (--to model)"
        ) from error


def asked(packed: bytes, fed: FloatImages) -> NDArray[np.float32]:
    """(N, h, w) images -> (N, h, w) tumour probabilities by onnxruntime, one at a time."""
    runtime: Any = _installed("onnxruntime")
    own = runtime.SessionOptions()
    own.intra_op_num_threads = 1
    session = runtime.InferenceSession(packed, own, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {IMAGE: image[None, None]})[0] for image in fed])


def compared(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> tuple[int, int]:
    """Count pixels on two sides of 0.5: beyond rounding (NaN is too), and within it."""
    other = (ours > 0.5) != (theirs > 0.5)
    near = (np.abs(ours - 0.5) <= ROUNDING) & (np.abs(theirs - 0.5) <= ROUNDING)
    unlike = other | ~np.isfinite(theirs)
    return int((unlike & ~near).sum()), int((unlike & near).sum())


def _fed(model: TrainedModel, slices: SliceSet) -> FloatImages:
    """Up to `MOST` slices, spread over all of them, as the network gets them."""
    from benchmark.preprocessing.resize import downsample

    rows = np.unique(np.linspace(0, len(slices) - 1, MOST).round().astype(int))
    return nyul.apply(downsample(slices.images[rows], model.fed), model.landmarks)


def _preprocessing(model: TrainedModel) -> dict[str, Any]:
    seen = ModelState(
        {}, model.landmarks, model.shape, model.spacing_mm, model.slices, model.patients
    )
    told = {"run_id": model.run_id, "phantom": model.phantom, "fed": list(model.fed)}
    return {**told, **seen_by(seen)}


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ArmError(f"{name} is not installed; {INSTALL}") from error
