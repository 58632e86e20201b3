"""One figure: its numbers, its words, how it is plotted; saved in four forms, or put in a page.

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
from typing import TYPE_CHECKING, Any, TypeAlias
from xml.etree import ElementTree

import pandas as pd

from benchmark.judge.tables import Table, rounded_csv
from benchmark.report import inks
from benchmark.storage.atomic import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

Canvas: TypeAlias = "MatplotlibFigure"

PAGE_INKS = {  # in a page; what is not here keeps its colour
    inks.INK: "currentColor",
    inks.MUTED: f"var(--muted, {inks.MUTED})",
    inks.GRID: f"var(--line, {inks.GRID})",
    inks.BLUE: f"var(--blue, {inks.BLUE})",
    inks.PAPER: "none",
}
COLUMN, WIDE = 3.5, 7.2  # inches: one column of a journal, both
SMALL = 6.5  # points of the smallest text
PNG_DPI = 300
FORMS = ("png", "svg", "pdf", "csv")
UNDATED: dict[str, dict[str, None]] = {  # what differs from day to day or between matplotlibs
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
    **{f"{axis}tick.labelsize": 7 for axis in "xy"},
    "legend.fontsize": 7,
    "legend.frameon": False,
    **{f"{name}.color": inks.INK for name in ("text", "xtick", "ytick")},
    **{f"axes.{name}color": inks.INK for name in ("label", "edge", "title")},
    "hatch.color": inks.GRID,
    "hatch.linewidth": 0.5,
    "axes.facecolor": "none",
    **{f"{name}.facecolor": inks.PAPER for name in ("figure", "savefig")},
    **{f"axes.spines.{side}": False for side in ("top", "right")},
    "axes.linewidth": 0.6,
    **{f"{axis}tick.major.width": 0.6 for axis in "xy"},
    "lines.linewidth": 1.2,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and scaled
    "pdf.fonttype": 42,  # TrueType: journals ask for it, and text stays text
    "image.interpolation": "none",
    "text.parse_math": False,  # an arm may be called anything
}
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


@dataclass(frozen=True, eq=False)
class Figure:
    """What a reader sees and what it was plotted from.

    slug: its file name, as `slugged` makes them, unique in a report; alt: what it shows, for who
    cannot see it; thesis: the number of the thesis's figure that it redraws, "" where it has none;
    data: every number plotted, in full precision, of which the CSV keeps what means something
    (`rounded_csv`); plot: data -> canvas, called inside `styled`; pictures: True where it shows
    the slices themselves, whose licence asks for attribution; tables: those folded beneath it.
    """

    slug: str
    title: str
    caption: str
    alt: str
    data: pd.DataFrame
    plot: Callable[[pd.DataFrame], Canvas] = field(repr=False)
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
def styled(slug: str) -> Iterator[None]:
    """The style of every figure; ids in its SVG are made from the slug: the same each time."""
    import matplotlib

    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": slug}):
        yield


def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1, **more: Any
) -> tuple[Canvas, Any]:
    """Return a canvas of so many inches and its axes, one or an array; no window is opened."""
    from matplotlib.figure import Figure as MatplotlibFigure

    made = MatplotlibFigure(figsize=(width, height))
    return made, made.subplots(rows, columns, **more)


def logarithmic(axis: Any) -> None:
    """Plain numbers on a filled logarithmic axis; the more powers of ten, the fewer ticks each."""
    from matplotlib.ticker import LogLocator

    low, high = axis.get_view_interval()
    powers = math.log10(high / low)
    steps = (1,) if powers > 3 else (1, 2, 5) if powers > 1 else range(1, 10)
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(lambda x, _: f"{x:g}")
    axis.set_minor_formatter(lambda x, _: "")


def save(figure: Figure, folder: Path, forms: Sequence[str] = FORMS) -> str:
    """Write slug.svg, .png, .pdf and .csv, or some, into a folder that exists; return the SVG."""
    files = _files(figure, ("svg", *(form for form in forms if form not in ("svg", "csv"))))
    svg = files["svg"].decode()
    files["csv"] = rounded_csv(figure.data).encode()
    for form in forms:
        write_bytes(folder / f"{figure.slug}.{form}", files[form])
    return svg


def svg_of(figure: Figure) -> str:
    """Plot a figure as SVG text; the same data give the same text."""
    return _files(figure, ("svg",))["svg"].decode()


def _files(figure: Figure, forms: Sequence[str]) -> dict[str, bytes]:
    """The bytes of a figure by form, plotted once."""
    files = {}
    with styled(figure.slug):
        plotted = figure.plot(figure.data)
        for form in forms:
            out = io.BytesIO()
            plotted.savefig(out, format=form, dpi=PNG_DPI, metadata=UNDATED[form])
            files[form] = out.getvalue()
    return files


def inline(svg: str, figure: Figure) -> str:
    """Return the SVG as an element of a page: its own ids, the page's inks, its alt; no paper."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(svg[svg.index("<svg") :])
    outside = {f"{{{SVG}}}{name}" for name in ("metadata", "style")}  # would style the whole page
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in outside]:
            parent.remove(child)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": figure.alt, "class": "figure"}
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    text = ElementTree.tostring(root, encoding="unicode")
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    own = f"{figure.slug}-"
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{own}{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{own}", text)
    for ink, name in PAGE_INKS.items():
        text = text.replace(ink, name)
    return text.replace("'DejaVu Sans', sans-serif", "inherit")
