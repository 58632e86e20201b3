"""Run folders become tables; whatever is damaged is one error with its file and its cure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bench_forms import finish, process
from run_records import (
    NEWER,
    OLDER_SUMMARY,
    as_before,
    halves,
    rehash,
    rows_found,
    squares,
    table,
    varied,
    write_run,
)

import benchmark.runs.collect as module
from benchmark.errors import RecordError
from benchmark.protocol import load_recipe
from benchmark.runs import run_folder
from benchmark.runs.collect import DTYPES, changed_settings, collect, protocol_hash
from benchmark.runs.reader import canonical, same_number
from benchmark.runs.run_folder import RunFolder, RunState
from benchmark.scoring.evaluate import score

SLICES = squares()
SPLIT = halves(SLICES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_run(tmp_path / "runs", SLICES, SPLIT)
    return tmp_path / "runs"


def only(root: Path) -> RunFolder:
    (path,) = root.iterdir()
    return RunFolder(root, path.name)


def edit(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_one_row_with_everything_that_decides_comparability(root: Path) -> None:
    row = collect(root).runs.iloc[0]
    recipe = load_recipe("thesis")
    expected = {
        "arm": "unet", "params": '{"alpha":0.5,"kernel_size":5}', "kernel_size": 5, "alpha": 0.5,
        "seed": 1, "protocol": "thesis", "protocol_hash": protocol_hash(recipe.identity()),
        "split_unit": "image", "split_id": "by-image-1", "split_fingerprint": SPLIT.fingerprint,
        "height": 512, "width": 512, "precision": "fp32", "dataset_id": SLICES.dataset_id,
        "phantom": False, "needs_click": False, "parameters": 7_360_000, "device": "cpu",
        "fit.best_epoch": 7, "test.n": 4, "timing.fit_seconds": 120.0,
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected
    assert row["test.dice_mean"] == pytest.approx(16 / 18)  # 8 rows of 10: 2 * 80 / (80 + 100)
    assert pd.isna(row["train"])  # this split is not a shipped one


def test_a_row_says_what_kind_of_run_it_was(tmp_path: Path) -> None:
    drawn = squares(phantom=True)
    own = {"shape": (256, 512), "click": True, "params": {"kernel_size": "wide"}}
    folder = write_run(tmp_path, drawn, halves(drawn), **own)
    here = {"gpu": "A card", "git_commit": "aaaaaaaabb+ccccccccdd"}
    edit(folder / run_folder.ENVIRONMENT, lambda facts: facts.update(here))
    row = collect(tmp_path).runs.iloc[0]
    assert (row["height"], row["width"]) == (256, 512)
    assert (row["phantom"], row["needs_click"]) == (True, True)
    assert (row["device"], row["commit"]) == ("A card", "aaaaaaa + ccccccc")
    assert pd.isna(row["kernel_size"])  # words are no axis of a table; params has them
    assert row["params"] == '{"kernel_size":"wide"}'
    edit(folder / run_folder.ENVIRONMENT, lambda facts: facts.clear())
    row = collect(tmp_path).runs.iloc[0]
    assert (row["device"], row["commit"]) == ("unknown", "unknown")


def test_a_recipe_leaves_out_what_decides_how_a_test_image_may_be_known_beforehand(
    tmp_path: Path,
) -> None:
    """The rule of the split, and whose images teach the histogram; a network's hash is its own."""
    changes = [{}, {"split__unit": "patient"}, {"preprocess__nyul_fit": "train"},
               {"preprocess__nyul_foreground": "whole"}, {"network__dropout": 0.5}]  # fmt: skip
    recipes = [varied(**change) for change in changes]
    ids = [write_run(tmp_path, SLICES, SPLIT, recipe=recipe).run_id for recipe in recipes]
    runs = collect(tmp_path).runs.set_index("run_id").loc[ids]
    assert runs["protocol_hash"].nunique() == 5
    assert pd.factorize(runs["recipe_hash"])[0].tolist() == [0, 0, 0, 1, 2]
    assert pd.factorize(runs["network_hash"])[0].tolist() == [0, 0, 0, 0, 1]
    assert pd.factorize(runs["split_rule"])[0].tolist() == [0, 1, 0, 0, 0]
    assert runs["split_unit"].tolist() == ["image", "patient", "image", "image", "image"]


