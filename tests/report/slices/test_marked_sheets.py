"""Sheets of pictures: a slice a patient, the largest mark, its outlines where they were."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from data_forms import registry_of, small_set
from PIL import Image

from benchmark.data.slices import RawSlice, iterate
from benchmark.inference.ensemble import Outlined
from benchmark.inference.marked_slices import MarkedSlice
from benchmark.report.slices import marked_sheets
from benchmark.report.slices.marked_sheets import COLUMNS, ROWS, SIDE, Panel, Sheets


def marked(number: int, patient: str | None, area: int, shows: str = "glioma") -> MarkedSlice:
    """A slice of 64 x 64 with so many marked pixels, and a truth of 36."""
    image = (np.arange(64 * 64).reshape(64, 64) % 251).astype(np.uint8)
    truth = np.zeros((64, 64), dtype=bool)
    truth[20:26, 30:36] = shows != "none"
    mask = np.arange(64 * 64).reshape(64, 64) < area
    found = Outlined(mask, np.zeros((64, 64), np.float32), [mask])
    row = {"slice": number, "shows": shows, "patient_id": patient, "area_mm2": float(area),
           "dice": None if shows == "none" else 0.0, "in_training": "not seen"}  # fmt: skip
    raw = RawSlice(number, 2, image, truth, f"made {number}", patient, (1.0, 1.0))
    return MarkedSlice(raw, found, row)


def filled(slices: Sequence[MarkedSlice]) -> Sheets:
    sheets = Sheets(phantom=False)
    for each in slices:
        sheets.add(each)
    return sheets


def kept(sheets: Sheets, shows: str = "glioma") -> list[int]:
    panels: list[Panel] = sorted(sheets._kept[shows].values(), key=lambda panel: panel.rank)
    return [panel.row["slice"] for panel in panels]


def test_of_each_patient_the_slice_with_the_largest_mark_is_kept() -> None:
    """Of equal marks the lowest number, whatever comes first; one without any mark comes last."""
    slices = [marked(1, "a", 10), marked(2, "a", 30), marked(3, "b", 0), marked(5, "c", 40),
              marked(4, "c", 40)]  # fmt: skip
    assert kept(filled(slices)) == kept(filled(slices[::-1])) == [4, 2, 3]


def test_slices_of_unknown_patients_are_no_more_than_a_sheet() -> None:
    """Those with the largest marks; a named patient is not counted among them."""
    slices = [marked(n, None, n) for n in range(COLUMNS * ROWS + 5)]
    assert kept(filled([*slices, marked(99, "a", 1)])) == [*range(34, 4, -1), 99]


def test_each_thing_shown_has_sheets_of_its_own_with_all_patients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seven patients on sheets of two: four sheets; names in the order of labels, none last."""
    monkeypatch.setattr(marked_sheets, "COLUMNS", 2)
    monkeypatch.setattr(marked_sheets, "ROWS", 1)
    slices = [marked(n, f"p{n}", n, "none") for n in range(3)]
    slices += [marked(n, f"p{n}", n) for n in range(3, 6)]
    pages = dict(filled(slices).pages())
    assert [*pages] == ["marked-glioma-1.png", "marked-glioma-2.png",
                        "marked-none-1.png", "marked-none-2.png"]  # fmt: skip
    for content in pages.values():
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.format == "PNG"
            assert picture.width == round(7.2 * marked_sheets.DPI)
    assert dict(filled(slices).pages()) == pages  # the same bytes each time


def test_a_large_slice_is_shown_smaller_and_its_outlines_stay_where_they_are() -> None:
    """1024 x 512 to 256 x 128: corners at a quarter, pixels of four times the size."""
    image = np.zeros((1024, 512), np.uint8)
    image[:, 256:] = 200
    truth = np.zeros((1024, 512), dtype=bool)
    truth[400:440, 100:200] = True
    first = marked(1, "a", 1)
    raw = replace(first.raw, image=image, mask=truth)
    found = replace(first.found, mask=np.zeros_like(truth))
    cut = marked_sheets._panel(replace(first, raw=raw, found=found)).cut
    assert cut.grey.shape == (SIDE, 128)
    assert (cut.grey[:, :63].max(), cut.grey[:, 65:].min()) == (0, 255)
    (ring,) = cut.truth
    assert {tuple(corner) for corner in ring} == {(25, 100), (50, 100), (25, 110), (50, 110)}
    assert list(cut.predicted) == []
    assert cut.spacing_mm == (4.0, 4.0)


@pytest.mark.parametrize(
    ("phantom", "registered", "words"),
    [
        (True, 0, "drawn phantoms"),
        (False, 2, "Pictures of slices: Cheng, Jun (2017)"),
        (False, 1, "under their own licence. Where slices of the brain tumor dataset"),
    ],
)
def test_it_says_whose_the_pictures_are(
    monkeypatch: pytest.MonkeyPatch, phantom: bool, registered: int, words: str
) -> None:
    slices = small_set(2, label=2)
    of_cheng: Any = dict([*registry_of(slices).items()][:registered])
    monkeypatch.setattr(marked_sheets, "cheng_registry", lambda: of_cheng)
    sheets = Sheets(phantom)
    for place, raw in enumerate(iterate(slices)):
        first = marked(raw.slice_id, f"p{place}", 1)
        sheets.add(replace(first, raw=raw, found=replace(first.found, mask=raw.mask != 0)))
    assert words in sheets.attribution


def test_a_caption_says_the_patient_the_mark_and_what_was_seen_of_it() -> None:
    row = {"slice": 7, "patient_id": "a", "area_mm2": 12.4, "dice": 0.123}
    caption = marked_sheets._caption
    assert caption(row | {"in_training": "not seen"}) == "patient a\nslice 7: 12 mm2, Dice 0.12"
    told = caption(row | {"patient_id": None, "dice": None, "in_training": "slice seen"})
    assert told == "patient unknown\nslice 7: 12 mm2\nslice seen"
