"""A trained model as a folder that travels: tensors in one file, everything else as plain JSON.

`model.safetensors` holds tensors alone (https://huggingface.co/docs/safetensors), `config.json`
what the run's record says, the landmarks, the values that are no tensors, and the size and sha256
of the tensors. Nothing in either can be run. `benchmark.exports.model` puts a card beside them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmark.errors import ArmError, RecordError, brief
from benchmark.runs import run_folder
from benchmark.runs.model_file import ModelState, parsed, seen_by
from benchmark.runs.reader import JsonFile, parse_spec
from benchmark.runs.spec import RunSpec

FORMAT = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
SHIPPED = "unet-3x3-256"
CURE = "copy the model's folder again, or export it anew"
LARGEST_CONFIG = 1_000_000  # bytes; ours has some 6,000
LARGEST_SIDE = 8192  # pixels fed


@dataclass(frozen=True, eq=False)
class StoredModel:
    """What an arm learned, as it lies in the folder of a run or in one that travels.

    record: what is told of the run, under the keys of config.json; read: gives what was learned,
    once its hash agrees, or raises `RecordError`. told: the file that the record stands in;
    weights: the one with the weights; code: the name of the one that says which code trained it;
    cure: for a model that cannot be used.
    """

    run_id: str
    spec: RunSpec
    phantom: bool
    record: Mapping[str, Any]
    read: Callable[[], ModelState]
    told: Path
    weights: Path
    code: str
    cure: str


def shipped_model() -> Path:
    """The folder of the model that is shipped with the package."""
    return Path(str(files("reference_results") / "models" / SHIPPED))


def model_folder(root: Path, named: Path) -> Path | None:
    """The model folder that is named by its path, by a file in it, or by its name under root.

    None where there is no config.json in it.
    """
    named = named.parent if named.name in (CONFIG, WEIGHTS) and named.is_file() else named
    places = (named, root / named)
    return next((place for place in places if (place / CONFIG).is_file()), None)


def pack(model: StoredModel) -> tuple[dict[str, Any], bytes]:
    """Return the config and the tensors' bytes of a model; equal ones for equal models.

    Raises `ArmError` for a state of other things than tensors and plain JSON values, and
    `RecordError` as `model.read` does.
    """
    from safetensors.torch import save
    from torch import Tensor, contiguous_format

    learned = model.read()
    tensors = {name: value for name, value in learned.state.items() if isinstance(value, Tensor)}
    values = {name: value for name, value in learned.state.items() if name not in tensors}
    try:
        if json.loads(json.dumps(values, allow_nan=False)) != values:
            raise ValueError("a value that JSON has another form of")
        own = {name: t.clone(memory_format=contiguous_format) for name, t in tensors.items()}
        weights = save(own)  # each in memory of its own, as the form wants it
    except Exception as error:  # a state may hold anything
        raise ArmError(
            f"arm {model.spec.arm}: its state holds more than tensors and plain values "
            f"({brief(error)}); give predict the run's own folder, or mend its method state"
        ) from error
    told = {"bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}
    config = {"format": FORMAT, **model.record, "model": seen_by(learned), "values": values}
    return {**config, "files": {WEIGHTS: told}}, weights


def stored_in(folder: Path) -> StoredModel:
    """Return the model of a folder after checking its config; its tensors are not read yet.

    Raises `RecordError` that names the file, what is wrong in it, and the cure.
    """
    get = read_config(folder)
    run_id, phantom = get("run_id"), get("phantom")
    spec, _ = parse_spec(get, str(run_id))
    if type(spec.arm) is not str or type(phantom) is not bool:
        raise RecordError(
            f"{get.path}: arm {spec.arm!r} and phantom {phantom!r} must be a name and true or "
            f"false; {CURE}"
        )
    if not all(type(side) is int and 0 < side <= LARGEST_SIDE for side in spec.shape):
        raise RecordError(
            f"{get.path}: shape = {list(spec.shape)} must be two sides of 1 to {LARGEST_SIDE} "
            f"pixels; {CURE}"
        )
    weights = folder / WEIGHTS
    return StoredModel(
        run_id=str(run_id),
        spec=spec,
        phantom=phantom,
        record=get.content,
        read=lambda: _learned(weights, get),
        told=get.path,
        weights=weights,
        code=CONFIG,
        cure=CURE,
    )


def read_config(folder: Path) -> JsonFile:
    """Return config.json after checking its size and format; `RecordError` for any other."""
    path = folder / CONFIG
    if path.is_file() and path.stat().st_size > LARGEST_CONFIG:
        raise RecordError(f"{path}: has more than {LARGEST_CONFIG} bytes and is not read; {CURE}")
    get = JsonFile(path, run_folder.read_json(path, CURE), CURE)
    if get.content.get("format") != FORMAT:
        found = get.content.get("format")
        raise RecordError(f"{path}: has format {found!r}, but this version reads {FORMAT}; {CURE}")
    return get


def _learned(weights: Path, get: JsonFile) -> ModelState:
    """What the arm learned, nothing being taken from the tensors before their hash agrees."""
    tensors, values = _tensors(_recorded(weights, get), weights), get.table("values")
    if twice := sorted(set(tensors) & set(values)):
        raise RecordError(f"{get.path}: {twice[0]!r} is a value and a tensor too; {CURE}")
    model = get.table("model")
    try:
        return parsed({**model, "state": {**tensors, **values}})
    except Exception as error:  # whatever a value of the wrong kind raises
        raise RecordError(
            f"{get.path}: 'model' is not what a model was trained with ({brief(error)}); {CURE}"
        ) from error


def _recorded(path: Path, get: JsonFile) -> bytes:
    """The tensors' bytes, which must be as many as config.json says and have its hash."""
    told = get.table(f"files/{WEIGHTS}")
    try:
        packed = path.read_bytes() if path.stat().st_size == told.get("bytes") else b""
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}); {CURE}") from error
    if hashlib.sha256(packed).hexdigest() != told.get("sha256"):
        raise RecordError(f"{path}: is not the file that {CONFIG} has the hash of; {CURE}")
    return packed


def _tensors(packed: bytes, path: Path) -> dict[str, Any]:
    """Name -> tensor on the processor; `RecordError` for other bytes and numbers not finite."""
    from safetensors.torch import load

    try:
        tensors: dict[str, Any] = load(packed)
    except Exception as error:  # of hostile bytes, also MemoryError and KeyError of an odd dtype
        raise RecordError(f"{path}: is no file of tensors ({brief(error)}); {CURE}") from error
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise RecordError(f"{path}: tensor {name!r} holds numbers that are not finite; {CURE}")
    return tensors
