"""One figure: its numbers, its words, how it is drawn; saved as PNG, SVG, PDF and CSV, or put into
a page.

Inks are names here, not colours of the page: `inline` turns `INK` into the text colour around the
figure, `MUTED` and `GRID` into the page's own greys, `BLUE` into its blue and `PAPER` into nothing,
so that one drawing serves light, dark and print. Colours are Okabe and Ito's, which the
colour-blind tell apart; no figure says anything by colour alone.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pandas as pd

from benchmark.judge.tables import Table, rounded_csv
from benchmark.storage.atomic import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

INK, MUTED, GRID, PAPER = (
    "#1b1b1c",
    "#68686a",
    "#b4b4b6",
    "#fffffe",
)  # text, lesser text, lines that stand back
BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
)
PAGE_INKS = {  # in a page; what is not here keeps its colour
    INK: "currentColor",
    MUTED: f"var(--muted, {MUTED})",
    GRID: f"var(--line, {GRID})",
    BLUE: f"var(--blue, {BLUE})",
    PAPER: "none",
}
KERNEL_COLOURS = {3: BLUE, 5: VERMILLION, 7: GREEN, 9: PURPLE}
KERNEL_MARKERS = {3: "v", 5: "o", 7: "s", 9: "D"}
SEQUENTIAL = "cividis"  # lightness rises evenly, for the colour-blind too
COLUMN, WIDE = 3.5, 7.2  # inches: one column of a journal, both
PNG_DPI = 300
FORMS = ("png", "svg", "pdf", "csv")
UNDATED: dict[
    str, dict[str, None]
] = {  # what would differ from day to day, and from one matplotlib to the next
    "svg": {"Date": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same widths everywhere
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.color": GRID,
    "hatch.linewidth": 0.5,
    "axes.facecolor": "none",
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and scaled
    "pdf.fonttype": 42,  # TrueType: journals ask for it, and text stays text
    "image.interpolation": "none",
    "text.parse_math": False,  # an arm may be called anything
}
SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"


@dataclass(frozen=True, eq=False)
class Figure:
    """What a reader sees and what it was drawn from.

    slug: its file name, as `slugged` makes them, unique in a report; alt: what it shows, for who
    cannot see it; thesis: the number of the thesis's figure that it redraws, "" where it has none;
    data: every number drawn, in full precision, of which the CSV keeps what means something
    (`rounded_csv`); draw: data -> canvas, called inside `drawing`; pictures: True where it shows
    the slices themselves, whose licence asks for attribution; tables: those that a page folds
    beneath it.
    """

    slug: str
    title: str
    caption: str
    alt: str
    data: pd.DataFrame
    draw: Callable[[pd.DataFrame], Canvas] = field(repr=False)
    thesis: str = ""
    pictures: bool = False
    tables: Sequence[Table] = ()


def counted(n: int, thing: str) -> str:
    """One training, two trainings: a number with its noun.

    >>> counted(1, "training"), counted(2, "training")
    ('1 training', '2 trainings')
    """
    return f"{n} {thing}{'' if n == 1 else 's'}"


def slugged(*words: str) -> str:
    """Words as a file name and an id: ASCII letters, digits and points, anything else a hyphen."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(words)).strip("-")


@contextmanager
def drawing(slug: str) -> Iterator[None]:
    """The style of every figure; marks in its SVG are named from the slug, so that it is the same
    each time.
    """
    import matplotlib

    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": slug}):
        yield


def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1, **more: Any
) -> tuple[Canvas, Any]:
    """Return a canvas of so many inches and its axes: one, or an array of them. No window system is
    asked.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    drawn = MatplotlibFigure(figsize=(width, height))
    return drawn, drawn.subplots(rows, columns, **more)


def logarithmic(axis: Any) -> None:
    """Ticks of a logarithmic axis that is drawn on, plain numbers: fewer in each power of ten, the
    more there are.
    """
    from matplotlib.ticker import LogLocator

    low, high = axis.get_view_interval()
    powers = math.log10(high / low)
    axis.set_major_locator(
        LogLocator(subs=(1,) if powers > 3 else (1, 2, 5) if powers > 1 else range(1, 10))
    )
    axis.set_major_formatter(lambda x, _: f"{x:g}")
    axis.set_minor_formatter(lambda x, _: "")


def save(figure: Figure, folder: Path, forms: Sequence[str] = FORMS) -> str:
    """Write slug.svg, slug.png, slug.pdf and slug.csv, or some, into a folder that is there; return
    the SVG text.
    """
    files = _drawn(figure, ("svg", *(form for form in forms if form not in ("svg", "csv"))))
    svg = files["svg"].decode()
    files["csv"] = rounded_csv(figure.data).encode()
    for form in forms:
        write_bytes(folder / f"{figure.slug}.{form}", files[form])
    return svg


def svg_of(figure: Figure) -> str:
    """Draw a figure as SVG text; the same data give the same text."""
    return _drawn(figure, ("svg",))["svg"].decode()


def _drawn(figure: Figure, forms: Sequence[str]) -> dict[str, bytes]:
    """The bytes of a figure in some forms, drawn once."""
    files = {}
    with drawing(figure.slug):
        canvas = figure.draw(figure.data)
        for form in forms:
            out = io.BytesIO()
            canvas.savefig(out, format=form, dpi=PNG_DPI, metadata=UNDATED[form])
            files[form] = out.getvalue()
    return files


def inline(svg: str, figure: Figure) -> str:
    """Return the SVG as an element of an HTML page: its own ids, the page's inks, no background,
    named by alt.
    """
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(svg[svg.index("<svg") :])
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (
                f"{{{SVG}}}metadata",
                f"{{{SVG}}}style",
            ):  # its style would be the whole page's
                parent.remove(child)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": figure.alt, "class": "figure"}
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    text = re.sub(
        r' id="([^"]+)"', lambda m: f' id="{figure.slug}-{m[1]}"' if m[1] in used else "", text
    )
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{figure.slug}-", text)
    for ink, own in PAGE_INKS.items():
        text = text.replace(ink, own)
    return text.replace("'DejaVu Sans', sans-serif", "inherit")
