"""The table of contestants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.errors import SpecError, known


@dataclass(frozen=True)
class Implementation:
    """target is the module with its `measure`; loads: data come from loading processes; change: one
    of `CHANGES`.
    """

    target: str
    what: str
    loads: bool = False
    change: str = ""


OURS = "ours"
MAIN = ("torchio", "monai", OURS, "bare", "monai-eager")
PEAK = "performance.peak"
CONTESTANTS = {
    "torchio": Implementation(
        "performance.peers.torchio_peer",
        "Lightning, DataLoader, TorchIO transforms per sample, MONAI U-Net",
        True,
    ),
    "monai": Implementation(
        "performance.peers.monai_peer",
        "Lightning, DataLoader, MONAI transforms per sample, MONAI U-Net",
        True,
    ),
    OURS: Implementation("performance.ours", "this repository's training, augmentation included"),
    "bare": Implementation(
        "performance.bare", "this repository's step on resident slices, no augmentation"
    ),
    "monai-eager": Implementation(
        "performance.eager",
        "MONAI's network, whole batches, torch's dropout, resident slices, no augmentation",
    ),
}
CHANGES = {  # of the bare network, one at a time: what each is worth, and what did not help
    "batch-at-once": "without passes smaller than a batch",
    "pass-1": "one image a pass",
    "pass-4": "four images a pass",
    "look-16": "validation of sixteen images at once",
    "torch-dropout": "torch's own dropout",
    "torch-prelu": "torch's own PReLU",
    "plain-adam": "an optimiser that is not fused",
    "channels-last": "channels last in memory",
    "compile": "torch.compile",
}
TRIED = "tried"
CONTESTANTS |= {
    f"bare:{change}": Implementation("performance.bare", f"bare, but {what}", change=change)
    for change, what in CHANGES.items()
}


@dataclass(frozen=True)
class Entry:
    """A contestant with a number of loading processes, as one row of the table."""

    name: str
    workers: int = 0

    @property
    def label(self) -> str:
        """What the row is called.

        >>> Entrant("torchio", 2).label, Entrant("ours").label
        ('torchio, 2 workers', 'ours')
        """
        if not CONTESTANTS[self.name].loads:
            return self.name
        return f"{self.name}, {self.workers} worker{'' if self.workers == 1 else 's'}"


def entrants(names: Sequence[str], workers: Sequence[int]) -> list[Entry]:
    """Return the rows in order: one for each number of workers where a contestant has loading
    processes.

    The word tried stands for the bare network and every change of it.
    """
    names = [
        one
        for name in names
        for one in (["bare", *(f"bare:{c}" for c in CHANGES)] if name == TRIED else [name])
    ]
    for name in names:
        if name not in CONTESTANTS:
            raise SpecError(f"--contestants: {known('contestant', name, CONTESTANTS)}")
    return [
        Entry(name, count)
        for name in dict.fromkeys(names)
        for count in (workers if CONTESTANTS[name].loads else (0,))
    ]
