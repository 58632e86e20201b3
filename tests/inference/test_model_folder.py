"""A model in a folder that travels: the run's own to the bit, and nothing else is taken for one."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_forms import Trap, spec_of
from data_forms import damaged, one_line
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from strategies import costly

from baselines import ARMS
from benchmark.data.slices import SliceSet
from benchmark.errors import ArmError, BenchmarkError, RecordError, SpecError
from benchmark.exports.model import texts
from benchmark.inference.model_folder import CONFIG, FORMAT, WEIGHTS, StoredModel, pack, stored_in
from benchmark.inference.trained_model import find_stored, load
from benchmark.protocol import Recipe
from benchmark.runs.prepared_data import PreparedData
from benchmark.runs.runner import RunOptions, run_grid
from benchmark.splits.split import make

Stored = Callable[[str], StoredModel]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, slices: SliceSet, recipe: Recipe) -> Stored:
    """The model of a finished run of an arm, trained once."""
    out, split = tmp_path_factory.mktemp("runs"), make(slices, recipe.split, 1)
    own = {"unet": {"kernel_size": 3}, "threshold": {}}
    specs = {a: spec_of(a, ARMS[a], slices, split, recipe, **more) for a, more in own.items()}
    data = PreparedData(slices, {split.split_id: split}, ARMS)
    run_grid(list(specs.values()), data, RunOptions(out, keep_models=True))
    return lambda arm: find_stored(out, specs[arm].run_id)


def written(stored: StoredModel, folder: Path) -> Path:
    """A model's folder without its card."""
    config, weights = pack(stored)
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(config))
    (folder / WEIGHTS).write_bytes(weights)
    return folder


@pytest.fixture
def folder(stored: Stored, tmp_path: Path) -> Path:
    return written(stored("unet"), tmp_path / "model")


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / CONFIG).read_text())


def changed(folder: Path, where: str, value: Any) -> None:
    """Give the value at "key/key" of the config another."""
    config = config_of(folder)
    *way, last = where.split("/")
    there = config
    for key in way:
        there = there[key]
    there[last] = value
    (folder / CONFIG).write_text(json.dumps(config))


def put(folder: Path, packed: bytes) -> None:
    """Give the folder other tensors, and a config that vouches for them."""
    (folder / WEIGHTS).write_bytes(packed)
    told = {"bytes": len(packed), "sha256": hashlib.sha256(packed).hexdigest()}
    changed(folder, "files", {WEIGHTS: told})


def refused(folder: Path, *words: str, error: type[BenchmarkError] = RecordError) -> None:
    with one_line(error, *words):
        load(folder.parent, str(folder), ARMS, "cpu")


@pytest.mark.parametrize("arm", ["unet", "threshold"])
def test_a_model_that_travelled_gives_the_bits_of_its_run(
    stored: Stored, slices: SliceSet, tmp_path: Path, arm: str
) -> None:
    """Tensors and plain values alike, with the same landmarks, sizes and counts."""
    model = stored(arm)
    here = load(model.told.parent.parent, model.run_id, ARMS, "cpu")
    there = load(tmp_path, str(written(model, tmp_path / "model")), ARMS, "cpu")
    images = np.linspace(-1, 1, 3 * 64 * 64, dtype=np.float32).reshape(3, 64, 64)[:, ::-1].copy()
    assert here.arm.predict(images).tobytes() == there.arm.predict(images).tobytes()
    assert {**vars(here), "arm": 0} == {**vars(there), "arm": 0}
    assert there.phantom
    assert there.slices == len(make(slices, model.spec.recipe.split, 1).train)


def test_it_is_named_by_its_folder_by_a_file_in_it_or_by_name_under_root(folder: Path) -> None:
    names = [str(folder), str(folder / WEIGHTS), str(folder / CONFIG), folder.name]
    assert len({load(folder.parent, name, ARMS, "cpu").run_id for name in names}) == 1


