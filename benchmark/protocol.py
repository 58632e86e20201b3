"""The recipe of a run, everything that is decided before an arm is chosen, as frozen data."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, get_args, get_type_hints

from benchmark.errors import SpecError, known
from benchmark.storage.toml_file import read_table

PRECISIONS = ("fp32", "tf32", "bf16")
REASONS = "open"  # the part of a protocol file that is no setting
_, _THESIS = read_table("protocol", "thesis")


def _thesis(dotted: str) -> Any:
    """The default of `section.key`, which stands in `protocols/thesis.toml` and nowhere else."""
    section, _, key = dotted.partition(".")
    value = _THESIS[section][key]
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Preprocess:
    """nyul_fit: the images on which the standard histogram is learned, "all" or "train".

    nyul_foreground: the pixels whose percentiles count, "above_mean" or "whole".
    """

    nyul_fit: str = _thesis("preprocess.nyul_fit")
    nyul_foreground: str = _thesis("preprocess.nyul_foreground")
    nyul_percentiles: tuple[float, ...] = _thesis("preprocess.nyul_percentiles")


@dataclass(frozen=True)
class SplitRule:
    """unit: what is drawn, "image", "patient" or "cvind" (the dataset authors' folds)."""

    unit: str = _thesis("split.unit")
    test_fraction: float = _thesis("split.test_fraction")
    val_fraction: float = _thesis("split.val_fraction")
    folds: int = _thesis("split.folds")


@dataclass(frozen=True)
class Augmentation:
    """Probabilities in [0, 1] and greatest strengths; formulas: `benchmark.training.augment`.

    intensity_mode: "scale" multiplies the intensity above black, "shift" adds a share of the
    grey range. black_level: the value of no signal, which scaling and bias leave alone.
    """

    affine_p: float = _thesis("augmentation.affine_p")
    scale: float = _thesis("augmentation.scale")
    rotation_degrees: float = _thesis("augmentation.rotation_degrees")
    elastic_p: float = _thesis("augmentation.elastic_p")
    elastic_control_points: int = _thesis("augmentation.elastic_control_points")
    elastic_mm: float = _thesis("augmentation.elastic_mm")
    motion_p: float = _thesis("augmentation.motion_p")
    motion_degrees: float = _thesis("augmentation.motion_degrees")
    motion_mm: float = _thesis("augmentation.motion_mm")
    bias_p: float = _thesis("augmentation.bias_p")
    bias_order: int = _thesis("augmentation.bias_order")
    bias_coefficient: float = _thesis("augmentation.bias_coefficient")
    intensity_p: float = _thesis("augmentation.intensity_p")
    intensity_change: float = _thesis("augmentation.intensity_change")
    intensity_mode: str = _thesis("augmentation.intensity_mode")
    noise_p: float = _thesis("augmentation.noise_p")
    noise_sd: float = _thesis("augmentation.noise_sd")
    noise_with_intensity: bool = _thesis("augmentation.noise_with_intensity")
    black_level: float = _thesis("augmentation.black_level")


@dataclass(frozen=True)
class Network:
    """What every network arm shares, whatever its architecture."""

    channels: tuple[int, ...] = _thesis("network.channels")
    dropout: float = _thesis("network.dropout")
    norm: str = _thesis("network.norm")
    act: str = _thesis("network.act")


@dataclass(frozen=True)
class Loss:
    """activation: "softmax" over the two classes, or "sigmoid" of each.

    include_background adds the background channel; pool_batch sums over the batch first.
    """

    activation: str = _thesis("loss.activation")
    include_background: bool = _thesis("loss.include_background")
    pool_batch: bool = _thesis("loss.pool_batch")


@dataclass(frozen=True)
class Training:
    """Optimiser, stopping rule and arithmetic.

    monitor: "val_dice" (greater is better) or "val_loss".
    """

    optimiser: str = _thesis("training.optimiser")
    learning_rate: float = _thesis("training.learning_rate")
    batch_size: int = _thesis("training.batch_size")
    max_epochs: int = _thesis("training.max_epochs")
    patience: int = _thesis("training.patience")
    monitor: str = _thesis("training.monitor")
    precision: str = _thesis("training.precision")


@dataclass(frozen=True)
class Recipe:
    """A whole protocol. Its values are part of a run's identity; its name is not."""

    name: str = "thesis"
    preprocess: Preprocess = field(default_factory=Preprocess)
    split: SplitRule = field(default_factory=SplitRule)
    augmentation: Augmentation = field(default_factory=Augmentation)
    network: Network = field(default_factory=Network)
    loss: Loss = field(default_factory=Loss)
    training: Training = field(default_factory=Training)

    def identity(self) -> dict[str, Any]:
        """The values as plain JSON types, without the name; the caller's own to change."""
        return {section: dict(values) for section, values in self._identity.items()}

    @cached_property  # of this object: an equal one may have 1 for 1.0
    def _identity(self) -> dict[str, dict[str, Any]]:
        return {key: value for key, value in asdict(self).items() if key != "name"}


CHOICES = {
    "preprocess.nyul_fit": ("all", "train"),
    "preprocess.nyul_foreground": ("above_mean", "whole"),
    "augmentation.intensity_mode": ("scale", "shift"),
    "loss.activation": ("softmax", "sigmoid"),
    "network.norm": ("INSTANCE", "BATCH"),
    "network.act": ("PRELU", "RELU", "LEAKYRELU"),
    "training.optimiser": ("adam", "adamw", "sgd"),
    "split.unit": ("image", "patient", "cvind"),
    "training.monitor": ("val_dice", "val_loss"),
    "training.precision": PRECISIONS,
}
RANGES = {  # section.key -> least and greatest; elsewhere 0 to infinity, and above 0 for ABOVE_ZERO
    "augmentation.black_level": (-1e6, 1e6),
    "augmentation.bias_order": (0, 10),
    "augmentation.elastic_control_points": (5, 100),  # fewer: all lie in the rings held still
    "network.channels": (1, 1e6),
    "network.dropout": (0, 1),
    "preprocess.nyul_percentiles": (0, 100),
    "split.folds": (3, 1e6),
}
ABOVE_ZERO = ("learning_rate", "batch_size", "max_epochs", "patience")


class OpenSetting(NamedTuple):
    """A setting that the thesis leaves open: its default, as a TOML file has it, and the reason."""

    section: str
    setting: str
    default: str
    why: str


def open_settings(name_or_path: str) -> list[OpenSetting]:
    """Return what a protocol's file says of its own settings in [open.SECTION], in their order."""
    _, table = read_table("protocol", name_or_path)
    reasons, _ = table.pop(REASONS, {}), table.pop("extends", None)
    return [
        OpenSetting(section, key, json.dumps(value), reasons[section][key])
        for section in table
        for key, value in table[section].items()
        if key in reasons.get(section, {})
    ]


def load_recipe(
    name_or_path: str,
    overrides: Mapping[str, Any] | None = None,
    *,
    _extended: tuple[str, ...] = (),
) -> Recipe:
    """Read a shipped protocol by name, or a TOML file by path, and apply `section.key` overrides.

    Raises `SpecError` for an unknown protocol, section or key, a wrong type, or a value
    out of range; the message lists what is allowed.
    """
    name, table = read_table("protocol", name_or_path)
    if name_or_path in _extended:
        raise SpecError(f"protocol {name_or_path!r} extends itself; name another in extends")
    parent = table.pop("extends", None)
    table.pop(REASONS, None)
    extended = (*_extended, name_or_path)
    base = Recipe() if parent is None else load_recipe(str(parent), _extended=extended)
    for section, keys in table.items():
        if not isinstance(keys, dict):
            raise SpecError(f"protocol {name!r}: {section!r} stands outside a section")
        if section not in base.identity():
            raise SpecError(f"protocol {name!r}: {known('section', section, base.identity())}")
    values = {
        f"{section}.{key}": table[section][key] for section in table for key in table[section]
    }
    return override(base, name, {**values, **(overrides or {})})


def override(recipe: Recipe, name: str, values: Mapping[str, Any]) -> Recipe:
    """Return the recipe with `section.key` values replaced, each checked for type and range."""
    tables = recipe.identity()
    kinds = {section: type(getattr(recipe, section)) for section in tables}
    for dotted, value in values.items():
        section, _, key = dotted.partition(".")
        if section not in tables:
            raise SpecError(f"protocol {name!r}: {known('section', section, tables)}")
        if key not in tables[section]:
            unknown = known(f"key in [{section}]", key, tables[section])
            raise SpecError(f"protocol {name!r}: {unknown}")
        kind = get_type_hints(kinds[section])[key]
        tables[section][key] = _checked(f"{name}: {dotted}", dotted, kind, value)
    return Recipe(name=name, **{section: kinds[section](**tables[section]) for section in tables})


def _checked(where: str, dotted: str, kind: Any, value: Any) -> Any:
    """Return the value in its field's type, or raise `SpecError` naming the rule."""
    if not get_args(kind):
        return _checked_value(where, dotted, kind, value)
    if not isinstance(value, list | tuple) or not value:
        raise SpecError(f"{where} = {value!r} must be a list of numbers")
    values = tuple(_checked_value(where, dotted, get_args(kind)[0], item) for item in value)
    rising = len(values) >= 2 and list(values) == sorted(set(values))
    if dotted == "preprocess.nyul_percentiles" and not rising:
        raise SpecError(f"{where} = {value!r} must be two or more numbers that rise")
    return values


def _checked_value(where: str, dotted: str, kind: Any, value: Any) -> Any:
    """The same for a field, or an element of one, that is no list."""
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise SpecError(f"{where} = {value!r} must be {kind.__name__}")
    if dotted in CHOICES and value not in CHOICES[dotted]:
        raise SpecError(f"{where}: {known('value', value, CHOICES[dotted])}")
    if kind in (int, float):
        _check_range(where, dotted, value)
    return value


def _check_range(where: str, dotted: str, value: float) -> None:
    share, infinite = dotted.endswith(("_p", "_fraction")), sys.float_info.max
    low, high = RANGES.get(dotted, (0, 1 if share else infinite))
    if low <= value <= high and (value != 0 or not dotted.endswith(ABOVE_ZERO)):
        return
    rule = f"be at least {low:g}, and finite" if high == infinite else f"lie in [{low:g}, {high:g}]"
    raise SpecError(f"{where} = {value} must {'be above 0' if value == 0 else rule}")
