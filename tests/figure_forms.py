"""What tests ask of any figure."""

from __future__ import annotations

from typing import Any

from matplotlib.text import Text

from benchmark.judge.cells import panels
from benchmark.judge.claims.evidence import GridEvidence, Reading, grid_evidence
from benchmark.judge.reference import load_reference, load_tolerances
from benchmark.report.figure import Figure, styled
from benchmark.runs.collect import Collected


def plotted(figure: Figure) -> Any:
    """The figure as matplotlib has it."""
    with styled(figure.slug):
        return figure.plot(figure.data)


def least_points(figure: Figure) -> float:
    """The size of the smallest text of a figure, in points, at the size it is shown."""
    with styled(figure.slug):
        texts = [text for text in figure.plot(figure.data).findobj(Text) if text.get_text()]
        return min(text.get_fontsize() for text in texts)


def evidence_of(collected: Collected) -> GridEvidence:
    """What runs of one set of terms say of the grid."""
    (panel,) = panels(collected)
    rules = load_tolerances()
    return grid_evidence(panel, Reading.TEXT, load_reference(), rules.claims, rules.sizes)
