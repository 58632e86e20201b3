"""How classical arms are kept: what they learned stands in those fields that are no parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from benchmark.arm import RunContext
from benchmark.errors import ArmError


class Kept:
    """Makes a dataclass arm `benchmark.arm.Keepable`; its state may be empty."""

    def state(self) -> dict[str, Any]:
        """Return the learned fields by name."""
        return {name: getattr(self, name) for name in self._learned()}

    def restore(self, state: Mapping[str, Any], context: RunContext) -> None:
        """Put the learned fields back. Raises `ArmError` for a state with other fields."""
        if sorted(state) != sorted(self._learned()):
            name, learned = type(self).__name__, self._learned()
            raise ArmError(f"{name}: learned {learned}, but was given {sorted(state)}")
        for name, value in state.items():
            setattr(self, name, value)

    def _learned(self) -> list[str]:
        return [f.name for f in fields(self) if not f.init]  # type: ignore[arg-type]
