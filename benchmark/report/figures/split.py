"""The split with its patients: every slice in its patient's column, by image and by patient."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.data.slices import SliceSet
from benchmark.errors import SplitError
from benchmark.protocol import Recipe, load_recipe
from benchmark.report import inks
from benchmark.report.figure import WIDE, Canvas, Figure, canvas
from benchmark.splits.files import shipped_for
from benchmark.splits.leakage import leakage
from benchmark.splits.split import SETS, Split, make, split_id

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS = {
    "train": ("s", inks.SKY, 3.3),
    "val": ("^", inks.ORANGE, 3.7),
    "test": ("D", inks.VERMILLION, 3.7),
}
NAMES = {"train": "training", "val": "validation", "test": "test"}
WITHOUT_PATIENTS = 60  # columns of slices where there are no patients to tell apart
CELL = 0.085  # inches of a slice's square


def split_figure(slices: SliceSet, recipe: Recipe) -> Figure:
    """Show draw 1 of a protocol's split, and below it the first fold of one by patient.

    Those shipped, where they fit. Where a patient is unknown, or there are too few for folds, the
    first alone; without patients, slices stand in the order of their numbers.
    """
    known = slices.patients_known
    splits = [_first(slices, recipe)]
    if known and recipe.split.unit == "image":
        with contextlib.suppress(SplitError):  # too few patients for its folds
            splits.append(_first(slices, load_recipe("patient")))
    data = pd.concat([_places(slices, split) for split in splits], ignore_index=True)
    sentences = {split.split_id: _sentences(split, slices) for split in splits}
    alt = " ".join(sentence for _, sentence in sentences.values())
    order = "each column a patient, those with most slices first"
    caption = (
        f"Each mark a slice, {order if known else 'no patient is known'}; squares train, triangles "
        f"validate, diamonds test. {alt}{' Drawn phantoms.' if slices.phantom else ''}"
    )
    title = "The split, with its patients" if known else "The split"
    titles = {name: title for name, (title, _) in sentences.items()}
    plot = partial(_plot, titles=titles, patients=known)
    return Figure("split", title, caption, alt, data, plot, "8")


def _first(slices: SliceSet, recipe: Recipe) -> Split:
    """A protocol's first split: the package's of these slices, else drawn as a run would."""
    name = split_id(recipe.split, 1)
    own = [split for split in shipped_for(slices) if split.split_id == name]
    return own[0] if own else make(slices, recipe.split, 1)


def _places(slices: SliceSet, split: Split) -> pd.DataFrame:
    """One row per slice: split, slice_id, patient_id, set, and the column and row of its mark.

    Within a column by set, then by number.
    """
    sets = {number: name for name in SETS for number in getattr(split, name)}
    numbers = {"slice_id": slices.slice_id, "patient_id": slices.patient_id}
    data = pd.DataFrame({"split": split.split_id, **numbers})
    data = data.assign(set=data["slice_id"].map(sets))
    if not slices.patients_known:
        place = np.arange(len(data))
        return data.assign(column=place % WITHOUT_PATIENTS, row=place // WITHOUT_PATIENTS)
    counts = data["patient_id"].value_counts()
    ranks = sorted(counts.index, key=lambda patient: (-counts[patient], patient))
    data = data.assign(column=data["patient_id"].map({p: i for i, p in enumerate(ranks)}))
    order = data.assign(of=data["set"].map(SETS.index)).sort_values(["column", "of", "slice_id"])
    data = data.loc[order.index]
    return data.assign(row=data.groupby("column").cumcount()).reset_index(drop=True)


def _sentences(split: Split, slices: SliceSet) -> tuple[str, str]:
    """A title and a sentence about a split, with what leaks."""
    name = split.split_id
    sizes = f"{', '.join(f'{len(getattr(split, s))} {NAMES[s]}' for s in SETS)} slices"
    if not slices.patients_known:
        return name, f"{name}: {sizes}."
    leaks = leakage(split, slices.patient_of)
    n, own = leaks.n, f"{leaks.patient_in_train:.0f}"
    return f"{name}: {own} of {n} test slices have their patient in training", (
        f"{name}: {sizes}; {own} of the {n} test slices have their patient in training too, and "
        f"{leaks.neighbour_in_train:.0f} a neighbouring slice of theirs."
    )


def _plot(data: pd.DataFrame, titles: dict[str, str], patients: bool) -> Canvas:
    n, rows = len(titles), int(data["row"].max()) + 1
    whole, grid = canvas(WIDE, n * (rows * CELL + 0.45) + 0.45, n, 1, squeeze=False)
    for axes, (name, title) in zip(grid[:, 0], titles.items(), strict=True):
        _plot_split(axes, data[data["split"] == name], patients)
        axes.set_title(title, loc="left")
        axes.set(xlim=(-0.8, data["column"].max() + 0.8), ylim=(-0.8, rows - 0.2))
    grid[-1, 0].set_xlabel("patients, by number of slices" if patients else "slices, by number")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    whole.legend(handles, labels, loc="outside lower center", ncols=len(labels), markerscale=1.6)
    return whole


def _plot_split(axes: Axes, part: pd.DataFrame, patients: bool) -> None:
    for name in SETS:
        own, (mark, colour, size) = part[part["set"] == name], MARKS[name]
        style: dict[str, Any] = {"color": colour, "markersize": size, "markeredgewidth": 0}
        axes.plot(own["column"], own["row"], mark, label=NAMES[name], **style)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    if patients:
        axes.set_ylabel("slices of the patient")
        axes.set_yticks([0, 4, 9, 14, 19], ["1", "5", "10", "15", "20"])
    else:
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
