"""Trained models in a file: when, what is in it, and that nothing else is ever taken for one."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench_forms import FAULTY, PINCHED, Faulty, Trap, bits, small_recipe, spec_of
from data_forms import damaged, one_line
from hypothesis import given
from hypothesis import strategies as st
from run_records import rehash
from strategies import costly, law

from baselines import ARMS
from benchmark.arm import ArmEntry, RunContext
from benchmark.arm_source import ArmSource
from benchmark.data.slices import SliceSet
from benchmark.errors import ArmError, BenchmarkError, RecordError, SpecError
from benchmark.inference.trained_model import TrainedModel, load, unkept
from benchmark.preprocessing import nyul
from benchmark.preprocessing.nyul import Landmarks
from benchmark.protocol import Recipe
from benchmark.runs import rescore, run_folder
from benchmark.runs.model_file import FORMAT, ModelState, pack, unpack
from benchmark.runs.prepared_data import PreparedData
from benchmark.runs.run_folder import RunFolder, RunState, read_json, write_json
from benchmark.runs.runner import RunOptions, run_grid
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import Split, make

Specs = dict[str, RunSpec]


@dataclass
class Odd(Faulty):
    """Keeps what no file of plain values can hold."""

    def state(self) -> dict[str, Any]:
        return {"step": os.getcwd}

    def restore(self, state: Mapping[str, Any], context: RunContext) -> None:
        raise AssertionError("was never kept")


TABLE = {**ARMS, "faulty": FAULTY, "pinched": PINCHED, "odd": ArmEntry.of(Odd)}
LEARNED = ModelState(
    {"cut": 0.25}, Landmarks((1.0, 99.0), (0.0, 100.0)), (64, 96), (0.5, 0.7), 16, 5
)


@pytest.fixture(scope="module")
def split(slices: SliceSet, recipe: Recipe) -> Split:
    return make(slices, recipe.split, 1)


def run(out: Path, slices: SliceSet, split: Split, *specs: RunSpec, **more: Any) -> list[RunState]:
    data = PreparedData(slices, {split.split_id: split}, TABLE)
    return list(run_grid(specs, data, RunOptions(out, **more)).values())


@pytest.fixture(scope="module")
def specs(slices: SliceSet, recipe: Recipe, split: Split) -> Specs:
    return {
        name: spec_of(name, TABLE[name], slices, split, recipe)
        for name in ("unet", "threshold", "faulty", "odd")
    }


@pytest.fixture(scope="module")
def kept(
    tmp_path_factory: pytest.TempPathFactory, slices: SliceSet, split: Split, specs: Specs
) -> Path:
    """Two finished runs with their models; to be copied before anything is done to it."""
    out, asked = tmp_path_factory.mktemp("kept"), (specs["unet"], specs["threshold"])
    assert run(out, slices, split, *asked, keep_models=True) == [RunState.DONE] * 2
    return out


@pytest.fixture
def folder(kept: Path, specs: Specs, tmp_path: Path) -> RunFolder:
    """A copy of the finished run of the threshold arm."""
    folder = RunFolder(tmp_path / "runs", specs["threshold"].run_id)
    shutil.copytree(kept / folder.run_id, folder.path)
    return folder


def loaded(folder: RunFolder, arms: Mapping[str, ArmEntry] = TABLE) -> TrainedModel:
    return load(folder.path.parent, folder.run_id, arms, "cpu")


def refused(folder: RunFolder, *words: str, arms: Mapping[str, ArmEntry] = TABLE) -> None:
    with one_line(RecordError, *words):
        loaded(folder, arms)


def put(folder: RunFolder, packed: bytes) -> None:
    """Give the run another model, and a result.json that vouches for it."""
    (folder / "model.pt").write_bytes(packed)
    rehash(folder, "model.pt")


def saved(content: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def test_a_kept_model_stands_in_the_record(folder: RunFolder) -> None:
    hashes = read_json(folder / "result.json")["sha256"]
    assert sorted(hashes) == ["model.pt", "predictions.zip", "scores.csv"]
    assert hashes["model.pt"] == hashlib.sha256((folder / "model.pt").read_bytes()).hexdigest()


def test_a_model_of_an_arm_that_has_changed_since_is_refused(
    tmp_path: Path, slices: SliceSet, split: Split, specs: Specs
) -> None:
    """Its weights might fit what is there now, and would mean something else."""
    own = ArmSource("my-arm", "0.1", "a" * 64)
    mine = {**TABLE, "mine": replace(TABLE["threshold"], source=own)}
    spec = replace(specs["threshold"], arm="mine", source=own.sha256)
    data = PreparedData(slices, {split.split_id: split}, mine)
    run_grid([spec], data, RunOptions(tmp_path, keep_models=True))
    folder = RunFolder(tmp_path, spec.run_id)
    assert loaded(folder, mine).run_id == spec.run_id
    changed = replace(own, version="0.2", sha256="b" * 64)
    for now in (changed, None):
        arms = {**mine, "mine": replace(mine["mine"], source=now)}
        told = "spec.json: arm mine has changed since this run (my-arm 0.1, source aaaaaa)"
        cure = "put back the code that trained it, or train it anew with --keep-models"
        refused(folder, told, cure, arms=arms)
    moved = {**mine, "mine": replace(mine["mine"], source=replace(own, version="0.2"))}
    assert loaded(folder, moved).run_id == spec.run_id  # the same code in another version


def test_a_model_from_before_sources_were_recorded_is_refused_for_an_arm_from_outside(
    folder: RunFolder,
) -> None:
    source = ArmSource("my-arm", "0.1", "a" * 64)
    arms = {**TABLE, "threshold": replace(TABLE["threshold"], source=source)}
    refused(folder, "(which did not record its source)", arms=arms)


def test_a_model_of_a_broken_arm_is_refused_with_the_reason(folder: RunFolder) -> None:
    arms = {**TABLE, "threshold": ArmEntry("own_arm:Mine", broken="arm 'threshold' is broken")}
    with one_line(ArmError, "arm 'threshold' is broken"):
        loaded(folder, arms)


def test_whether_models_are_kept_changes_nothing_else(
    kept: Path, tmp_path: Path, slices: SliceSet, split: Split, specs: Specs
) -> None:
    """The same run_ids and the same bits; without being asked for, no model."""
    assert run(tmp_path, slices, split, specs["unet"], specs["threshold"]) == [RunState.DONE] * 2
    assert bits(tmp_path) == bits(kept)
    assert not list(tmp_path.glob("*/model.pt"))
    results = [read_json(path) for path in tmp_path.glob("*/result.json")]
    assert not any("model.pt" in result["sha256"] for result in results)


@pytest.mark.parametrize(
    ("arm", "words"),
    [("faulty", "lacks the methods of benchmark.arm.Keepable"), ("odd", "more than plain values")],
)
def test_an_arm_that_cannot_keep_is_told_and_recorded(
    tmp_path: Path, slices: SliceSet, split: Split, specs: Specs, arm: str, words: str
) -> None:
    notes: list[str] = []
    states = run(tmp_path, slices, split, specs[arm], keep_models=True, on_note=notes.append)
    assert (states, len(notes)) == ([RunState.DONE], 1)
    assert notes[0].startswith("its model is not kept: arm " + arm)
    assert words in notes[0]
    assert not list(tmp_path.glob("*/model.pt"))


def test_the_landmarks_travel_with_the_model(slices: SliceSet, tmp_path: Path) -> None:
    """Those of the training slices alone, where the protocol says so, at the size fed."""
    recipe = small_recipe(preprocess__nyul_fit="train")
    split = make(slices, recipe.split, 1)
    spec = spec_of("threshold", ARMS["threshold"], slices, split, recipe)
    run(tmp_path, slices, split, spec, keep_models=True)
    rule = recipe.preprocess
    train = slices.images[np.isin(slices.slice_id, split.train)]
    model = load(tmp_path, spec.run_id, TABLE, "cpu")
    assert model.landmarks == nyul.fit_nyul(train, rule.nyul_percentiles)
    assert model.landmarks != nyul.fit_nyul(slices.images, rule.nyul_percentiles)
    assert (model.fed, model.shape, model.spacing_mm) == ((64, 64), slices.shape, slices.spacing_mm)


@pytest.mark.parametrize("known", [True, False])
def test_a_model_counts_what_it_was_trained_on(
    slices: SliceSet, split: Split, specs: Specs, tmp_path: Path, known: bool
) -> None:
    """The training set alone; 0 patients where one of them is not known."""
    first = slices.slice_id.tolist().index(split.train[0])
    names = [name if known or i != first else None for i, name in enumerate(slices.patient_id)]
    named = replace(slices, patient_id=tuple(names))
    run(tmp_path, named, split, specs["threshold"], keep_models=True)
    model = load(tmp_path, specs["threshold"].run_id, TABLE, "cpu")
    rows = np.flatnonzero(np.isin(slices.slice_id, split.train))
    expected = len({names[row] for row in rows}) if known else 0
    assert (model.slices, model.patients, model.phantom) == (len(split.train), expected, True)
    assert len(split.train) < len(slices)


def test_a_run_cut_before_its_result_is_run_again_and_leaves_no_model_unasked(
    tmp_path: Path, slices: SliceSet, split: Split, specs: Specs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is written before result.json: a run with a result has all that it vouches for."""
    spec, write = specs["threshold"], run_folder.write_json

    def cut(path: Path, content: Mapping[str, Any]) -> None:
        if path.name == "result.json":
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(run_folder, "write_json", cut)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, slices, split, spec, keep_models=True)
    folder = RunFolder(tmp_path, spec.run_id)
    assert folder.state is RunState.PARTIAL
    assert (folder / "model.pt").exists()
    (folder / ".model.pt.1.tmp").write_bytes(b"half")  # of a process that was killed in writing
    monkeypatch.setattr(run_folder, "write_json", write)
    assert run(tmp_path, slices, split, spec) == [RunState.DONE]
    assert not list(folder.path.glob("*model.pt*"))