@pytest.mark.parametrize(
    ("stored", "value", "same"),
    [(0.5, 0.5 + 4e-10, True), (0.5, 0.5 + 2e-9, False), (5e6, 5e6 + 0.004, True),
     (5e6, 5e6 + 0.006, False), (0, 4e-10, True), (3, 3, True), (None, float("nan"), True),
     (None, 0.5, False), (0.5, float("nan"), False), (True, 1, False), ("1", 1, False)],
)  # fmt: skip
def test_a_stored_number_may_differ_by_its_last_bits_alone(
    stored: object, value: float, same: bool
) -> None:
    """A billionth, of the number or of 1: another processor sums in another order."""
    assert same_number(stored, value) is same


def test_scores_come_back_bit_for_bit_with_patients_as_text(root: Path) -> None:
    scores = collect(root).scores
    expected = score(SLICES, rows_found(SLICES, SPLIT, 8), SPLIT.test)
    assert scores["patient_id"].tolist() == ["100360", "100360", "100361", "100361"]
    assert scores["dice"].tolist() == expected["dice"].tolist()
    assert set(scores["run_id"]) == {only(root).run_id}


def test_unknown_patients_stay_unknown(tmp_path: Path) -> None:
    write_run(tmp_path, replace(SLICES, patient_id=(None,) * len(SLICES)), SPLIT)
    assert collect(tmp_path).scores["patient_id"].tolist() == [None] * 4


def test_a_patient_called_na_is_a_patient(tmp_path: Path) -> None:
    write_run(tmp_path, replace(SLICES, patient_id=("NA",) * len(SLICES)), SPLIT)
    assert set(collect(tmp_path).scores["patient_id"]) == {"NA"}


def test_an_arm_without_seed_kernel_or_alpha(tmp_path: Path) -> None:
    write_run(tmp_path, SLICES, SPLIT, arm="otsu", params={"lowest": 3}, seed=None)
    row = collect(tmp_path).runs.iloc[0]
    assert row["params"] == '{"lowest":3}'
    assert pd.isna(row[["seed", "kernel_size", "alpha"]]).all()


def test_an_arm_from_outside_has_its_source_in_the_table(tmp_path: Path) -> None:
    """Two sources are two runs; an arm of this repository has none."""
    for source in ("a" * 64, "b" * 64, None):
        write_run(tmp_path, SLICES, SPLIT, source=source)
    assert set(collect(tmp_path).runs["source"]) == {"a" * 64, "b" * 64, ""}


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("arm_source"),
        lambda content: content["arm_source"].update(sha256="b" * 64),
        lambda content: content["arm_source"].update(version=None),
        lambda content: content["arm_source"].pop("package"),
        lambda content: content.update(arm_source="my-arm"),
    ],
)
def test_a_record_that_does_not_say_what_its_arm_was_is_refused(
    tmp_path: Path, change: Callable[[dict], object]
) -> None:
    folder = write_run(tmp_path, SLICES, SPLIT, source="a" * 64)
    edit(folder / "spec.json", change)
    with pytest.raises(RecordError, match=r"spec\.json: .*arm_source.*remove the run's folder"):
        collect(tmp_path)


def test_a_record_that_names_a_source_its_run_has_not_is_refused(root: Path) -> None:
    told = {"package": "my-arm", "version": "0.1", "sha256": "a" * 64}
    edit(only(root) / "spec.json", lambda content: content.update(arm_source=told))
    with pytest.raises(RecordError, match=r"spec\.json: its arm_source is not the arm that"):
        collect(root)


