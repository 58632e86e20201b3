"""Protocols: the defaults, the shipped files, and what is refused."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from strategies import law, overrides, recipes

from benchmark.errors import SpecError
from benchmark.protocol import CHOICES, Recipe, load_recipe, open_settings, override


def shipped(name: str) -> dict[str, Any]:
    path = files("benchmark") / "protocols" / f"{name}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def flat(table: dict[str, Any]) -> dict[str, Any]:
    sections = {s: keys for s, keys in table.items() if isinstance(keys, dict)}
    return {f"{s}.{k}": value for s, keys in sections.items() for k, value in keys.items()}


DEFAULTS = Recipe().identity()
FLAT = flat(DEFAULTS)


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def test_thesis_is_the_default_recipe() -> None:
    """Each default stands once, in thesis.toml, and is of its field's type."""
    assert load_recipe("thesis") == Recipe()
    assert set(flat(shipped("thesis"))) - {"open." + name for name in DEFAULTS} == set(FLAT)


def test_a_setting_is_open_where_the_file_says_so_with_a_reason(tmp_path: Path) -> None:
    """In the order of the settings, the default as written; [open] is no setting itself."""
    path = tmp_path / "mine.toml"
    reasons = '[open.loss]\npool_batch = "2.10"\n[open.network]\nchannels = "fewer"\n'
    values = "[network]\nchannels = [4, 8]\n[loss]\npool_batch = true\n"
    path.write_text(f'extends = "thesis"\n{reasons}{values}', "utf-8")
    rows = [("network", "channels", "[4, 8]", "fewer"), ("loss", "pool_batch", "true", "2.10")]
    assert open_settings(str(path)) == rows
    assert load_recipe(str(path)).identity()["network"]["channels"] == (4, 8)
    told = {f"{row.section}.{row.setting}" for row in open_settings("thesis")}
    assert told == set(flat(shipped("thesis")["open"]))
    assert open_settings("patient") == []


@pytest.mark.parametrize(
    ("dotted", "printed"),
    [
        ("split.unit", "image"),  # 2.7
        ("split.test_fraction", 0.15),  # 2.7
        ("split.val_fraction", 0.20),  # 2.7
        ("network.channels", (16, 32, 64, 128, 256, 512)),  # 2.6
        ("network.dropout", 0.3),  # 2.10
        ("training.patience", 5),  # 2.10
        ("preprocess.nyul_percentiles", (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)),  # Nyul's
        ("augmentation.affine_p", 1.0),  # 2.8, always
        ("augmentation.elastic_p", 1.0),
        ("augmentation.noise_p", 0.25),  # one time in four
        ("augmentation.intensity_p", 0.25),
        ("augmentation.intensity_change", 0.3),  # -30 to +30 %
        ("augmentation.motion_p", 0.05),
        ("augmentation.bias_p", 0.2),
    ],
)
def test_values_that_the_thesis_prints(dotted: str, printed: object) -> None:
    assert FLAT[dotted] == printed


def test_patient_differs_from_thesis_in_two_values_only() -> None:
    thesis, patient = load_recipe("thesis").identity(), load_recipe("patient").identity()
    changed = {k: flat(patient)[k] for k in FLAT if flat(patient)[k] != flat(thesis)[k]}
    assert changed == {"split.unit": "patient", "preprocess.nyul_fit": "train"}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("theses", r"unknown protocol 'theses'; known: patient, thesis, or a path ending in \."),
        ("nowhere/mine.toml", r"mine\.toml is not there"),
    ],
)
def test_a_protocol_that_is_not_there_is_named(name: str, sentence: str) -> None:
    with pytest.raises(SpecError, match=sentence):
        load_recipe(name)


def test_a_file_of_ones_own_extends_a_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = 'extends = "patient"\n[training]\nbatch_size = 4\nlearning_rate = 1\n'
    path.write_text(text, encoding="utf-8")
    recipe = load_recipe(str(path), {"training.batch_size": 8})
    own = (recipe.name, recipe.split.unit, recipe.preprocess.nyul_fit)
    assert own == ("mine", "patient", "train")
    assert recipe.training.batch_size == 8  # an override beats the file
    assert recipe.training.learning_rate == 1.0
    assert type(recipe.training.learning_rate) is float  # a whole number will do for a float


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training\n", "not valid TOML"),
        ("[trainings]\n", "unknown section 'trainings'"),
        ("patience = 5\n", "'patience' stands outside a section"),
        ("[trainings]\npatience = 5\n", "section 'trainings'; known: augmentation, .*, training"),
        ("[training]\npatiense = 5\n", r"key in \[training\] 'patiense'; known: batch_size, .*"),
        ("[training]\npatience = 0\n", "training.patience = 0 must be above 0"),
        ("[training.patience]\nepochs = 5\n", "training.patience = .* must be int"),
        ('extends = "theses"\n', "unknown protocol 'theses'"),
    ],
)
def test_a_malformed_protocol_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        load_recipe(str(path))


@pytest.mark.parametrize("section", sorted(DEFAULTS))
def test_an_unknown_key_lists_the_known_ones_of_its_section(section: str) -> None:
    listed = re.escape(", ".join(sorted(DEFAULTS[section])))
    sentence = rf"unknown key in \[{section}\] 'nonsense'; known: {listed}"
    with pytest.raises(SpecError, match=sentence):
        load_recipe("thesis", {f"{section}.nonsense": 1})