def test_rescoring_leaves_the_model_vouched_for(folder: RunFolder, slices: SliceSet) -> None:
    before = read_json(folder / "result.json")["sha256"]
    (folder / "scores.csv").write_text("damaged")
    (change,) = rescore.rescore(folder.path.parent, slices)
    assert change.repaired
    assert read_json(folder / "result.json")["sha256"] == before
    assert loaded(folder).run_id == folder.run_id


def test_runs_done_without_a_model_are_named_once(
    kept: Path, tmp_path: Path, slices: SliceSet, split: Split, specs: Specs
) -> None:
    """Not those that have one, are not done, or whose arm could not keep one."""
    run(tmp_path, slices, split, specs["threshold"], specs["faulty"])
    asked = [specs["threshold"], specs["faulty"], specs["unet"]]
    output = unkept(asked, tmp_path, TABLE)
    assert output.endswith(f"or give another --out): {specs['threshold'].run_id}.")
    assert unkept([specs["unet"], specs["threshold"]], kept, TABLE) == ""
    path = tmp_path / specs["threshold"].run_id / "model.pt"
    path.write_bytes(b"another's")  # nothing vouches for it
    assert unkept(asked, tmp_path, TABLE) == output
    path.unlink()
    lost = {**TABLE, "threshold": ArmEntry("no_such_package:Arm")}
    assert unkept(asked, tmp_path, lost) == ""  # an arm that is not there is told of elsewhere
    run(tmp_path, slices, split, specs["threshold"], keep_models=True)
    assert not path.exists()  # what is done is left as it is


