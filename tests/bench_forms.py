"""What tests run on: few slices, a small recipe, arms that break rules, processes, bits."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from forked import Ended, ended
from numpy.typing import NDArray

from benchmark.arm import ArmEntry, Cases, FitReport, FloatImages, RunContext
from benchmark.data import phantoms
from benchmark.data.slices import SliceSet
from benchmark.protocol import Recipe, load_recipe
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import Split
from benchmark.training import augment

ROOT = Path(__file__).resolve().parent.parent
OUTCOME: pytest.StashKey[str] = pytest.StashKey()
SMALL: dict[str, Any] = {
    "training.max_epochs": 2,
    "training.batch_size": 4,
    "network.channels": [4, 8, 8, 8, 8, 8],
}


def small_slices(size: int = 64) -> SliceSet:
    return phantoms.make(patients=8, slices_per_patient=3, size=size)


def small_recipe(protocol: str = "thesis", **changes: Any) -> Recipe:
    """The small recipe; a change such as training__patience=1 means training.patience."""
    own = {key.replace("__", "."): value for key, value in changes.items()}
    return load_recipe(protocol, SMALL | own)


def spec_of(
    arm: str, entry: ArmEntry, slices: SliceSet, split: Split, recipe: Recipe, *, seed: int = 1,
    shape: tuple[int, int] | None = None, **params: Any,
) -> RunSpec:  # fmt: skip
    own: dict[str, Any] = {"params": entry.resolve(params), "recipe": recipe}
    own["shape"] = shape or slices.shape
    seed_of = None if entry.deterministic else seed
    own["source"] = entry.source.sha256 if entry.source else None
    return RunSpec(arm=arm, seed=seed_of, **own, **names_of(slices, split))


def names_of(slices: SliceSet, split: Split) -> dict[str, Any]:
    """What a spec has of its slices and its split."""
    data = {"dataset_id": slices.dataset_id, "content_fingerprint": slices.fingerprint}
    return data | {"split_id": split.split_id, "split_fingerprint": split.fingerprint}


def augmented(
    recipe: Recipe, seed: int, train: Cases
) -> Callable[[int, NDArray[np.int64]], tuple[torch.Tensor, torch.Tensor]]:
    """The images and masks that a training sees, by (epoch, rows of train)."""

    def pictures(epoch: int, rows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        table = augment.sample(recipe.augmentation, seed, epoch, train.slice_id[rows])
        grey, masks = torch.from_numpy(train.images[rows]), torch.from_numpy(train.masks[rows])
        return augment.apply(table, grey, masks, train.spacing_mm)

    return pictures


@dataclass
class Faulty:
    """Marks what is brighter than level, unless told to break the contract in one way."""

    breach: str = "none"
    level: float = 0.0

    deterministic: ClassVar[bool] = True
    needs_click: ClassVar[bool] = False
    mended: ClassVar[bool] = False  # True: nothing is broken any more
    seen: ClassVar[dict[str, Cases]] = {}

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        type(self).seen = {"train": train, "val": val}
        if self.breach == "raises" and not self.mended:
            raise RuntimeError("out of luck")
        return FitReport(facts={"level": self.level, "nothing": float("nan")})

    def predict(self, images: FloatImages) -> Any:
        maps = (images > self.level).astype(np.float32)
        if self.mended:
            return maps
        return {
            "shape": maps[:, :-1],
            "fewer": maps[1:],
            "dtype": maps.astype(np.float64),
            "list": maps.tolist(),
            "above": maps + np.float32(0.5),
            "below": maps - np.float32(0.5),
            "nan": np.where(maps > 0, np.float32("nan"), maps),
        }.get(self.breach, maps)


@dataclass
class Pinched:
    """Needs a click, and marks nothing but it."""

    deterministic: ClassVar[bool] = True
    needs_click: ClassVar[bool] = True

    def fit(self, train: Cases, val: Cases, context: RunContext) -> FitReport:
        return FitReport()

    def predict(self, images: FloatImages, clicks: Any) -> Any:
        maps = np.zeros(images.shape, dtype=np.float32)
        maps[np.arange(len(images)), clicks[:, 0], clicks[:, 1]] = 1
        return maps


class Trap:
    """Unpickled, it makes a file: what a file of a stranger could do."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


FAULTY, PINCHED = ArmEntry.of(Faulty), ArmEntry.of(Pinched)

TINY = """\
seeds = [452669]

[set]
"training.max_epochs" = 2
"training.batch_size" = 4
"network.channels" = [4, 8, 8, 8, 8, 8]
"""
TINY_GRID = f"""{TINY}
[[arms]]
name = "background"

[[arms]]
name = "otsu"

[[arms]]
name = "unet"
kernel_size = 3
alpha = [0.3, 0.7]
"""


def process(
    words: list[str], cwd: Path, path: list[Path] | None = None, **more: Any
) -> subprocess.Popen[str]:
    """Start Python with these words in a folder, this repository importable, `path` before it."""
    places = [str(place) for place in [*(path or []), ROOT]]
    return start([sys.executable, *words], cwd, {"PYTHONPATH": os.pathsep.join(places)}, **more)


def start(
    words: list[str], cwd: Path, variables: Mapping[str, str] = MappingProxyType({}), **more: Any
) -> subprocess.Popen[str]:
    """Start a program in a folder, outputs piped, more variables set, and Ctrl-C not ignored.

    Not measured by coverage: a signal while coverage holds its lock leaves it held for ever.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    with interruptible():
        return subprocess.Popen(
            words, cwd=cwd, env={**inherited, **variables}, encoding="utf-8", **pipes
        )


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Inside, children begin with the default SIGINT, even where pytest ignores it, as by `nohup`.

    What is ignored stays ignored in a child, what is handled begins anew there.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def finish(child: subprocess.Popen[str], seconds: float = 400) -> tuple[int, str, str]:
    """Wait for a process; return its exit code, stdout and stderr. One that hangs is killed."""
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise
    return child.returncode, out, err


def called(words: list[str], folder: Path, path: list[Path] | None = None) -> Ended:
    """`python -m benchmark` with these words, in a process of its own, as `process` to its end.

    torch is imported there already: not for what is said or done before that, nor for time.
    """
    places = os.pathsep.join(str(place) for place in [*(path or []), ROOT])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    return ended("benchmark", words, folder, {**inherited, "PYTHONPATH": places})


def fenced(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of these languages in a page of Markdown."""
    blocks = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    page_text = page.read_text(encoding="utf-8")
    return [text for language, text in blocks.findall(page_text) if language in languages]


def call(command: str) -> int:
    """Give a command in this process; return its exit code."""
    from benchmark.__main__ import main

    return main(shlex.split(command))


def refused(capsys: pytest.CaptureFixture[str], command: str) -> str:
    """The one line on stderr of a command that ends with exit code 2."""
    capsys.readouterr()
    assert call(command) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def bits(folder: Path) -> dict[str, bytes]:
    """The files of each run that must be the same, bit for bit, wherever it is run again."""
    files = {}
    for name in ("scores.csv", "predictions.zip", "history.csv"):
        for path in sorted(folder.glob(f"*/{name}")):
            content = path.read_bytes()
            files[f"{path.parent.name}/{name}"] = untimed(content) if name[0] == "h" else content
    return files


def untimed(history: bytes) -> bytes:
    """history.csv without its columns of seconds."""
    rows = [line.split(",") for line in history.decode().splitlines()]
    keep = [i for i, name in enumerate(rows[0]) if "seconds" not in name]
    return "\n".join(",".join(row[i] for i in keep) for row in rows).encode()
