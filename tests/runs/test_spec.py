"""The identity of a run: what enters run_id, and what does not."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import fields, replace
from typing import Any

import pytest
from bench_forms import ROOT
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import costly, law, recipes, seeds

from benchmark.protocol import Recipe, load_recipe, override
from benchmark.runs.reader import read_spec
from benchmark.runs.run_folder import RunFolder, read_json
from benchmark.runs.spec import RunSpec

BASE = RunSpec(
    arm="unet",
    params={"alpha": 0.5, "kernel_size": 5},
    recipe=Recipe(),
    dataset_id="a" * 64,
    content_fingerprint="b" * 64,
    split_id="by-image-1",
    split_fingerprint="c" * 64,
    shape=(512, 512),
    seed=452669,
)
names = st.text("abcdefghij_", min_size=1, max_size=8)
values = st.integers(-5, 5) | st.floats(-2, 2) | st.booleans() | names
params = st.dictionaries(names, values, max_size=5)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
shapes = st.tuples(st.sampled_from([64, 256, 512]), st.sampled_from([64, 256, 512]))

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **{"arm": names, "params": params, "recipe": recipes(), "shape": shapes},
    **dict.fromkeys(("dataset_id", "content_fingerprint", "split_fingerprint"), digests),
    "seed": seeds | st.none(),
    "source": digests | st.none(),
}


def test_run_id_is_readable() -> None:
    assert re.fullmatch(
        r"unet_alpha0\.5_kernel-size5_by-image-1_512_fp32_s452669_[0-9a-f]{8}", BASE.run_id
    )


def test_a_deterministic_run_has_neither_seed_nor_precision_and_an_oblong_both_sides() -> None:
    spec = replace(BASE, arm="otsu", params={}, seed=None, shape=(512, 384))
    assert re.fullmatch(r"otsu_by-image-1_512x384_[0-9a-f]{8}", spec.run_id)


@pytest.mark.parametrize(
    ("seed", "shape", "words"), [(0, (256, 512), "256x512_fp32_s0"), (None, (512, 256), "512x256")]
)
def test_run_id_ends_with_the_hash_of_the_identity_written_out(
    seed: int | None, shape: tuple[int, int], words: str
) -> None:
    """Records are found by it: another text would orphan all there are."""
    spec = replace(BASE, seed=seed, shape=shape)
    identity = {"schema": 2, "arm": "unet", "params": {"alpha": 0.5, "kernel_size": 5},
                "protocol": Recipe().identity(), "dataset_id": "a" * 64,
                "content_fingerprint": "b" * 64, "split_fingerprint": "c" * 64,
                "shape": shape, "seed": seed}  # fmt: skip
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    assert spec.run_id == f"unet_alpha0.5_kernel-size5_by-image-1_{words}_{digest}"


def test_the_cell_is_what_a_person_calls_the_run() -> None:
    assert BASE.cell == "unet(alpha=0.5, kernel_size=5) seed 452669"
    assert replace(BASE, arm="otsu", params={}, seed=None).cell == "otsu()"


def test_identity_holds_these_facts_and_no_path_device_or_worker() -> None:
    facts = {"schema", "protocol", *FIELDS} - {"recipe"}
    assert set(BASE.canonical()) == facts - {"source"}  # which no arm of this repository has
    assert set(replace(BASE, source="d" * 64).canonical()) == facts
    assert {f.name for f in fields(RunSpec)} == {*FIELDS, "split_id"}
    text = json.dumps(BASE.canonical())
    assert not re.search(r"path|folder|device|cuda|cpu|worker|verbos|checkpoint|/", text)


def test_the_records_shipped_here_are_the_runs_of_todays_specs() -> None:
    """A run_id that was written once stays: under another every cell would be trained anew.

    Every record is read back as a spec whose identity is the stored text; of schema 1 there are
    eight, whose names today's code would write otherwise.
    """
    root = ROOT / "reference_results" / "reproduction"
    folders = [RunFolder(root, path.name) for path in root.iterdir() if path.is_dir()]
    assert len(folders) > 50
    today = 0
    for folder in folders:
        spec, schema = read_spec(folder)
        stored = read_json(folder / "spec.json")["spec"]
        plain = json.loads(json.dumps(spec.canonical()))
        assert {**plain, "schema": schema} == stored
        assert spec.run_id.rpartition("_")[0] == folder.run_id.rpartition("_")[0]
        assert (spec.run_id == folder.run_id) == (schema == 2)
        today += schema == 2
    assert len(folders) - today == 8


def test_the_identity_is_plain_json() -> None:
    text = json.dumps(BASE.canonical(), allow_nan=False)
    assert json.dumps(json.loads(text)) == text


def test_the_name_of_a_protocol_or_split_is_no_part_of_the_identity() -> None:
    renamed = replace(BASE, recipe=replace(Recipe(), name="other"), split_id="by-image-9")
    assert renamed.canonical() == BASE.canonical()
    assert renamed.run_id[-8:] == BASE.run_id[-8:]
    assert load_recipe("patient").identity() != Recipe().identity()


@law
@given(params, st.data())
def test_run_id_does_not_depend_on_the_order_of_parameters(
    drawn: dict[str, Any], data: st.DataObject
) -> None:
    """A run_id is over the canonical text, whatever the order of a dict."""
    other = dict(data.draw(st.permutations(list(drawn.items()))))
    assert replace(BASE, params=other).run_id == replace(BASE, params=drawn).run_id


@pytest.mark.parametrize("field", sorted(FIELDS))
@costly
@given(data=st.data())
def test_run_id_changes_with_every_field_of_the_identity(field: str, data: st.DataObject) -> None:
    """Two specs are the same run if and only if every field of their identity agrees."""
    value = data.draw(FIELDS[field])
    before = getattr(BASE, field)
    assume(value.identity() != before.identity() if field == "recipe" else value != before)
    assert replace(BASE, **{field: value}).run_id[-8:] != BASE.run_id[-8:]


@law
@given(recipes())
def test_each_value_of_the_protocol_enters(recipe: Recipe) -> None:
    """The resolved protocol is part of the identity, its name is not."""
    same = replace(BASE, recipe=recipe).run_id[-8:] == BASE.run_id[-8:]
    assert same == (recipe.identity() == Recipe().identity())


@pytest.mark.parametrize(
    ("dotted", "value"),
    [
        ("augmentation.noise_sd", 0.26),
        ("preprocess.nyul_percentiles", [1, 50, 99]),
        ("training.monitor", "val_loss"),
    ],
)
def test_changing_one_value_of_the_protocol_changes_run_id(dotted: str, value: object) -> None:
    recipe = override(Recipe(), "thesis", {dotted: value})
    assert replace(BASE, recipe=recipe).run_id != BASE.run_id


@law
@given(st.sampled_from([0, 1, 7, 452669]), recipes(), shapes)
def test_run_id_is_a_folder_name(seed: int, recipe: Recipe, shape: tuple[int, int]) -> None:
    """One folder per run: its name has letters, digits, dot, hyphen and underscore only."""
    run_id = replace(BASE, seed=seed, recipe=recipe, shape=shape).run_id
    assert re.fullmatch(r"[A-Za-z0-9._-]+", run_id)