@given(
    landmarks=st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=11),
    whole=st.booleans(),
    spacing_mm=st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)),
    weights=st.lists(st.floats(width=32), max_size=5),
)
@law
def test_what_is_packed_comes_back_bit_for_bit(
    landmarks: list[float], whole: bool, spacing_mm: tuple[float, float], weights: list[float]
) -> None:
    marks = Landmarks(tuple(map(float, range(len(landmarks)))), tuple(landmarks), whole)
    state = {"weights": torch.tensor(weights), "steps": 3, "name": "a"}
    model = ModelState(state, marks, (64, 96), spacing_mm, 16, 5)
    back = unpack(pack(model, "some"), Path("model.pt"))
    assert {**vars(back), "state": 0} == {**vars(model), "state": 0}
    assert back.state["weights"].numpy().tobytes() == state["weights"].numpy().tobytes()  # type: ignore[attr-defined]
    assert (back.state["steps"], back.state["name"]) == (3, "a")


@given(data=st.data())
@costly
def test_damaged_bytes_give_one_clear_error_or_plain_values(data: st.DataObject) -> None:
    """Beneath the hash, which turns all of these away, reading itself is safe."""
    packed = data.draw(damaged(pack(LEARNED, "some")))
    try:
        text = str(unpack(packed, Path("model.pt")).landmarks)
    except BenchmarkError as error:
        text = str(error)
    assert text.startswith(("Landmarks(", "model.pt: "))
    assert "\n" not in text