def test_a_folder_that_is_not_there_may_have_been_meant_as_a_models(tmp_path: Path) -> None:
    with one_line(SpecError, "no such folder", "or the folder of a run or of a model as --run"):
        find_stored(tmp_path / "runs", str(tmp_path / "models" / "mine"))


def test_packing_what_was_read_gives_the_same_bytes(stored: Stored, folder: Path) -> None:
    config, weights = pack(stored("unet"))
    again, same = pack(stored_in(folder))
    assert (again, same) == (config, weights)


def with_state(stored: StoredModel, state: dict[str, Any]) -> StoredModel:
    return replace(stored, read=lambda: replace(stored.read(), state=state))


def test_tensors_of_every_kind_and_plain_values_come_back(stored: Stored, tmp_path: Path) -> None:
    """Two names of one tensor, too, and one that lies across another."""
    weights = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    state = {
        "weights": weights, "tied": weights, "turned": weights.T, "count": torch.tensor(3),
        "half": weights.half(), "brain": weights.bfloat16(), "none": torch.zeros(0),
        "on": torch.tensor([True, False]), "level": 0.1, "name": "a", "rest": [1, None, {"b": 2.0}],
    }  # fmt: skip
    back = stored_in(written(with_state(stored("unet"), state), tmp_path)).read().state
    assert sorted(back) == sorted(state)
    for name, value in state.items():
        same = back[name] == value
        assert same.all() if isinstance(value, torch.Tensor) else same
    assert back["brain"].dtype == torch.bfloat16


@pytest.mark.parametrize(
    "value", [(1, 2), {1: 2}, float("nan"), print, [torch.zeros(1)], b"raw"], ids=str
)
def test_a_state_that_json_has_another_form_of_is_refused(stored: Stored, value: Any) -> None:
    with one_line(ArmError, "arm unet: its state holds more than tensors and plain values"):
        pack(with_state(stored("unet"), {"level": value}))


