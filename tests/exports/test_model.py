"""A model's folder as the command writes it, its card, and the one that is shipped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_forms import call, refused
from data_forms import snapshot
from PIL import Image
from run_records import BY_PATIENT, join, table, write_own

from baselines import ARMS
from benchmark.data import load as load_slices
from benchmark.data import phantoms
from benchmark.exports.evaluation import evaluation, joined
from benchmark.exports.model import evaluated, texts
from benchmark.exports.model_card import card, in_short, licence
from benchmark.inference.model_folder import (
    CONFIG,
    WEIGHTS,
    StoredModel,
    read_config,
    shipped_model,
    stored_in,
)
from benchmark.inference.outline import outline
from benchmark.inference.trained_model import find_stored, load
from benchmark.judge.shipped import load_second_reading
from benchmark.runs.collect import (
    Collected,
    collect,
    protocol_hash,
    reproduction_folder,
    shipped_splits,
    without_test,
)
from benchmark.runs.reader import read_predictions, read_run
from benchmark.runs.run_folder import RunFolder

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
SOURCE = os.environ.get("MENINGIOMA_DATA")  # read before the tests' own environment hides it
FILES = {"LICENSE", "README.md", CONFIG, WEIGHTS}


@pytest.fixture(scope="module")
def shipped() -> StoredModel:
    return stored_in(shipped_model())


@pytest.fixture(scope="module")
def config(shipped: StoredModel) -> dict[str, Any]:
    return dict(shipped.record)


def test_the_shipped_files_are_those_that_follow_from_the_records(
    shipped: StoredModel, config: dict[str, Any]
) -> None:
    """`nox -s pages` makes them anew; the weights have the hash that the config says."""
    assert config["evaluation"] == evaluated(shipped)
    there = {path.name: path.read_bytes() for path in shipped_model().iterdir()}
    assert there.keys() == FILES
    assert {name: there[name] for name in texts(config)} == texts(config)
    assert shipped.read().slices == 482


def test_the_shipped_model_is_a_run_on_a_shipped_split(shipped: StoredModel) -> None:
    split = shipped_splits()[shipped.spec.split_fingerprint]
    assert split.split_id == shipped.spec.split_id == "by-image-1"
    assert len(split.train) == shipped.read().slices
    assert not shipped.phantom


@pytest.mark.usefixtures("elsewhere")
def test_predict_without_a_run_takes_the_shipped_model_and_says_what_it_scores(
    capsys: Capture, tmp_path: Path, config: dict[str, Any]
) -> None:
    Image.fromarray(phantoms.make(patients=1, slices_per_patient=1, size=128).images[0]).save(
        "a.png"
    )
    assert call("predict a.png") == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == f"Model: {in_short(config)}"
    assert "mean Dice on patients that no training saw: " in first
    mask = np.asarray(Image.open(tmp_path / "predictions" / "a_mask.png"))
    assert mask.shape == (128, 128)
    assert config["run_id"] in (tmp_path / "predictions" / "measures.csv").read_text()


@pytest.mark.skipif(not SOURCE, reason="MENINGIOMA_DATA names no folder with the real slices")
def test_the_shipped_model_scores_on_its_test_slices_what_its_record_says(
    shipped: StoredModel, config: dict[str, Any]
) -> None:
    """Where the record is shipped, its masks are those that the run stored, but for rounding."""
    slices = load_slices(Path(str(SOURCE)))
    test = shipped_splits()[shipped.spec.split_fingerprint].test
    rows = [slices.slice_id.tolist().index(number) for number in test]
    model = load(Path(), str(shipped_model()), ARMS, "cpu")
    masks = [outline(model, slices.images[row], slices.spacing_mm) for row in rows]
    dice = [
        2 * (mask & slices.masks[row]).sum() / (mask.sum() + slices.masks[row].sum())
        for mask, row in zip(masks, rows, strict=True)
    ]
    assert np.mean(dice) == pytest.approx(config["test"]["dice_mean"], abs=1e-3)
    record = RunFolder(reproduction_folder(), shipped.run_id)
    if record.path.exists():
        kept = read_predictions(read_run(record))
        differing = [(kept[n] != mask).sum() for n, mask in zip(test, masks, strict=True)]
        assert sum(differing) <= 20  # of 27.8 million


def test_the_card_says_the_score_on_other_patients_first(config: dict[str, Any]) -> None:
    text = card(config)
    by_patient, by_image = text.index("| patients apart"), text.index("| split by image")
    assert text.index(in_short(config)) < by_patient < by_image < text.index("this training")
    assert text.index("## Scores") < text.index("## Must not be used for")
    said = (
        "No medical device",
        "never tried on other tumours, on healthy slices, on other scanners or sequences",
        "103 of the 106 have their patient among the slices trained",
        "CC BY 4.0",
        "J. Cheng (2017)",
        "license: apache-2.0",
        config["files"][WEIGHTS]["sha256"],
        config["environment"]["git_commit"],
    )
    for words in said:
        assert words in text
    assert f"| {config['test']['dice_mean']:.3f} | - | 106 | 55 | 1 |" in text


def own(collected: Collected, shipped: StoredModel, **changes: Any) -> Collected:
    """Runs on the terms of the shipped model, of its cell unless changed."""
    spec = shipped.spec
    recipe = protocol_hash(without_test(spec.recipe.identity()))
    same = {"height": 256, "width": 256, "dataset_id": spec.dataset_id, "recipe_hash": recipe,
            "params": '{"alpha":0.5,"kernel_size":3}', "kernel_size": 3}  # fmt: skip
    return Collected(collected.runs.assign(**(same | changes)), collected.scores, ())


FOUR = ["a", "a", "b", "b"]
K5 = {"params": '{"alpha":0.5,"kernel_size":5}', "kernel_size": 5}
K7 = {"params": '{"alpha":0.4,"kernel_size":7}', "kernel_size": 7, "alpha": 0.4}


def test_the_score_is_of_the_models_own_cell_by_patient(shipped: StoredModel) -> None:
    """By hand: slices' means over two trainings 0.5, 0.7, 0.8, 0.8, and their mean 0.7."""
    patient = table({1: [0.4, 0.6, 0.8, 0.9], 2: [0.6, 0.8, 0.8, 0.7]}, FOUR, **BY_PATIENT)
    image = table({1: [0.9, 0.9, 0.9, 0.9]}, FOUR)
    larger = table({1: [0.1] * 4}, FOUR, **BY_PATIENT)
    records = join(own(patient, shipped), own(image, shipped), own(larger, shipped, height=512))
    found = evaluation(shipped, records)
    assert found["by_patient"]["dice"] == 0.7
    assert {k: found["by_patient"][k] for k in ("slices", "patients", "trainings")} == {
        "slices": 4, "patients": 2, "trainings": 2}  # fmt: skip
    assert found["by_patient"]["low"] is found["by_patient"]["high"] is None  # see below
    assert found["by_image"]["dice"] == 0.9
    assert (found["nearest_by_patient"], found["cell"]) == (None, "unet 3x3, alpha 0.5")
    assert found["readers"] == ""  # no second reading was given


