"""The table of implementations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.errors import SpecError, known


@dataclass(frozen=True)
class Implementation:
    """What is timed. target: the module with its `measure`; loads: whether its data come from
    loading processes; fields: those of the `Job` that it changes.
    """

    target: str
    what: str
    loads: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)


OURS = "ours"
MAIN = ("torchio", "monai", OURS, "bare", "monai-eager")
EAGER = frozenset(
    {"eager", "torch-dropout", "torch-prelu", "torch-norm", "plain-adam", "free-memory"}
)
CHANGES = {  # of the bare network, one at a time: what each is worth, and what did not help
    "batch-at-once": "without passes smaller than a batch",
    "pass-1": "one image a pass",
    "pass-4": "four images a pass",
    "look-16": "validation of sixteen images at once",
    "torch-dropout": "torch's own dropout",
    "torch-prelu": "torch's own PReLU",
    "torch-norm": "torch's own instance norm",
    "free-memory": "freed memory goes back to the system",
    "small-pages": "memory in pages of 4 KiB",
    "plain-adam": "an optimiser that is not fused",
    "channels-last": "channels last in memory",
    "compile": "torch.compile",
}
WAYS: Mapping[str, tuple[str, Mapping[str, Any]]] = {  # of sharing cores
    "torch-waits": ("threads wait as torch comes", {"waiting": {}}),
    "sleeps-at-once": ("threads sleep at once", {"waiting": {"OMP_WAIT_POLICY": "PASSIVE"}}),
    "two-processes": ("two processes at once, with half the threads each", {"copies": 2}),
}
LIGHTNING = "Lightning, DataLoader, {} transforms per sample, MONAI U-Net"
WITHOUT = "resident slices, no augmentation"
IMPLEMENTATIONS = {
    "torchio": Implementation(
        "performance.peers.torchio_peer", LIGHTNING.format("TorchIO"), loads=True
    ),
    "monai": Implementation("performance.peers.monai_peer", LIGHTNING.format("MONAI"), loads=True),
    OURS: Implementation("performance.ours", "this repository's training, augmentation included"),
    "bare": Implementation("performance.bare", f"this repository's step on {WITHOUT}"),
    "monai-eager": Implementation(
        "performance.bare",
        f"MONAI's network, whole batches, torch's dropout, {WITHOUT}",
        fields={"changes": EAGER},
    ),
    "bare:as-it-was": Implementation(
        "performance.bare",
        "bare, but torch's own instance norm, freed memory given back and small pages",
        fields={"changes": frozenset({"torch-norm", "free-memory", "small-pages"})},
    ),
    **{
        f"bare:{change}": Implementation(
            "performance.bare", f"bare, but {what}", fields={"changes": frozenset({change})}
        )
        for change, what in CHANGES.items()
    },
    **{
        f"{OURS}:{way}": Implementation("performance.ours", f"ours, but {what}", fields=fields)
        for way, (what, fields) in WAYS.items()
    },
}
GROUPS = {
    "tried": ("bare", "bare:as-it-was", *(f"bare:{change}" for change in CHANGES)),
    "waiting": (OURS, *(f"{OURS}:{way}" for way in WAYS)),
}


def job_fields(names: Sequence[str], workers: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return the rows in order: label -> fields of its `Job`. A name may be one of `GROUPS`.

    One row for each number of workers where an implementation has loading processes. Raises
    `SpecError` for an unknown name.

    >>> list(job_fields(["torchio", "ours"], [1, 2]))
    ['torchio, 1 worker', 'torchio, 2 workers', 'ours']
    """
    rows = {}
    for name in dict.fromkeys(name for group in names for name in GROUPS.get(group, (group,))):
        if name not in IMPLEMENTATIONS:
            choices = known("implementation", name, [*IMPLEMENTATIONS, *GROUPS])
            raise SpecError(f"--implementations: {choices}")
        chosen = IMPLEMENTATIONS[name]
        for count in workers if chosen.loads else (0,):
            label = f"{name}, {count} worker{'' if count == 1 else 's'}" if chosen.loads else name
            rows[label] = {"target": chosen.target, "workers": count, **chosen.fields}
    return rows


def legend(labels: Sequence[str]) -> str:
    """What the implementation of each row is, a line each."""
    names = dict.fromkeys(label.partition(",")[0] for label in labels)
    return "\n".join(f"{name}: {IMPLEMENTATIONS[name].what}" for name in names)
