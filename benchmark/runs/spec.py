"""What one run is: a frozen spec, its canonical text and its run_id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from benchmark.protocol import Recipe

SCHEMA = 2  # of the identity; raised when a change of code can change a run's numbers
READABLE = (1, SCHEMA)  # runs that still count; 1: dropout masks from torch's own generator


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides a run's result, and nothing that does not.

    Paths, device, worker count and verbosity are absent on purpose. params holds every
    parameter of the arm, defaults included; shape is the (H, W) the arm is fed; seed is
    None for a deterministic arm; source is the sha256 of the source of an arm from outside
    (see `benchmark.arm_source`), None for one that this repository brings.
    """

    arm: str
    params: Mapping[str, Any]
    recipe: Recipe
    dataset_id: str
    content_fingerprint: str
    split_id: str
    split_fingerprint: str
    shape: tuple[int, int]
    seed: int | None
    source: str | None = None

    def canonical(self) -> dict[str, Any]:
        """The spec as plain JSON types; two specs are the same run if and only if these agree."""
        source = {} if self.source is None else {"source": self.source}
        return {
            "schema": SCHEMA,
            "arm": self.arm,
            "params": dict(sorted(self.params.items())),
            "protocol": self.recipe.identity(),
            "dataset_id": self.dataset_id,
            "content_fingerprint": self.content_fingerprint,
            "split_fingerprint": self.split_fingerprint,
            "shape": list(self.shape),
            "seed": self.seed,
            **source,
        }

    @cached_property
    def digest(self) -> str:
        """64 hex digits of the sha256 over the canonical text."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def run_id(self) -> str:
        """A readable part and the first 8 digits of the digest."""
        h, w = self.shape
        words = [self.arm]
        words += [f"{key.replace('_', '-')}{value}" for key, value in sorted(self.params.items())]
        words += [self.split_id, f"{h}" if h == w else f"{h}x{w}"]
        words += [self.recipe.training.precision] if self.seed is not None else []
        words += [f"s{self.seed}"] if self.seed is not None else []
        return "_".join([*words, self.digest[:8]])

    @property
    def cell(self) -> str:
        """What a person calls this run: the arm with its parameters, and the seed."""
        params = ", ".join(f"{key}={value}" for key, value in sorted(self.params.items()))
        return f"{self.arm}({params})" + ("" if self.seed is None else f" seed {self.seed}")
