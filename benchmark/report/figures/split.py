"""The split with its patients: every slice in the column of its patient, by image and by
patient.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.data.slices import SliceSet
from benchmark.errors import SplitError
from benchmark.protocol import Recipe, load_recipe
from benchmark.report.figure import ORANGE, SKY, VERMILLION, WIDE, Figure, canvas
from benchmark.splits.files import shipped_for
from benchmark.splits.leakage import Leakage, leakage
from benchmark.splits.split import SETS, Split, make, split_id

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

MARKS = {"train": ("s", SKY), "val": ("^", ORANGE), "test": ("D", VERMILLION)}
NAMES = {"train": "training", "val": "validation", "test": "test"}
WITHOUT_PATIENTS = 60  # columns of slices where there are no patients to tell apart
CELL = 0.085  # inches of a slice's square


def split_figure(slices: SliceSet, recipe: Recipe, by_patient: str = "patient") -> Figure:
    """Draw draw 1 of a protocol's split, and below it the first fold of one by patient; those
    shipped, where they fit.

    Where a patient is unknown, or there are too few for folds, the first alone; without patients,
    slices stand in the order of their numbers.
    """
    splits = [_first(slices, recipe)]
    if slices.patients_known and recipe.split.unit == "image":
        with contextlib.suppress(SplitError):  # too few patients for its folds
            splits.append(_first(slices, load_recipe(by_patient)))
    data = pd.concat([_places(slices, split) for split in splits], ignore_index=True)
    told = " ".join(_told(split, slices) for split in splits)
    columns = (
        "each column a patient, those with most slices first"
        if slices.patients_known
        else "no patient is known"
    )
    caption = (
        f"Each mark a slice, {columns}; squares train, triangles validate, diamonds test. {told}"
    )
    title = "The split, with its patients" if slices.patients_known else "The split"
    titles = {split.split_id: _title(split, slices) for split in splits}
    draw = partial(_draw, titles=titles, patients=slices.patients_known)
    return Figure(
        "split",
        title,
        caption + (" Drawn phantoms." if slices.phantom else ""),
        told,
        data,
        draw,
        "8",
    )


def _first(slices: SliceSet, recipe: Recipe) -> Split:
    """The first split by a protocol's rule: the package's where these are its slices, else drawn as
    a run would.
    """
    name = split_id(recipe.split, 1)
    found = [split for split in shipped_for(slices) if split.split_id == name]
    return found[0] if found else make(slices, recipe.split, 1)


def _places(slices: SliceSet, split: Split) -> pd.DataFrame:
    """One row per slice: split, slice_id, patient_id, set, column and row; within a column by set,
    then by number.
    """
    home = {number: name for name in SETS for number in getattr(split, name)}
    data = pd.DataFrame(
        {"split": split.split_id, "slice_id": slices.slice_id, "patient_id": slices.patient_id}
    )
    data = data.assign(set=data["slice_id"].map(home))
    if not slices.patients_known:
        place = np.arange(len(data))
        return data.assign(column=place % WITHOUT_PATIENTS, row=place // WITHOUT_PATIENTS)
    counts = data["patient_id"].value_counts()
    ranks = sorted(counts.index, key=lambda patient: (-counts[patient], patient))
    data = data.assign(
        column=data["patient_id"].map({patient: i for i, patient in enumerate(ranks)})
    )
    order = (
        data.assign(of=data["set"].map(SETS.index)).sort_values(["column", "of", "slice_id"]).index
    )
    data = data.loc[order]
    return data.assign(row=data.groupby("column").cumcount()).reset_index(drop=True)


def _told(split: Split, slices: SliceSet) -> str:
    """A split in one sentence, with what leaks."""
    sizes = ", ".join(f"{len(getattr(split, name))} {NAMES[name]}" for name in SETS)
    if not slices.patients_known:
        return f"{split.split_id}: {sizes} slices."
    found = _leak(split, slices)
    return (
        f"{split.split_id}: {sizes} slices; {found.patient_in_train:.0f} of the {found.n} test slices have their "
        f"patient in training too, and {found.neighbour_in_train:.0f} a neighbouring slice of theirs."
    )


def _title(split: Split, slices: SliceSet) -> str:
    if not slices.patients_known:
        return split.split_id
    found = _leak(split, slices)
    return f"{split.split_id}: {found.patient_in_train:.0f} of {found.n} test slices have their patient in training"


def _leak(split: Split, slices: SliceSet) -> Leakage:
    return leakage(split, slices.patient_of)


def _draw(data: pd.DataFrame, titles: dict[str, str], patients: bool) -> Canvas:
    names = data["split"].unique().tolist()
    rows = int(data["row"].max()) + 1
    drawn, axes = canvas(
        WIDE, len(names) * (rows * CELL + 0.45) + 0.45, len(names), 1, squeeze=False
    )
    for one, name in zip(axes[:, 0], names, strict=True):
        _draw_split(one, data[data["split"] == name], patients)
        one.set_title(titles[name], loc="left")
        one.set(xlim=(-0.8, data["column"].max() + 0.8), ylim=(-0.8, rows - 0.2))
    axes[-1, 0].set_xlabel("patients, by number of slices" if patients else "slices, by number")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=len(labels), markerscale=1.6)
    return drawn


def _draw_split(axes: Axes, part: pd.DataFrame, patients: bool) -> None:
    for name in SETS:
        mark, colour = MARKS[name]
        own = part[part["set"] == name]
        size = 3.3 if name == "train" else 3.7
        label = NAMES[name]
        axes.plot(
            own["column"],
            own["row"],
            mark,
            color=colour,
            markersize=size,
            markeredgewidth=0,
            label=label,
        )
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    if patients:
        axes.set_ylabel("slices of the patient")
        axes.set_yticks([0, 4, 9, 14, 19], ["1", "5", "10", "15", "20"])
    else:
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