def test_a_model_that_would_run_code_is_refused_and_runs_none(
    folder: RunFolder, tmp_path: Path
) -> None:
    """Even where result.json vouches for it."""
    mark = tmp_path / "was_run"
    trap = saved({"format": 1, "state": Trap(mark)})
    torch.load(io.BytesIO(trap), weights_only=False)
    assert mark.exists()  # the trap works
    mark.unlink()
    put(folder, trap)
    words = "is no model of plain values and tensors (UnpicklingError)"
    refused(folder, "model.pt", words, "nothing in it was run")
    assert not mark.exists()


@pytest.mark.parametrize(
    "change",
    [{"percentiles": [1.0]}, {"percentiles": [1.0], "values": [0.0]}, {"values": "ab"},
     {"values": [0.0, float("nan")]}, {"shape": [64]}, {"shape": [64, 0]},
     {"spacing_mm": [0.5, float("inf")]}, {"state": None}, {"state": 3}, {"format": None}],
    ids=str,
)  # fmt: skip
def test_values_that_are_no_model_are_refused(folder: RunFolder, change: dict[str, Any]) -> None:
    content = torch.load(io.BytesIO(pack(LEARNED, "some")), weights_only=True)
    content |= change
    put(folder, saved({key: value for key, value in content.items() if value is not None}))
    refused(folder, "model.pt", "is no model of plain values and tensors")


def test_a_later_format_is_named(folder: RunFolder) -> None:
    put(folder, saved({"format": FORMAT + 1}))
    refused(folder, f"has format {FORMAT + 1}, but this version reads {FORMAT}", "train it again")


