"""An entry read off a class: every parameter of it can be set and recorded, or it is refused."""

from __future__ import annotations

import typing
from dataclasses import InitVar, dataclass, field
from typing import Any, ClassVar

import pytest

from benchmark.arm import ArmEntry
from benchmark.errors import ArmError


@dataclass
class Whole:
    width: int = 32
    deterministic: ClassVar[bool] = True
    count: typing.ClassVar = 3
    learned: Any = field(default=None, init=False)
    _memory: int = field(default=0, init=False)


class AddsNothing(Whole):
    """An undecorated subclass may fill in what it has."""

    deterministic = False
    _cache: dict[str, int]
    kind: ClassVar[str] = "plain"

    def fit(self) -> int:
        return self.width


class Bare:
    width: int = 32
    depth: int = 3


class Below(Whole):
    depth: int = 3


class Overwrites(Whole):
    width: int = 64


@dataclass
class OnTopOfBare(Bare):
    alpha: float = 0.5


class ByHand:
    def __init__(self, width: int = 32, *, depth: int = 3) -> None:
        self.width, self.depth = width, depth


@dataclass
class OnTopOfByHand(ByHand):
    alpha: float = 0.5

    def __init__(self, alpha: float = 0.5, width: int = 32) -> None:
        super().__init__(width)
        self.alpha = alpha


@dataclass
class Passing:
    """Takes any words, and names none."""

    alpha: float = 0.5

    def __init__(self, *words: Any, **more: Any) -> None:
        self.alpha = more.get("alpha", 0.5)


@dataclass
class OnlyAtTheStart:
    width: InitVar[int] = 32


@pytest.mark.parametrize("arm", [Whole, AddsNothing])
def test_fields_of_a_dataclass_are_parameters(arm: type) -> None:
    entry = ArmEntry.of(arm)
    assert entry.defaults == {"width": 32}
    assert entry.deterministic is (arm is Whole)


def test_an_annotation_of_the_class_is_no_parameter_where_it_is_evaluated_either() -> None:
    kinds = {"kind": ClassVar[str], "other": ClassVar, "third": "typing.ClassVar[int]"}
    arm = type("Evaluated", (Whole,), {"__module__": __name__, "__annotations__": kinds})
    assert ArmEntry.of(arm).defaults == {"width": 32}
    kinds["width"] = int
    with pytest.raises(ArmError, match="Evaluated: width is no parameter yet"):
        ArmEntry.of(type("Evaluated", (Whole,), {"__module__": __name__, "__annotations__": kinds}))


def test_an_init_that_names_no_parameter_hides_none() -> None:
    assert ArmEntry.of(Passing).defaults == {"alpha": 0.5}


@pytest.mark.parametrize(
    ("arm", "sentence"),
    [
        (Bare, "Bare: width, depth are no parameters yet; write @dataclass above class Bare"),
        (Below, "Below: depth is no parameter yet; write @dataclass above class Below"),
        (Overwrites, "Overwrites: width is no parameter yet; write @dataclass above class Overwr"),
        (OnTopOfBare, ("OnTopOfBare: width, depth are no parameters yet; write @dataclass above "
                      "class Bare")),
        (ByHand, ("ByHand: width, depth are no parameters yet; write width: TYPE = DEFAULT in the "
                 "class, with @dataclass above it, in place of its own __init__")),
        (OnTopOfByHand, "OnTopOfByHand: width is no parameter yet; write width: TYPE = DEFAULT"),
        (OnlyAtTheStart, "OnlyAtTheStart: width is no parameter yet; write width: TYPE = DEFAULT"),
    ],
)  # fmt: skip
def test_a_parameter_that_could_not_be_set_is_refused_by_name(arm: type, sentence: str) -> None:
    with pytest.raises(ArmError) as refused:
        ArmEntry.of(arm)
    assert str(refused.value).startswith(sentence)


def test_a_class_of_another_package_on_the_way_is_its_own_affair() -> None:
    """torch's modules have annotations of their own."""
    from torch import nn

    @dataclass(eq=False)
    class Module(nn.Module):
        alpha: float = 0.5

    assert nn.Module.__annotations__
    assert ArmEntry.of(Module).defaults == {"alpha": 0.5}


def test_a_broken_arm_fails_with_its_reason_when_it_is_asked_for() -> None:
    entry = ArmEntry("own_arm:Mine", broken="arm 'mine' cannot be used")
    with pytest.raises(ArmError, match=r"^arm 'mine' cannot be used$"):
        entry.load()
    with pytest.raises(ArmError, match=r"^arm 'mine' cannot be used$"):
        entry.resolve({})
