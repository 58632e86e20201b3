"""The inks of figures, by the names that `figure.inline` gives the page's own colours for.

`INK`, `MUTED`, `GRID` and `PAPER` are text, lesser text, lines that stand back, and what all stands
on. The others are Okabe and Ito's, which the colour-blind tell apart.
"""

from __future__ import annotations

INK, MUTED, GRID, PAPER = "#1b1b1c", "#68686a", "#b4b4b6", "#fffffe"
BLUE, ORANGE, GREEN = "#0072b2", "#e69f00", "#009e73"
PURPLE, SKY, VERMILLION = "#cc79a7", "#56b4e9", "#d55e00"
KERNEL_COLOURS = {3: BLUE, 5: VERMILLION, 7: GREEN, 9: PURPLE}
KERNEL_MARKERS = {3: "v", 5: "o", 7: "s", 9: "D"}
SEQUENTIAL = "cividis"  # lightness rises evenly, for the colour-blind too