@pytest.mark.parametrize(("patients", "told"), [(14, False), (15, True)])
def test_an_interval_takes_as_many_patients_as_everywhere(
    shipped: StoredModel, patients: int, told: bool
) -> None:
    """Rules of `tolerances.toml`: 15 slices of 15 patients."""
    names = [f"{number % patients}" for number in range(20)]
    dice = {seed: [0.5 + 0.02 * ((number + seed) % 7) for number in range(20)] for seed in (1, 2)}
    score = evaluation(shipped, own(table(dice, names, **BY_PATIENT), shipped))["by_patient"]
    assert (score["patients"], score["low"] is not None) == (patients, told)
    assert not told or score["low"] < score["dice"] < score["high"]


def test_where_it_was_not_measured_the_nearest_cell_is_named_as_such(
    shipped: StoredModel, config: dict[str, Any]
) -> None:
    far = own(table({1: [0.2] * 4, 2: [0.2] * 4, 3: [0.2] * 4}, FOUR, **BY_PATIENT), shipped, **K7)
    near = own(table({1: [0.8] * 4}, FOUR, **BY_PATIENT), shipped, **K5)
    found = evaluation(shipped, join(far, near))
    assert found["by_patient"] is found["by_image"] is None
    assert (found["nearest_by_patient"]["cell"], found["nearest_by_patient"]["dice"]) == (
        "unet 5x5, alpha 0.5", 0.8)  # fmt: skip
    told = in_short({**config, "evaluation": found})
    assert "not measured for this cell; of the nearest, unet 5x5, alpha 0.5, 0.800 (" in told


def test_without_any_record_the_card_says_that_nothing_is_known(
    shipped: StoredModel, config: dict[str, Any]
) -> None:
    nothing = own(table({1: [0.9] * 4}, FOUR), shipped, arm="other")
    found = evaluation(shipped, nothing, load_second_reading())
    assert found["by_patient"] is found["nearest_by_patient"] is found["by_image"] is None
    told = {**config, "evaluation": found}
    assert in_short(told).endswith("on patients that no training saw: not measured for this cell.")
    assert "the nearest cell" not in card(told)
    assert "Two readers agree at a mean Dice of" in card(told)


def test_the_card_of_an_arm_from_outside_says_that_its_code_is_needed(
    config: dict[str, Any],
) -> None:
    source = {"package": "their-package", "version": "0.1", "sha256": "ab" * 32}
    text = card({**config, "arm_source": source})
    assert "must be there too, unchanged (source `abababababababab`): their-package 0.1" in text
    assert "must be there too" not in card(config)


