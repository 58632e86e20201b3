"""The recipe of a run, everything that is decided before an arm is chosen, as frozen data."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, get_args, get_type_hints

from benchmark.errors import SpecError, known
from benchmark.storage.toml_file import read_table

PRECISIONS = ("fp32", "tf32", "bf16")


@dataclass(frozen=True)
class Preprocess:
    """nyul_fit: the images on which the standard histogram is learned, "all" or "train".

    nyul_foreground: the pixels whose percentiles count, "above_mean" or "whole".
    """

    nyul_fit: str = "all"
    nyul_foreground: str = "above_mean"
    nyul_percentiles: tuple[float, ...] = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)


@dataclass(frozen=True)
class SplitRule:
    """unit: what is drawn, "image", "patient" or "cvind" (the dataset authors' folds)."""

    unit: str = "image"
    test_fraction: float = 0.15
    val_fraction: float = 0.20
    folds: int = 7


@dataclass(frozen=True)
class Augmentation:
    """Probabilities in [0, 1] and greatest strengths; see `benchmark.training.augment` for each
    formula.

    intensity_mode: "scale" multiplies the intensity above black, "shift" adds a share of the
    grey range. black_level: the value of no signal, which scaling and bias leave alone.
    """

    affine_p: float = 1.0
    scale: float = 0.1
    rotation_degrees: float = 10.0
    elastic_p: float = 1.0
    elastic_control_points: int = 7
    elastic_mm: float = 7.5
    motion_p: float = 0.05
    motion_degrees: float = 10.0
    motion_mm: float = 10.0
    bias_p: float = 0.2
    bias_order: int = 3
    bias_coefficient: float = 0.5
    intensity_p: float = 0.25
    intensity_change: float = 0.3
    intensity_mode: str = "scale"
    noise_p: float = 0.25
    noise_sd: float = 0.25
    noise_with_intensity: bool = False
    black_level: float = -1.0


@dataclass(frozen=True)
class Network:
    """What every network arm shares, whatever its architecture."""

    channels: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    dropout: float = 0.3
    norm: str = "INSTANCE"
    act: str = "PRELU"


@dataclass(frozen=True)
class Loss:
    """activation: "softmax" over the two classes, or "sigmoid" of each.

    include_background adds the background channel; pool_batch sums over the batch first.
    """

    activation: str = "softmax"
    include_background: bool = False
    pool_batch: bool = False


@dataclass(frozen=True)
class Training:
    """Optimiser, stopping rule and arithmetic. monitor: "val_dice" (greater is better) or
    "val_loss".
    """

    optimiser: str = "adam"
    learning_rate: float = 1e-3
    batch_size: int = 16
    max_epochs: int = 200
    patience: int = 5
    monitor: str = "val_dice"
    precision: str = "fp32"


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
        """The values as plain JSON types, without the name."""
        return dict(self._identity)

    @cached_property
    def _identity(self) -> dict[str, Any]:  # of this object: an equal one may have 1 for 1.0
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
    "augmentation.elastic_control_points": (
        5,
        100,
    ),  # with fewer, every point is in a ring held still
    "network.channels": (1, 1e6),
    "network.dropout": (0, 1),
    "preprocess.nyul_percentiles": (0, 100),
    "split.folds": (3, 1e6),
}
ABOVE_ZERO = ("learning_rate", "batch_size", "max_epochs", "patience")


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
    base = (
        Recipe()
        if parent is None
        else load_recipe(str(parent), _extended=(*_extended, name_or_path))
    )
    for section, keys in table.items():
        if not isinstance(keys, dict):
            raise SpecError(f"protocol {name!r}: {section!r} stands outside a section")
        if section not in {f.name for f in fields(Recipe)} - {"name"}:
            raise SpecError(
                f"protocol {name!r}: {known('section', section, [f.name for f in fields(Recipe)][1:])}"
            )
    flat = {
        f"{s}.{k}": v
        for s, keys in table.items()
        if isinstance(keys, dict)
        for k, v in keys.items()
    }
    return override(base, name, {**flat, **(overrides or {})})


def override(recipe: Recipe, name: str, values: Mapping[str, Any]) -> Recipe:
    """Return the recipe with `section.key` values replaced, each checked for type and range."""
    sections = {f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name != "name"}
    tables = {section: asdict(value) for section, value in sections.items()}
    for dotted, value in values.items():
        section, _, key = dotted.partition(".")
        if section not in tables:
            raise SpecError(f"protocol {name!r}: {known('section', section, tables)}")
        if key not in tables[section]:
            raise SpecError(
                f"protocol {name!r}: {known(f'key in [{section}]', key, tables[section])}"
            )
        kind = get_type_hints(type(sections[section]))[key]
        tables[section][key] = _checked(f"{name}: {dotted}", dotted, kind, value)
    return Recipe(
        name=name, **{section: type(sections[section])(**tables[section]) for section in tables}
    )


def _checked(where: str, dotted: str, kind: Any, value: Any) -> Any:
    """Return the value in its field's type, or raise `SpecError` naming the rule."""
    if get_args(kind):  # tuple[float, ...]
        if not isinstance(value, list | tuple) or not value:
            raise SpecError(f"{where} = {value!r} must be a list of numbers")
        values = tuple(_checked(where, dotted, get_args(kind)[0], one) for one in value)
        if dotted == "preprocess.nyul_percentiles" and (
            len(values) < 2 or list(values) != sorted(set(values))
        ):
            raise SpecError(f"{where} = {value!r} must be two or more numbers that rise")
        return values
    if kind is float and _is_number(value):
        value = float(value)
    if type(value) is not kind:
        raise SpecError(f"{where} = {value!r} must be {kind.__name__}")
    if dotted in CHOICES and value not in CHOICES[dotted]:
        raise SpecError(f"{where}: {known('value', value, CHOICES[dotted])}")
    if _is_number(value):
        low, high = RANGES.get(
            dotted, (0, 1) if dotted.endswith(("_p", "_fraction")) else (0, sys.float_info.max)
        )
        if not low <= value <= high or (value == 0 and dotted.endswith(ABOVE_ZERO)):
            most = (
                f"lie in [{low:g}, {high:g}]"
                if high < sys.float_info.max
                else f"be at least {low:g}, and finite"
            )
            raise SpecError(f"{where} = {value} must {'be above 0' if value == 0 else most}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