def test_variants_of_one_protocol_name_never_mix_and_precision_stands_apart(tmp_path: Path) -> None:
    for recipe in (varied(), varied(training__patience=6), varied(training__precision="tf32")):
        write_run(tmp_path, SLICES, SPLIT, recipe=recipe)
    runs = collect(tmp_path).runs
    assert set(runs["protocol"]) == {"thesis"}
    assert runs["protocol_hash"].nunique() == 2
    thesis = runs["protocol_hash"] == protocol_hash(varied().identity())
    pairs = set(zip(runs["precision"], thesis, strict=True))
    assert pairs == {("fp32", True), ("fp32", False), ("tf32", True)}


def test_unfinished_runs_are_listed_and_other_folders_left_alone(root: Path) -> None:
    files = {"a/failure.json": "{}", "b/spec.json": "{}", "splits/x.json": "", "notes.txt": ""}
    for name, content in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content)
    collected = collect(root)
    assert collected.unfinished == (("a", RunState.FAILED), ("b", RunState.PARTIAL))
    assert len(collected.runs) == 1


def test_the_same_run_under_a_later_schema_takes_an_earlier_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = write_run(tmp_path, SLICES, SPLIT)
    with monkeypatch.context() as patch:
        for place in ("benchmark.runs.spec.SCHEMA", "benchmark.runs.run_folder.SCHEMA"):
            patch.setattr(place, 1)
        old, alone = write_run(tmp_path, SLICES, SPLIT), write_run(tmp_path, SLICES, SPLIT, seed=2)
    both = collect(tmp_path)
    assert set(both.runs["run_id"]) == set(both.scores["run_id"]) == {new.run_id, alone.run_id}
    assert both.superseded == (old.run_id,)
    asked = collect(tmp_path, {old.run_id})  # by name
    assert asked.runs["run_id"].tolist() == [old.run_id]


def test_a_run_of_before_the_distances_stays_readable_beside_a_new_one(tmp_path: Path) -> None:
    """Its numbers are the ones it was written with; what it never measured is empty."""
    old, new = write_run(tmp_path, SLICES, SPLIT), write_run(tmp_path, SLICES, SPLIT, seed=2)
    as_before(old)
    before = {path.name: path.read_bytes() for path in old.path.iterdir()}
    alone = collect(tmp_path, {old.run_id})
    assert not set(NEWER) & set(alone.scores)
    summary = [name for name in alone.runs if name.startswith("test.")]
    assert summary == [f"test.{name}" for name in OLDER_SUMMARY]
    both = collect(tmp_path)
    runs, scores = both.runs.set_index("run_id"), both.scores.set_index("run_id")
    older = [f"test.{name}" for name in OLDER_SUMMARY]
    assert runs.loc[old.run_id, older].equals(runs.loc[new.run_id, older].rename(old.run_id))
    assert runs.loc[old.run_id, ["test.hd95_mm_mean", "test.missed_rate"]].isna().all()
    assert scores.loc[old.run_id, list(NEWER)].isna().all(axis=None)
    assert scores.loc[new.run_id, list(NEWER)].notna().all(axis=None)
    assert {path.name: path.read_bytes() for path in old.path.iterdir()} == before


def test_no_runs_give_tables_with_the_same_columns(tmp_path: Path) -> None:
    nothing = collect(tmp_path / "nowhere")
    assert list(nothing.runs) == list(DTYPES)
    assert nothing.runs.empty
    assert nothing.scores.empty
    assert nothing.unfinished == ()


def test_a_file_for_a_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(RecordError, match="is a file; give the folder"):
        collect(tmp_path / "x")


def test_the_sizes_of_a_shipped_split_are_known(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "shipped_splits", lambda: {SPLIT.fingerprint: SPLIT})
    row = collect(root).runs.iloc[0]
    assert (row["train"], row["val"], row["test"]) == (3, 1, 4)


