"""Pictures of the slices on which two readers differ most, drawn from what was scored."""

from __future__ import annotations

import pytest
from figure_forms import plotted
from matplotlib.text import Text
from run_records import squares

from benchmark.errors import RecordError
from benchmark.judge.comparisons.second_reader import SecondReading
from benchmark.report.slices.readers_differ import SHOWN, readers_differ
from benchmark.scoring.evaluate import score

SLICES = squares(10)
ROWS = [3, 9, 1, 7, 5, 2, 8, 6, 4, 10]  # of each tumour's ten, that the second reader outlined


def outlined() -> dict[int, object]:
    masks = {}
    for i, (number, rows) in enumerate(zip(SLICES.slice_id.tolist(), ROWS, strict=True)):
        masks[number] = SLICES.masks[i].copy()
        masks[number][5 + i + rows :] = False
    return masks


def reading(masks: dict[int, object]) -> SecondReading:
    scores = score(SLICES, masks, tuple(masks))  # type: ignore[arg-type]
    return SecondReading(scores, scores.head(0).assign(variant=1))


def test_the_lowest_dice_come_first_and_each_picture_says_its_own() -> None:
    """Slices 3, 1, 6, 9, 5, 8, 4, 7 have 1 to 8 of ten rows: Dice 2r / (r + 10)."""
    masks = outlined()
    figure = readers_differ(reading(masks), masks, SLICES)  # type: ignore[arg-type]
    assert figure.data["slice_id"].tolist() == [3, 6, 1, 9, 5, 8, 4, 7]
    assert figure.data["dice"].tolist() == pytest.approx([2 * r / (r + 10) for r in range(1, 9)])
    assert len(figure.data) == SHOWN
    texts = [text.get_text() for text in plotted(figure).findobj(Text)]
    assert any(text.startswith("slice 3, Dice 0.18\n") for text in texts)
    assert "second reader (dashed)" in texts
    assert figure.alt.startswith("slice 3: Dice 0.18, ")
    assert figure.pictures


def test_two_outlines_are_drawn_of_each_slice() -> None:
    masks = outlined()
    figure = readers_differ(reading(masks), masks, SLICES)  # type: ignore[arg-type]
    axes = [axes for axes in plotted(figure).axes if axes.get_visible() and axes.images]
    assert [len(one.patches) for one in axes] == [2] * SHOWN


@pytest.mark.parametrize("what", ["missing", "another"])
def test_a_mask_that_is_not_the_one_that_was_scored_is_refused(what: str) -> None:
    masks = outlined()
    scored = reading(masks)
    if what == "missing":
        del masks[3]
    else:
        masks[3] = masks[4]
    with pytest.raises(RecordError, match="mask of slice 3 is not the one that was scored"):
        readers_differ(scored, masks, SLICES)  # type: ignore[arg-type]
