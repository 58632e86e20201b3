"""The folder of what models mark on a data source: masks, overlays, two tables and sheets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.inference.input_files import outputs
from benchmark.inference.slice_image import disagreement_png, mask_png, overlay
from benchmark.judge.comparisons.marked_slices import marked_tables
from benchmark.judge.reference import load_tolerances
from benchmark.judge.tables import Table, rounded_csv
from benchmark.report.slices.marked_sheets import Sheets
from benchmark.storage.atomic import (
    check_absent,
    check_replaceable,
    move_into,
    replace_into,
    staging_folder,
)

if TYPE_CHECKING:
    from benchmark.inference.marked_slices import MarkedSlice

MEASURES, BY_KIND = "measures.csv", "by-kind.csv"
SHEETS = "marked-*-*.png"  # how many there will be is known at the end alone


@dataclass(frozen=True, eq=False)
class WrittenMarks:
    """The tables by kind, and whose the pictures are, which stands on every sheet."""

    by_kind: Sequence[Table]
    attribution: str
    sheets: int


def check(out: Path, overwrite: bool, numbers: Iterable[int] = (), several: bool = False) -> None:
    """Raise `DataError` for what `write` would find taken in out; any sheet counts as taken.

    numbers: those of the slices, once they are known; several: as in `write`.
    """
    sheets = sorted(path.name for path in out.glob(SHEETS))
    pictures = [name for n in numbers for name in _names(n, several)]
    names = [MEASURES, BY_KIND, *pictures, *sheets]
    (check_replaceable if overwrite else check_absent)(out, names)


def write(
    marked: Iterable[MarkedSlice], out: Path, *, phantom: bool, several: bool, overwrite: bool
) -> WrittenMarks:
    """Write everything into out as the slices pass by; all appears when all is done.

    several: whether there are several models, whose disagreement is a map beside each mask. Raises
    `DataError` as `move_into` does, and `OutputError` where the disk refuses; then, or after any
    other error of the slices, out is as it was.
    """
    sheets, rows, names = Sheets(phantom), [], [MEASURES, BY_KIND]
    with staging_folder(out) as staging:
        for each in marked:
            files = _files(each, several)
            for name, content in files.items():
                (staging / name).write_bytes(content)
            names += files
            rows.append(each.row)
            sheets.add(each)
        measures = pd.DataFrame(rows)
        by_kind = marked_tables(measures, load_tolerances())
        csv = measures.to_csv(index=False, lineterminator="\n")
        (staging / MEASURES).write_bytes(csv.encode())
        (staging / BY_KIND).write_bytes(rounded_csv(by_kind[0].numbers).encode())
        pages = 0
        for name, content in sheets.pages():
            (staging / name).write_bytes(content)
            names.append(name)
            pages += 1
        (replace_into if overwrite else move_into)(staging, out, names)
    return WrittenMarks(by_kind, sheets.attribution, pages)


def _names(number: int, several: bool) -> Sequence[str]:
    return outputs(Path(f"{number}.png"), several)


def _files(marked: MarkedSlice, several: bool) -> dict[str, bytes]:
    """The files of one slice by name."""
    found, truth = marked.found, marked.raw.mask != 0
    contents = [mask_png(found.mask), overlay(marked.raw.image, found.mask, truth)]
    contents += [disagreement_png(found.disagreement)] if several else []
    return dict(zip(_names(marked.raw.slice_id, several), contents, strict=True))
