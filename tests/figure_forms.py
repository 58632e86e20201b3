"""What tests ask of any figure."""

from __future__ import annotations

from typing import Any

from matplotlib.text import Text

from benchmark.report.figure import Figure, styled


def plotted(figure: Figure) -> Any:
    """The figure as matplotlib has it."""
    with styled(figure.slug):
        return figure.plot(figure.data)


def least_points(figure: Figure) -> float:
    """The size of the smallest text of a figure, in points, at the size it is shown."""
    with styled(figure.slug):
        texts = [text for text in figure.plot(figure.data).findobj(Text) if text.get_text()]
        return min(text.get_fontsize() for text in texts)
