"""Sheets of pictures of what models mark: of each patient the slice with the largest mark."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.data.registry import TUMOURS, cheng_registry
from benchmark.data.slices import LABELS, NO_TUMOUR, mask_hash
from benchmark.inference.training_slices import Seen
from benchmark.preprocessing.windowing import grey
from benchmark.report.build import ATTRIBUTION, OWN_DATA
from benchmark.report.figure import SMALL, UNDATED, WIDE, Canvas, canvas, slugged, styled
from benchmark.report.slices.contour import loops
from benchmark.report.slices.crop import Crop, downsampled, legend, show

if TYPE_CHECKING:
    from benchmark.inference.marked_slices import MarkedSlice

COLUMNS, ROWS = 5, 6  # pictures of one sheet
SIDE = 256  # pixels of the longer side of a picture
DPI = 150
WORDS = ("truth (solid)", "marked (dashed)")
SHOWN = {LABELS[label]: f"a {name}" for label, name in TUMOURS.items()}
TOLD = (Seen.SLICE, Seen.PATIENT)
PHANTOMS = "Pictures of slices: drawn phantoms."


@dataclass(frozen=True, eq=False)
class Panel:
    """A slice that is shown: its picture with both outlines, and its row of the table."""

    cut: Crop
    row: Mapping[str, Any]
    of_cheng: bool

    @property
    def rank(self) -> tuple[float, int]:
        """The largest mark first, of equal ones the lowest number."""
        return -float(self.row["area_mm2"]), int(self.row["slice"])


class Sheets:
    """Keeps one slice of each patient while slices pass by: that on which most is marked.

    Of slices of unknown patients it keeps as many as one sheet holds, for each thing shown. phantom
    is True where the slices are drawn ones.
    """

    def __init__(self, phantom: bool) -> None:
        self.phantom = phantom
        self._kept: dict[str, dict[tuple[bool, Any], Panel]] = {}

    def add(self, marked: MarkedSlice) -> None:
        """Keep a slice where it has the largest mark of its patient so far."""
        row = marked.row
        kept = self._kept.setdefault(row["shows"], {})
        nameless = row["patient_id"] is None
        key = (nameless, row["slice"] if nameless else row["patient_id"])
        rank = (-float(row["area_mm2"]), int(row["slice"]))
        if key in kept and kept[key].rank <= rank:
            return
        kept[key] = _panel(marked)
        loose = [key for key in kept if key[0]]
        if len(loose) > COLUMNS * ROWS:
            del kept[max(loose, key=lambda key: kept[key].rank)]

    def pages(self) -> Iterator[tuple[str, bytes]]:
        """Yield each sheet as a file name and the bytes of a PNG."""
        order, size = [*SHOWN, NO_TUMOUR], COLUMNS * ROWS
        for shows in sorted(self._kept, key=order.index):
            panels = sorted(self._kept[shows].values(), key=lambda panel: panel.rank)
            parts = [panels[start : start + size] for start in range(0, len(panels), size)]
            for number, part in enumerate(parts, 1):
                name = slugged("marked", shows, f"{number}")
                what = SHOWN.get(shows, "no tumour")
                title = f"Slices that show {what}, sheet {number} of {len(parts)}"
                yield f"{name}.png", self._png(name, title, part)

    @property
    def attribution(self) -> str:
        """Whose the pictures are."""
        if self.phantom:
            return PHANTOMS
        panels = [panel for kept in self._kept.values() for panel in kept.values()]
        return ATTRIBUTION if all(panel.of_cheng for panel in panels) else OWN_DATA

    def _png(self, name: str, title: str, panels: Sequence[Panel]) -> bytes:
        out = io.BytesIO()
        with styled(name):
            sheet = _plot(title, panels, self.attribution)
            sheet.savefig(out, format="png", dpi=DPI, metadata=UNDATED["png"])
        return out.getvalue()


def _panel(marked: MarkedSlice) -> Panel:
    """A slice as it is shown, its pixels averaged to `SIDE`; outlines stay where they are."""
    raw, truth = marked.raw, marked.raw.mask != 0
    spacing_mm = raw.spacing_mm or (1.0, 1.0)
    small = downsampled(grey(raw.image).astype(np.float32), SIDE)
    rows, columns = (own / least for own, least in zip(truth.shape, small.shape, strict=True))
    truth_lines, mark_lines = (
        [ring / (columns, rows) for ring in loops(mask)] for mask in (truth, marked.found.mask)
    )
    scaled = (spacing_mm[0] * rows, spacing_mm[1] * columns)
    cut = Crop(np.rint(small).astype(np.uint8), 0, 0, truth_lines, mark_lines, scaled)
    return Panel(cut, marked.row, mask_hash(truth) in cheng_registry())


def _plot(title: str, panels: Sequence[Panel], attribution: str) -> Canvas:
    from matplotlib.font_manager import FontProperties

    rows = -(-len(panels) // COLUMNS)
    sheet, grid = canvas(WIDE, 1.85 * rows + 0.9, rows, COLUMNS, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for panel, axes in zip(panels, grid.flat, strict=False):
        show(axes, panel.cut)
        axes.set_xlabel(_caption(panel.row), fontsize=SMALL)
    sheet.suptitle(f"{title}: of each patient the one on which most is marked", fontsize=9)
    legend(sheet, WORDS)
    words = "\n".join(textwrap.wrap(attribution, 125))
    sheet.legends[0].set_title(words, FontProperties(size=SMALL))
    return sheet


def _caption(row: Mapping[str, Any]) -> str:
    patient = "patient unknown" if row["patient_id"] is None else f"patient {row['patient_id']}"
    dice = "" if row["dice"] is None else f", Dice {row['dice']:.2f}"
    lines = [patient, f"slice {row['slice']}: {row['area_mm2']:.0f} mm2{dice}"]
    return "\n".join(lines + [told for told in [row["in_training"]] if told in TOLD])