def test_a_model_that_unpacks_to_more_than_it_holds_is_refused(folder: RunFolder) -> None:
    """torch does not compress: 4 MB of zeros in some kB are not its work, and not unpacked."""
    stream = io.BytesIO()
    large = pack(replace(LEARNED, state={"level": torch.zeros(1_000_000)}), "some")
    with (
        zipfile.ZipFile(io.BytesIO(large)) as plain,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for name in plain.namelist():
            small.writestr(name, plain.read(name))
    assert len(stream.getvalue()) < 50_000
    put(folder, stream.getvalue())
    refused(folder, "is no model of plain values and tensors (ValueError)")


@pytest.mark.parametrize(
    "state",
    [{"level": "high"}, {"level": None}, {"level": torch.zeros(3)}, {"other": 1.0}],
    ids=["text", "nothing", "tensor", "of an arm that changed since"],
)
def test_a_state_of_another_kind_is_refused_before_any_slice(
    folder: RunFolder, state: dict[str, Any]
) -> None:
    """Putting it back may succeed: it is told by asking the arm once."""
    own = unpack((folder / "model.pt").read_bytes(), folder / "model.pt").state
    put(folder, pack(replace(LEARNED, state=renamed(state, own)), "some"))
    refused(folder, "does not fit arm threshold as it is now", "environment.json")


def renamed(state: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The state with "level" called as the arm calls it."""
    (name,) = own
    return {name if key == "level" else key: value for key, value in state.items()}


def test_a_changed_model_is_refused(folder: RunFolder) -> None:
    content = bytearray((folder / "model.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.pt").write_bytes(content)
    refused(folder, "model.pt", "is not the file that result.json has the hash of")


def test_a_lost_model_is_told(folder: RunFolder) -> None:
    (folder / "model.pt").unlink()
    refused(folder, "model.pt: cannot be read (No such file or directory)", "copy it back")


def test_a_run_without_a_model_says_how_to_get_one(folder: RunFolder) -> None:
    result = read_json(folder / "result.json")
    del result["sha256"]["model.pt"]
    write_json(folder / "result.json", result)
    refused(folder, "finished without its model", "train it again with --keep-models")


def test_an_unfinished_run_is_told(folder: RunFolder) -> None:
    (folder / "result.json").unlink()
    refused(folder, f"--run {folder.run_id}: is partial, not done")


def test_an_unknown_run_names_the_nearest_and_those_with_a_model(folder: RunFolder) -> None:
    root = folder.path.parent
    with pytest.raises(RecordError) as caught:
        load(root, f"{root / folder.run_id[:-3]}/", TABLE, "cpu")  # as the shell completes it, cut
    assert str(caught.value).endswith(
        f"; the nearest is {folder.run_id}; with a model: {folder.run_id}"
    )
    with pytest.raises(RecordError, match=f"the nearest is {folder.run_id}"):
        load(root, "thres", TABLE, "cpu")  # as short as it is, none else begins so
    (folder / "model.pt").unlink()
    none = r"--run \?: .* has no such run; with a model: none, see --keep-models"
    with pytest.raises(RecordError, match=none):
        load(root, "?", TABLE, "cpu")


def test_a_folder_of_runs_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no/such: there is no such folder"):
        load(tmp_path / "no/such", "x", TABLE, "cpu")


def test_an_arm_that_is_not_installed_is_named(folder: RunFolder) -> None:
    refused(folder, "unknown arm 'threshold'; known: otsu", "install", arms={"otsu": ARMS["otsu"]})


def test_weights_of_another_network_are_refused(kept: Path, specs: Specs, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, specs["unet"].run_id)
    shutil.copytree(kept / folder.run_id, folder.path)
    put(folder, pack(replace(LEARNED, state={"conv": torch.ones(3)}), "some"))
    refused(folder, "does not fit arm unet as it is now (Error(s) in loading state_dict")


def test_an_arm_that_needs_a_click_is_not_kept_and_refused(
    tmp_path: Path, slices: SliceSet, recipe: Recipe, split: Split
) -> None:
    spec = spec_of("click-region-growing", ARMS["click-region-growing"], slices, split, recipe)
    notes: list[str] = []
    run(tmp_path, slices, split, spec, keep_models=True, on_note=notes.append)
    says = "its model is not kept: arm click-region-growing needs a click, and predict gives none"
    assert notes == [says]
    assert not (tmp_path / spec.run_id / "model.pt").exists()
    assert unkept([spec], tmp_path, TABLE) == ""
    cure = "needs a click in each tumour; choose a run of an automatic arm"
    refused(RunFolder(tmp_path, spec.run_id), cure)