def test_runs_in_two_folders_count_once() -> None:
    first, second = (
        table({1: [0.1] * 4, 2: [0.2] * 4}, FOUR),
        table({2: [0.2] * 4, 3: [0.3] * 4}, FOUR),
    )
    both = joined(first, second)
    assert both.runs["run_id"].tolist() == ["run_s1", "run_s2", "run_s3"]
    assert len(both.scores) == 12
    assert joined(Collected(first.runs[:0], first.scores[:0], ()), second).runs.equals(second.runs)


def test_a_model_of_other_slices_gets_no_licence_and_one_of_phantoms_no_score(
    config: dict[str, Any],
) -> None:
    other = {**config, "spec": {**config["spec"], "dataset_id": "f" * 64}}
    assert licence(other).startswith(
        "The licence of the slices that it was trained on is not known"
    )
    assert "license: other" in card(other)
    assert "Cheng (2017)" not in card(other)
    assert "no score of it means anything for patients" in card({**config, "phantom": True})


def test_of_other_slices_the_card_claims_no_sequence_no_tumour_on_each_and_no_clean_test(
    config: dict[str, Any],
) -> None:
    """--allow-empty-masks may have let in slices that show none, and the leak is not known."""
    words = ("contrast-enhanced T1", "each with an outlined tumour", "every slice of its training")
    unclear = "How many of them have their patient among the slices trained on is not known"
    spec = {**config["spec"], "dataset_id": "f" * 64, "seed": None}
    found = {**config["evaluation"], "shared_patients": None}
    other = card({**config, "spec": spec, "evaluation": found})
    assert unclear in other
    assert "seed" not in other
    assert not [each for each in words if each in other]
    assert all(each in card(config) for each in words)
    assert unclear not in card(config)


@pytest.mark.usefixtures("elsewhere")
def test_the_command_writes_a_folder_that_predict_takes(capsys: Capture, tmp_path: Path) -> None:
    assert call("reproduce --only arm=threshold --keep-models --out runs") == 0
    (run,) = (path.parent for path in (tmp_path / "runs").glob("*/model.pt"))
    assert call("export phantoms slices") == 0
    capsys.readouterr()
    assert call(f"export --to model {run.name} models/mine") == 0
    assert "trained on drawn phantoms" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "models" / "mine").iterdir()} == {*FILES, "splits"}
    before = snapshot(tmp_path / "models")
    assert "mine: exists already" in refused(capsys, f"export --to model {run.name} models/mine")
    assert snapshot(tmp_path / "models") == before
    for number, named in enumerate((run, "models/mine")):
        assert call(f"predict slices/images/1.nii.gz --run {named} --out {number}") == 0
    masks = [snapshot(tmp_path / str(number)) for number in range(2)]
    for name in masks[0]:
        assert masks[0][name] == masks[1][name]
    words = "is no network; choose a run of a network arm"
    assert words in refused(capsys, "export --to onnx models/mine network")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("phantoms x --runs mine", "--runs: is for --to model, onnx, not --to nifti; leave it out"),
        ("phantoms x --arm-file a.py", "a.py"),
        ("x y --to model --labels 2", "--labels: is for --to nifti, nnunet, onnx, not --to model"),
        ("x y --to model --spacing 1 1", "--spacing: is for --to nifti, nnunet, onnx, not"),
        ("x y --to model --check-on phantoms", "--check-on: is for --to onnx, not --to model"),
        ("x y --to model", "--runs runs: there is no such folder"),
    ],
)
def test_an_option_of_another_form_is_refused(
    capsys: Capture, tmp_path: Path, options: str, says: str
) -> None:
    assert says in refused(capsys, f"export {options}")
    assert not list(tmp_path.iterdir())


def test_a_run_without_a_model_says_how_to_get_one(capsys: Capture, tmp_path: Path) -> None:
    folder = write_own(tmp_path / "runs")
    words = "finished without its model; move the run's folder away and train it again"
    assert words in refused(capsys, f"export --to model {folder.path} {tmp_path / 'model'}")
    assert not (tmp_path / "model").exists()
    assert json.dumps(dict(find_stored(tmp_path, str(folder.path)).record))  # plain values
    assert len(collect(tmp_path / "runs").runs) == 1


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_shipped_texts_as_they_were(
    monkeypatch: Patch, tmp_path: Path
) -> None:
    from benchmark.errors import OutputError
    from benchmark.exports import model

    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (CONFIG, WEIGHTS):
        (copy / name).write_bytes((shipped_model() / name).read_bytes())
    before = snapshot(copy)
    monkeypatch.setattr(model, "shipped_model", lambda: copy)
    with pytest.raises(OutputError, match="cannot be written"):
        model.main()
    assert snapshot(copy) == before
    assert read_config(copy).content["format"] == 1