def test_scores_of_other_slices_than_the_split_tests_are_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = type(SPLIT)(SPLIT.split_id, SPLIT.train, SPLIT.val, SPLIT.test[1:])
    monkeypatch.setattr(module, "shipped_splits", lambda: {SPLIT.fingerprint: other})
    says = r"scores\.csv: its slices are not the test set of by-image-1"
    with pytest.raises(RecordError, match=says):
        collect(root)


def edited(change: Callable[[dict], object]) -> Callable[[Path], None]:
    return lambda path: edit(path, change)


ANYWAY = r"hash.*rescore"
# fmt: off
DAMAGE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "scores changed": ("scores.csv", lambda p: p.write_text(p.read_text().replace("0.8", "0.9", 1)),
                       ANYWAY),
    "scores cut": ("scores.csv", lambda p: p.write_bytes(p.read_bytes()[:40]), ANYWAY),
    "scores gone": ("scores.csv", Path.unlink, "cannot be read.*rescore"),
    "result cut": ("result.json", lambda p: p.write_text("{"), "cannot be read.*remove"),
    "result a list": ("result.json", lambda p: p.write_text("[]"), "not an object"),
    "result of another version": ("result.json", edited(lambda c: c.update(schema=9)),
                                  "schema 9.*remove"),
    "result of another run": ("result.json", edited(lambda c: c.update(run_id="x")), "'x'.*remove"),
    "result without test": ("result.json", edited(lambda c: c.pop("test")), "'test'.*remove"),
    "result without hashes": ("result.json", edited(lambda c: c.pop("sha256")), "sha256.*remove"),
    "result without a hash": ("result.json", edited(lambda c: c["sha256"].pop("scores.csv")),
                              "'sha256/scores.csv'.*remove"),
    "summary edited": ("result.json", edited(lambda c: c["test"].update(dice_median=0.99)),
                       "dice_median is not that of scores.csv; rescore"),
    "a distance left out": ("result.json", edited(lambda c: c["test"].pop("hd95_mm_median")),
                            "hd95_mm_median is not that of scores.csv"),
    "fit no table": ("result.json", edited(lambda c: c.update(fit=3)), "'fit' is a int"),
    "spec gone": ("spec.json", Path.unlink, "cannot be read.*remove"),
    "spec changed": ("spec.json", edited(lambda c: c["spec"].update(seed=2)),
                     "changed after the run"),
    "spec of another run": ("spec.json", edited(lambda c: c.update(run_id="y")), "'y'.*name again"),
    "spec of another version": ("spec.json", edited(lambda c: c["spec"].update(schema=9)),
                                "schema 9"),
    "no protocol's name": ("spec.json", edited(lambda c: c.pop("protocol")), "no 'protocol'.*rem"),
    "timing gone": ("timing.json", Path.unlink, "cannot be read.*remove"),
    "no time": ("timing.json", edited(lambda c: c.update(fit_seconds="1")), "'1' is no time"),
    "no parameter count": ("timing.json", edited(lambda c: c.update(parameters=None)),
                           "None is no count"),
    "environment gone": ("environment.json", Path.unlink, "cannot be read.*remove"),
}
# fmt: on


