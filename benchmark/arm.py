"""The contract of an arm: one way of turning T1-CE slices into tumour probability maps."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cached_property
from inspect import Parameter, get_annotations, signature
from pathlib import Path
from typing import Any, ClassVar, Protocol, get_origin, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from benchmark.arm_source import ArmSource, check_settled, import_source, own_modules, source_of
from benchmark.errors import ArmError, SpecError, known
from benchmark.preprocessing.level_table import Levels
from benchmark.protocol import Recipe

FloatImages = NDArray[np.float32]  # (N, H, W), preprocessed, in [-1, 1]
ProbMaps = NDArray[np.float32]  # (N, H, W), tumour probability in [0, 1]
Clicks = NDArray[np.int64]  # (N, 2), row and column of a pixel inside the tumour
ENTRY_POINTS = "meningioma_bench.arms"
VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


@dataclass(frozen=True, eq=False)
class Cases:
    """Preprocessed slices with their truth, as an arm learns from them.

    images (N, H, W) float32 in [-1, 1], made at first use of grey, which holds the same
    numbers in less memory where it can; masks (N, H, W) bool; slice_id (N,) int64;
    spacing_mm (row, column) of a pixel at this size.
    """

    grey: FloatImages | Levels
    masks: NDArray[np.bool_]
    slice_id: NDArray[np.int64]
    spacing_mm: tuple[float, float]

    @cached_property
    def images(self) -> FloatImages:
        return self.grey.values() if isinstance(self.grey, Levels) else self.grey

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of every image."""
        return self.masks.shape[1], self.masks.shape[2]

    def __len__(self) -> int:
        return len(self.slice_id)


@dataclass(frozen=True)
class RunContext:
    """What the harness hands to `fit` beside the cases.

    recipe is the resolved protocol; seed the root of every random stream; device a torch
    device name; checkpoint the file in which a network may leave its state to go on after
    a kill, at most once in checkpoint_every_seconds, but after every epoch once leaving says
    that the work is about to be stopped; on_epoch is called with the whole history (one dict
    per finished epoch) after every epoch.
    """

    recipe: Recipe
    seed: int
    device: str = "cpu"
    checkpoint: Path | None = None
    checkpoint_every_seconds: float = 60.0
    on_epoch: Callable[[list[dict[str, float]]], None] = lambda history: None
    leaving: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class FitReport:
    """What `fit` found out: facts for result.json, the history, and what it cost.

    facts are scalars (best_epoch, a tuned threshold, ...); history has one dict per epoch;
    parameters counts trained numbers; train_gflop_per_image is one forward and backward
    pass; None where it means nothing.
    """

    facts: Mapping[str, float | int | bool | str | None] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    parameters: int = 0
    train_gflop_per_image: float | None = None


@runtime_checkable
class Arm(Protocol):
    """An automatic arm. Parameters are the fields of a dataclass, all with defaults."""

    deterministic: ClassVar[bool]  # True: the grid collapses its seeds to one run
    needs_click: ClassVar[bool]  # False here

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        """Learn from train, choose on val. Called once, before `predict`."""
        ...

    def predict(self, images: FloatImages) -> ProbMaps:
        """Return a map per image. The answer for one image never depends on the others."""
        ...


@runtime_checkable
class ClickArm(Protocol):
    """A semi-automatic arm: it is shown one pixel inside each tumour, and every table says so."""

    deterministic: ClassVar[bool]
    needs_click: ClassVar[bool]  # True here

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport: ...

    def predict(self, images: FloatImages, clicks: Clicks) -> ProbMaps: ...


@runtime_checkable
class Keepable(Protocol):
    """An arm whose learning can be kept in a file, and put back into a fresh one like it."""

    def state(self) -> dict[str, Any]:
        """Return what `fit`, called before, learned: plain values, tensors on the processor."""
        ...

    def restore(self, state: Mapping[str, Any], context: RunContext) -> None:
        """Take the place of `fit`: `predict` then gives what it gave when state was taken.

        With the same device, threads and images at once to the bit, else but for rounding.
        """
        ...


