"""What tests ask of any figure."""

from __future__ import annotations

from matplotlib.text import Text

from benchmark.report.figure import Figure, drawing


def least_points(figure: Figure) -> float:
    """The size of the smallest text of a figure, in points, at the size it is drawn."""
    with drawing(figure.slug):
        drawn = figure.draw(figure.data)
        return min(text.get_fontsize() for text in drawn.findobj(Text) if text.get_text())