@given(data=st.data())
@costly
def test_damaged_files_give_one_clear_error(
    stored: Stored, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Or, of a config whose damage says nothing, the model's own tensors."""
    own = written(stored("unet"), tmp_path_factory.mktemp("model"))
    path = own / data.draw(st.sampled_from([CONFIG, WEIGHTS]))
    before = stored_in(own).read().state
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    after, said = {}, ""
    try:
        after = stored_in(own).read().state
    except BenchmarkError as error:
        said = str(error)
    assert (str(own) in said) != bool(after)
    assert "\n" not in said
    assert all(torch.equal(after[name], before[name]) for name in after)


def header(content: Any, data: bytes = b"") -> bytes:
    """A file in the form of safetensors with any header."""
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + data


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
HOSTILE = {
    "nothing": b"",
    "a header longer than the file": struct.pack("<Q", 2**62) + b"{}",
    "a header that is no JSON": struct.pack("<Q", 4) + b"{{{{",
    "a deep header": struct.pack("<Q", 200_000) + b"[" * 200_000,
    "an unknown dtype": header({"a": {**ONE, "dtype": "F99"}}, bytes(4)),
    "more numbers than bytes": header({"a": {**ONE, "shape": [2**40]}}, bytes(4)),
    "a place outside": header({"a": {**ONE, "data_offsets": [0, 2**40]}}, bytes(4)),
    "two in one place": header({"a": ONE, "b": ONE}, bytes(4)),
    "bytes of nobody": header({"a": ONE}, bytes(400)),
}


@pytest.mark.parametrize("packed", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_file_of_tensors_is_refused(folder: Path, packed: bytes) -> None:
    """Even where the config vouches for it."""
    put(folder, packed)
    refused(folder, WEIGHTS, "is no file of tensors", "export it anew")


def test_pickled_code_in_place_of_tensors_is_refused_and_not_run(
    folder: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "was_run"
    put(folder, pickle.dumps(Trap(mark)))
    refused(folder, "is no file of tensors")
    assert not mark.exists()


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(folder: Path, number: float) -> None:
    state = dict(stored_in(folder).read().state)
    name = next(iter(state))
    state[name] = torch.full_like(state[name], number)
    put(folder, save(state))
    refused(folder, f"tensor {name!r} holds numbers that are not finite")


def test_tensors_of_another_network_are_refused(folder: Path) -> None:
    put(folder, save({"conv": torch.ones(3)}))
    refused(folder, "does not fit arm unet as it is now", "named in config.json", "export it anew")


def test_changed_cut_and_lost_tensors_are_told(folder: Path) -> None:
    path = folder / WEIGHTS
    whole = path.read_bytes()
    for other in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), whole + b"\0"):
        path.write_bytes(other)
        refused(folder, f"{WEIGHTS}: is not the file that config.json has the hash of")
    path.unlink()
    refused(folder, f"{WEIGHTS}: cannot be read (No such file or directory)")


@pytest.mark.parametrize(
    ("where", "value", "says"),
    [
        ("format", FORMAT + 1, f"has format {FORMAT + 1}, but this version reads {FORMAT}"),
        ("run_id", "unet_1_00000000", "was changed after the run"),
        ("run_id", ["unet"], "belongs to run"),
        ("spec/seed", 7, "was changed after the run"),
        ("spec", 7, "'spec' is a int, not an object"),
        ("phantom", "no", "phantom 'no' must be"),
        ("values", 7, "'values' is a int"),
        ("values", {"model.0.conv.bias": 1}, "is a value and a tensor too"),
        ("model/shape", [0, 512], "'model' is not what a model was trained with"),
        ("model/spacing_mm", [0.5, None], "'model' is not what a model was trained with"),
        ("model/values", [0.0, 1.0], "'model' is not what a model was trained with"),
        ("model/slices", 0, "'model' is not what a model was trained with"),
        ("model", {}, "'model' is not what a model was trained with"),
        ("files", {}, "has no 'files/model.safetensors'"),
        ("files/model.safetensors", 3, "is a int, not an object"),
    ],
    ids=str,
)
def test_a_config_that_is_not_what_was_written_is_refused(
    folder: Path, where: str, value: Any, says: str
) -> None:
    changed(folder, where, value)
    refused(folder, CONFIG, says)


@pytest.mark.parametrize(
    ("where", "value", "says"),
    [
        ("shape", [64, 2**40], "must be two sides of 1 to 8192"),
        ("shape", [64.0, 64.0], "must be two sides of 1 to 8192"),
        ("arm", ["unet"], "arm ['unet'] and phantom True must be a name"),
        ("arm", "unett", "unknown arm 'unett'; known: attention-unet"),
    ],
    ids=str,
)
def test_a_spec_that_has_its_own_hash_is_not_trusted_either(
    folder: Path, where: str, value: Any, says: str
) -> None:
    changed(folder, f"spec/{where}", value)
    text = json.dumps(config_of(folder)["spec"], sort_keys=True, separators=(",", ":"))
    changed(folder, "run_id", f"unet_{hashlib.sha256(text.encode()).hexdigest()[:8]}")
    refused(folder, CONFIG, says)


def test_a_config_too_large_or_too_deep_is_not_read(folder: Path) -> None:
    path = folder / CONFIG
    path.write_text('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")
    refused(folder, CONFIG, "cannot be read")
    path.write_bytes(b" " * 1_000_001)
    refused(folder, CONFIG, "has more than 1000000 bytes and is not read")


def test_the_texts_of_a_folder_follow_from_its_config_alone(folder: Path) -> None:
    """So a card can always be made anew."""
    nobody = {"by_patient": None, "nearest_by_patient": None, "by_image": None, "cell": "unet",
              "shared_patients": None, "readers": ""}  # fmt: skip
    config = {**config_of(folder), "evaluation": nobody}
    made = texts(config)
    assert json.loads(made[CONFIG]) == config
    assert made == texts(json.loads(made[CONFIG]))
    shutil.rmtree(folder)
