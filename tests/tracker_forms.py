"""Trackers of tests: one that keeps what it is told, and one that breaks at a moment."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from benchmark.tracker import ENTRY_POINTS, Track


class Notes:
    """Keeps every call, of all its trackers, in order."""

    told: ClassVar[list[tuple[Any, ...]]] = []

    def __init__(self, where: str) -> None:
        self.told.append(("made", where))

    def start(self, run_id: str, config: Mapping[str, Any]) -> None:
        self.told.append(("start", run_id, dict(config)))

    def epoch(self, number: int, numbers: Mapping[str, float]) -> None:
        self.told.append(("epoch", number, dict(numbers)))

    def end(self, summary: Mapping[str, Any]) -> None:
        self.told.append(("end", dict(summary)))


class Broken(Notes):
    """Raises at the moment that it is made with, as libraries do; meddles with what it gets."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._maybe("made")

    def start(self, run_id: str, config: Any) -> None:
        self._maybe("start")
        config.clear()

    def epoch(self, number: int, numbers: Any) -> None:
        self._maybe("epoch")
        numbers.clear()

    def end(self, summary: Any) -> None:
        self._maybe("end")

    def _maybe(self, moment: str) -> None:
        if moment == self.where:
            raise OSError("the server\nis gone")
        if f"exit at {moment}" == self.where:
            raise SystemExit(3)


NOTES = Track("notes", "tracker_forms:Notes", "here")


def broken(moment: str) -> Track:
    return Track("broken", "tracker_forms:Broken", moment)


def install(site: Path, **targets: str) -> Path:
    """What installing a package with these trackers would leave in a site-packages folder."""
    site.mkdir(exist_ok=True)
    shutil.copy(__file__, site / "tracker_forms.py")
    about = site / "own_trackers-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-trackers\nVersion: 1.0\n")
    lines = "".join(f"{name} = {target}\n" for name, target in targets.items())
    (about / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{lines}")
    return site