@pytest.mark.parametrize("dotted", ["nonsense.key", "nonsense", "", "name.key"])
def test_an_unknown_section_lists_the_known_ones(dotted: str) -> None:
    listed = ", ".join(sorted(DEFAULTS))
    with pytest.raises(SpecError, match=f"unknown section .*; known: {listed}"):
        load_recipe("thesis", {dotted: 1})


@pytest.mark.parametrize("dotted", sorted(FLAT))
def test_a_wrong_type_is_refused_by_every_key(dotted: str) -> None:
    wrong: object = 3 if isinstance(FLAT[dotted], str | bool | tuple) else "three"
    with pytest.raises(SpecError, match=re.escape(dotted)):
        load_recipe("thesis", {dotted: wrong})


@pytest.mark.parametrize("dotted", sorted(k for k, v in FLAT.items() if type(v) is int))
@pytest.mark.parametrize("wrong", [True, 2.5])
def test_a_whole_number_is_neither_a_flag_nor_a_fraction(dotted: str, wrong: object) -> None:
    with pytest.raises(SpecError, match="must be int"):
        load_recipe("thesis", {dotted: wrong})


@pytest.mark.parametrize("dotted", sorted(CHOICES))
def test_a_value_that_is_no_choice_lists_the_choices(dotted: str) -> None:
    listed = ", ".join(sorted(CHOICES[dotted]))
    with pytest.raises(SpecError, match=f"unknown value 'nonsense'; known: {listed}"):
        load_recipe("thesis", {dotted: "nonsense"})


@pytest.mark.parametrize("dotted", sorted(CHOICES))
def test_every_choice_is_taken(dotted: str) -> None:
    for choice in CHOICES[dotted]:
        assert flat(load_recipe("thesis", {dotted: choice}).identity())[dotted] == choice


@pytest.mark.parametrize(
    ("dotted", "value"),
    [
        *((dotted, p) for dotted in FLAT if dotted.endswith("_p") for p in (-0.1, 1.1)),
        ("augmentation.motion_p", float("nan")),
        ("augmentation.elastic_mm", -1),
        ("augmentation.noise_sd", float("nan")),
        ("training.learning_rate", 0),
        ("training.learning_rate", float("nan")),
        ("training.learning_rate", float("inf")),
        ("augmentation.black_level", float("nan")),
        ("preprocess.nyul_percentiles", []),
        ("preprocess.nyul_percentiles", [1, "50", 99]),
        *(("network.channels", [first, 32]) for first in (True, 16.5, float("nan"))),
        ("preprocess.nyul_percentiles", [99, 50, 1]),
    ],
)
def test_a_value_out_of_range_is_refused(dotted: str, value: object) -> None:
    with pytest.raises(SpecError, match=re.escape(dotted)):
        load_recipe("thesis", {dotted: value})


@pytest.mark.parametrize(
    ("dotted", "inside", "outside"),
    [
        ("network.dropout", [0, 1], [-0.01, 1.01]),
        ("split.test_fraction", [0, 1], [-0.01, 1.01]),
        ("split.val_fraction", [0, 1], [-0.01, 1.01]),
        ("split.folds", [3, 1_000_000], [2, 1_000_001]),
        ("augmentation.bias_order", [0, 10], [-1, 11]),
        ("augmentation.elastic_control_points", [5, 100], [4, 101]),
        ("augmentation.elastic_mm", [0, 1e300], [-0.01]),
        ("augmentation.black_level", [-1e6, -3, 1e6], [-1.1e6, 1.1e6]),
        ("training.batch_size", [1], [0]),
        ("training.max_epochs", [1], [0, -1]),
        ("training.patience", [1], [0, -1]),
        ("network.channels", [[1, 1_000_000]], [[0, 32], [32, 1_000_001]]),
        (
            "preprocess.nyul_percentiles",
            [[0, 50, 100], [0, 100]],
            [[-1, 50], [50, 101], [50], [50, 50]],
        ),
    ],
)
def test_the_ends_of_a_range_are_in_it(dotted: str, inside: list[Any], outside: list[Any]) -> None:
    for value in inside:
        changed = flat(load_recipe("thesis", {dotted: value}).identity())
        assert plain(changed[dotted]) == value
    for value in outside:
        with pytest.raises(SpecError, match=rf"{re.escape(dotted)} = .* must"):
            load_recipe("thesis", {dotted: value})


def test_protocols_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / "a.toml", tmp_path / "b.toml"]
    for path, other in zip(paths, paths[::-1], strict=True):
        path.write_text(f"extends = '{other}'\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"a\.toml' extends itself; name another in extends"):
        load_recipe(str(paths[0]))


@law
@given(overrides())
def test_an_override_replaces_its_value_and_no_other(values: dict[str, object]) -> None:
    """`section.key` values are replaced, and nothing else is."""
    changed = flat(override(Recipe(), "drawn", values).identity())
    assert changed == {**FLAT, **values}


@law
@given(recipes())
def test_a_recipe_survives_being_written_out_and_read_again(recipe: Recipe) -> None:
    """The identity holds every value but the name, and the recipe can be built from it again."""
    values = {dotted: plain(value) for dotted, value in flat(recipe.identity()).items()}
    assert override(Recipe(), recipe.name, values) == recipe
    assert "name" not in recipe.identity()


def test_an_override_leaves_the_recipe_that_it_began_with_as_it_was() -> None:
    recipe = load_recipe("thesis")
    before = recipe.identity()
    changed = override(recipe, "changed", {"training.max_epochs": 7})
    recipe.identity()["training"]["max_epochs"] = 8
    assert (changed.training.max_epochs, recipe.identity()) == (7, before)
