"""What the JSON files of finished runs tell, beyond the table of runs, each read once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.runs.run_folder import ENVIRONMENT, RESULT, SPEC, read_json


@dataclass(frozen=True, eq=False)
class RunFiles:
    """spec, environment and result: of the files of these names; folder: where they lie."""

    run_id: str
    folder: Path
    spec: Mapping[str, Any]
    environment: Mapping[str, Any]
    result: Mapping[str, Any]


def read(root: Path, run_ids: Iterable[str]) -> list[RunFiles]:
    """By run_id; `RecordError` names a file that is damaged."""
    names = (SPEC, ENVIRONMENT, RESULT)
    folders = {run_id: root / run_id for run_id in sorted(run_ids)}
    return [
        RunFiles(run_id, folder, *(read_json(folder / name) for name in names))
        for run_id, folder in folders.items()
    ]