@pytest.mark.parametrize(("name", "damage", "words"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_one_error_naming_run_file_and_cure(
    root: Path, name: str, damage: Callable[[Path], object], words: str
) -> None:
    folder = only(root)
    damage(folder / name)
    with pytest.raises(RecordError, match=f"(?s){words}") as caught:
        collect(root)
    assert folder.run_id in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda spec: spec.update(shape=[64]), r"shape = \[64\] is no height and width; remove"),
        (lambda spec: spec.update(shape="ab"), "shape = 'ab' is no height and width; remove"),
        (lambda spec: spec.update(seed="x"), "seed = 'x' is no whole number; remove"),
        (lambda spec: spec["protocol"].update(split=3), "'spec/protocol/split' is a int.*remove"),
        (
            lambda spec: spec["protocol"]["training"].update(new=3),
            "unknown key in .training. 'new'.*remove",
        ),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused_though_its_hash_is_right(
    root: Path, change: Callable[[dict], object], words: str
) -> None:
    folder = only(root)
    edit(folder / "spec.json", lambda content: change(content["spec"]))
    spec = json.loads((folder / "spec.json").read_text())["spec"]
    digest = hashlib.sha256(canonical(spec).encode()).hexdigest()[:8]
    run_id = f"{folder.run_id.rpartition('_')[0]}_{digest}"
    for name in ("spec.json", "result.json"):
        edit(folder / name, lambda content: content.update(run_id=run_id))
    folder.path.rename(root / run_id)
    with pytest.raises(RecordError, match=f"spec.json: .*{words}"):
        collect(root)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("dice", "", "dice = nan is no number"),
        ("dice", "x", "dice = 'x' is no number"),
        ("dice", "1.5", "dice = 1.5 lies outside 0 to 1"),
        ("tp", "x", "tp = 'x' is no number"),
        ("tp", None, "no column 'tp'"),
        ("patient_id", None, "no column 'patient_id'"),
        ("sensitivity", "inf", "sensitivity = inf is no number"),
    ],
)
def test_scores_that_are_no_scores_are_refused(
    root: Path, column: str, value: str | None, words: str
) -> None:
    """Though the hash agrees."""
    folder = only(root)
    scores = pd.read_csv(folder / "scores.csv", dtype=str)
    changed = scores.drop(columns=column) if value is None else scores.assign(**{column: value})
    changed.to_csv(folder / "scores.csv", index=False)
    rehash(folder, "scores.csv")
    with pytest.raises(RecordError, match=words):
        collect(root)


def test_nothing_found_and_everything_found_are_scores(tmp_path: Path) -> None:
    slices = squares()
    for seed, rows in ((1, 0), (2, 10)):
        write_run(tmp_path, slices, halves(slices), rows=rows, seed=seed)
    assert sorted(collect(tmp_path).scores["dice"]) == [0.0] * 4 + [1.0] * 4


def test_collecting_and_comparing_import_neither_torch_nor_scipy_stats(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from benchmark.runs.collect import collect;"
        "from benchmark.judge.verdicts import *; from benchmark.judge.reference import *;"
        "from benchmark.judge.comparisons.runs import *;"
        "from benchmark.judge.comparable import progress;"
        f"c = collect(Path({str(root)!r})); a = c, load_reference(), load_tolerances();"
        "print(verdict_table(judge_printed_numbers(*a).rows).render(), progress(*a));"
        "print([t.render() for t in runs_tables(c)]);"
        "assert not {'torch', 'monai', 'scipy.stats', 'scipy.ndimage'} & set(sys.modules)"
    )
    code, _, err = finish(process(["-c", code], root))
    assert code == 0, err


def test_the_table_in_memory_has_only_columns_that_collecting_gives(root: Path) -> None:
    """The tests of compare use tables built in memory; this ties them to the real ones."""
    assert set(table({1: [0.5]}, ["a"]).runs) <= set(collect(root).runs)


@pytest.mark.parametrize("protocol", ["thesis", "patient"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"training.patience": 20, "loss.pool_batch": True},
        {"network.channels": [8, 16], "preprocess.nyul_fit": "all"},
    ],
)
def test_changed_settings_make_the_protocol_from_the_thesis_s(
    protocol: str, settings: dict[str, Any]
) -> None:
    own = load_recipe(protocol, settings)
    changed = changed_settings(own.identity())
    assert load_recipe("thesis", changed).identity() == own.identity()
    assert (changed == {}) == (protocol == "thesis" and settings == {})


def test_a_row_says_which_settings_were_changed(tmp_path: Path) -> None:
    write_run(tmp_path, SLICES, SPLIT, recipe=varied(training__patience=20))
    assert collect(tmp_path).runs["changed_settings"].tolist() == ['{"training.patience":20}']