@dataclass(frozen=True)
class ArmEntry:
    """What planning must know of an arm without importing it.

    target is "module:Class"; defaults are all its parameters with their default values; gflop
    returns, for parameters, the GFLOP of a forward and backward pass of a 512 x 512 image through
    the thesis's channels, from which times are estimated before any was measured; None: unknown.
    source: what an arm from outside was made of; None for one that this repository brings. broken:
    why it cannot be used, in a sentence; "" where it can.
    """

    target: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    deterministic: bool = False
    needs_click: bool = False
    gflop: Callable[[Mapping[str, Any]], float] | None = None
    source: ArmSource | None = None
    broken: str = ""

    @classmethod
    def of(
        cls, arm: type, package: str = "", version: str = "", since: float = math.inf
    ) -> ArmEntry:
        """Read the entry off an arm class: its dataclass fields, two flags, its source and, if any,
        gflop.

        package and version name the distribution that offers it, if any; since: when its import
        began, in seconds since 1970. Raises `ArmError` for a parameter without a default, or with
        one that names no run, one that is no dataclass field, a class in no file, and one whose
        file was changed since.
        """
        modules = own_modules(arm)
        check_settled(modules, since)
        _check_fields(arm, {arm.__module__, *modules})
        gflop = getattr(arm, "gflop", None)
        return cls(
            target=f"{arm.__module__}:{arm.__qualname__}",
            defaults=_defaults(arm),
            deterministic=bool(getattr(arm, "deterministic", False)),
            needs_click=bool(getattr(arm, "needs_click", False)),
            gflop=gflop if callable(gflop) else None,
            source=source_of(arm, modules, package, version),
        )

    def load(self) -> type:
        """Import the module and return the class; `ArmError` where it cannot be used."""
        self._check_usable()
        module, _, name = self.target.partition(":")
        try:
            arm = getattr(import_source(module), name)
        except (ImportError, AttributeError) as error:
            raise ArmError(
                f"arm {self.target!r} cannot be imported ({error}); install or repair its package"
            ) from error
        if not isinstance(arm, type):
            raise ArmError(f"arm {self.target!r} is a {type(arm).__name__}, not a class")
        return arm

    def resolve(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return every parameter, given ones over defaults; an unknown name lists the known.

        Raises `ArmError` where the arm cannot be used.
        """
        self._check_usable()
        for name in params:
            if name not in self.defaults:
                sentence = known("parameter", name, self.defaults or ["(none)"])
                raise SpecError(f"{self.target}: {sentence}")
        return {
            name: _like(f"{self.target}: {name}", default, params.get(name, default))
            for name, default in self.defaults.items()
        }

    def _check_usable(self) -> None:
        if self.broken:
            raise ArmError(self.broken)


def is_arm_class(thing: object) -> bool:
    """True for a class that has what every arm has: `fit` and `predict`."""
    learns = all(callable(getattr(thing, name, None)) for name in ("fit", "predict"))
    return isinstance(thing, type) and learns


def _like(where: str, default: Any, value: Any) -> Any:
    """The value in its default's type: alpha = 1 and alpha = 1.0 are the same run.

    `SpecError` for any other type, and for what could not name a folder.
    """
    if type(default) is float and type(value) is int:
        value = float(value)
    kind = type(default).__name__
    if default is not None and type(value) is not type(default):
        raise SpecError(f"{where} = {value!r} must be {kind}, as its default {default!r} is")
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError(f"{where} = {value!r} must be a finite number")
    if isinstance(value, str) and not re.fullmatch(r"[\w.+-]*", value):
        signs = "letters, digits, '.', '_', '+' and '-': it names a folder"
        raise SpecError(f"{where} = {value!r} must be made of {signs}")
    return value


def _defaults(arm: type) -> dict[str, Any]:
    if not is_dataclass(arm):
        return {}
    defaults = {f.name: f.default for f in fields(arm) if f.init}
    without = [name for name, default in defaults.items() if default is MISSING]
    if without:
        raise ArmError(
            f"{arm.__qualname__}: parameters without a default: {', '.join(without)}; write each "
            "as name: TYPE = DEFAULT"
        )
    for name, default in defaults.items():
        if not isinstance(default, bool | int | float | str | None):
            raise ArmError(
                f"{arm.__qualname__}: {name} = {default!r} names no run; its default must be a "
                "number, a text, True, False or None, of which build() can make it"
            )
    return defaults


def _check_fields(arm: type, own: Collection[str]) -> None:
    """Raise `ArmError` where a class of the arm's own modules hides a parameter from the harness.

    That is a name with an annotation in a class without `@dataclass`, or one that only `__init__`
    takes: it could neither be set nor be told from the run's record.
    """
    settable = {f.name for f in fields(arm) if f.init} if is_dataclass(arm) else set()
    for cls in arm.__mro__:
        if cls.__module__ not in own or "__dataclass_fields__" in vars(cls):
            continue
        hidden = [name for name, kind in _annotations(cls).items() if _hides(name, kind)]
        if hidden:
            raise ArmError(
                f"{_no_parameter(arm, hidden)}; write @dataclass above class {cls.__name__}"
            )
    taken = signature(arm).parameters.values()
    hidden = [p.name for p in taken if p.kind not in VARIADIC and p.name not in settable]
    if hidden:
        cure = f"write {hidden[0]}: TYPE = DEFAULT in the class, with @dataclass above it"
        raise ArmError(f"{_no_parameter(arm, hidden)}; {cure}, in place of its own __init__")


def _no_parameter(arm: type, hidden: list[str]) -> str:
    are = "is no parameter" if len(hidden) == 1 else "are no parameters"
    return f"{arm.__qualname__}: {', '.join(hidden)} {are} yet"


def _annotations(cls: type) -> dict[str, Any]:
    """The annotations of a class itself, those not to be evaluated as they stand."""
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return get_annotations(cls)


def _hides(name: str, kind: Any) -> bool:
    """True for the annotation of a parameter: of no private name, nor `ClassVar`, in any form."""
    if name.startswith("_"):
        return False
    text = getattr(kind, "__forward_arg__", kind)
    if isinstance(text, str):
        return re.match(r"(\w+\.)*ClassVar\b", text.strip()) is None
    return kind is not ClassVar and get_origin(kind) is not ClassVar
