"""Scores as they would be where a claim is true, and where it is not: worlds to try predicates in.

Dice of a slice in one training is a sum of independent normal parts, those of patients and slices
shared by all cells:

    mean + patient + slice + training set (of a split) + training + slice in this training

with the standard deviations of `Noise`, fitted to the shipped records. A world shifts the mean of
some cells or stretches their spread; claims about single images have worlds of their own. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.judge.cells import Cell
from benchmark.judge.claims.evidence import GridEvidence, GridPoint

Scores = Mapping[str, NDArray[np.float64]]  # columns of scores.csv, (rows,)
MEAN = 0.87  # of Dice, by image at 256x256
STRETCH = 0.4  # SD of Dice between trainings on an image over 1 - its mean Dice, at 256x256
LEFT_OUT = 0.4  # at most, by a cell on an image where cells differ
CHANCE = 0.005  # that one training misses a large tumour's centre: 2 of 397 at 256x256
NECROTIC, HABIT = 0.1, 0.8  # share of patients with a centre that is missed, and how often it is
OFTEN = 0.2  # by chance alone, as slice 601's was, by 4 of 25 trainings of all cells at 256x256
RIGHT_SD = (0.02, 0.005)  # of Dice where the outline looks right: patients, a slice in a training


@dataclass(frozen=True)
class Noise:
    """SD of Dice by source, in the trainings at 256x256; residual: of a slice in one training."""

    patient: float = 0.128
    slice: float = 0.116
    training_set: float = 0.005
    training: float = 0.009
    residual: float = 0.085


class Truth(StrEnum):
    """Whether a claim holds in a world; border: where either verdict would be false."""

    HOLDS = "holds"
    FAILS = "fails"
    BORDER = "border"


@dataclass(frozen=True, eq=False)
class Design:
    """Which cells have which seeds on which splits: evidence, all of whose scores are replaced."""

    name: str
    evidence: GridEvidence

    @property
    def printed(self) -> Cell:
        """The cell whose Dice is printed; `KeyError` where the design has it not."""
        return self.evidence.cells[self.evidence.printed]

    @cached_property
    def numbers(self) -> Mapping[GridPoint, Mapping[str, NDArray[np.int64]]]:
        """Of each cell's rows, (rows,): which patient, slice (of a split), split and training."""
        rows = pd.concat({p: cell.rows for p, cell in self.evidence.cells.items()})
        keys = {
            "patient": ["patient_id"],
            "slice": ["split_id", "slice_id"],
            "split": ["split_id"],
        }
        numbers = {name: rows.groupby(by).ngroup().to_numpy() for name, by in keys.items()}
        sizes = [len(cell.rows) for cell in self.evidence.cells.values()]
        of_cell = {
            name: np.split(values, np.cumsum(sizes)[:-1]) for name, values in numbers.items()
        }
        trainings = [
            cell.rows.groupby(["split_id", "seed"]).ngroup().to_numpy()
            for cell in self.evidence.cells.values()
        ]
        return {
            point: {name: of_cell[name][i] for name in keys} | {"training": trainings[i]}
            for i, point in enumerate(self.evidence.cells)
        }

    def scored(self, of: Callable[[GridPoint], Scores]) -> GridEvidence:
        """The evidence with columns of each cell's rows replaced."""
        cells = {point: cell.rescored(of(point)) for point, cell in self.evidence.cells.items()}
        return replace(self.evidence, cells=cells)


Draw = Callable[[Design, Noise, np.random.Generator], GridEvidence]


@dataclass(frozen=True, eq=False)
class World:
    """What is true, in words and for each claim that is tried there, and how scores are drawn."""

    words: str
    claims: Mapping[str, Truth]
    draw: Draw


def shared(design: Design, name: str, sd: float, rng: np.random.Generator
           ) -> Callable[[GridPoint], NDArray[np.float64]]:  # fmt: skip
    """A normal part of each patient, slice or split, the same in all cells; (rows,) of a cell."""
    n = 1 + max(int(numbers[name].max()) for numbers in design.numbers.values())
    values = rng.normal(0, sd, n)
    return lambda point: values[design.numbers[point][name]]


def of_trainings(design: Design, point: GridPoint, noise: Noise, rng: np.random.Generator
                 ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """What a training brings, and what it does on one slice alone, both (rows,)."""
    training = design.numbers[point]["training"]
    whole = rng.normal(0, noise.training, training.max() + 1)[training]
    return whole, rng.normal(0, noise.residual, len(training))


Shift = Callable[[GridPoint], float]


def none(point: GridPoint) -> float:
    """No shift."""
    return 0.0


def grid_world(
    design: Design, noise: Noise, rng: np.random.Generator,
    *, shift: Shift = none, stretch: Shift = none, by_alpha: float | None = None,
) -> GridEvidence:  # fmt: skip
    """Cells whose mean Dice is shifted, and whose SD over slices is stretched by a share of it.

    by_alpha: how much sensitivity rises from alpha 0.1 to 0.9, and precision falls; None: neither
    is drawn.
    """
    shifts: dict[str, Shift] = {"dice": shift}
    if by_alpha is not None:
        for column, sign in (("sensitivity", 1), ("precision", -1)):
            shifts[column] = partial(on_alpha, slope=sign * by_alpha / 0.8)
    parts = {
        column: [
            shared(design, name, sd, rng)
            for name, sd in (
                ("patient", noise.patient),
                ("slice", noise.slice),
                ("split", noise.training_set),
            )
        ]
        for column in shifts
    }

    def of(point: GridPoint) -> Scores:
        scores = {}
        for column, (patient, slice_, split) in parts.items():
            training, residual = of_trainings(design, point, noise, rng)
            over_slices = (patient(point) + slice_(point) + residual) * (1 + stretch(point))
            middle = MEAN + shifts[column](point) + split(point) + training
            scores[column] = middle + over_slices
        return scores

    return design.scored(of)


def on_alpha(point: GridPoint, slope: float) -> float:
    """A shift that rises with alpha, 0 at 0.5."""
    return slope * (point[1] - 0.5)


def right_outlines(
    design: Design, noise: Noise, rng: np.random.Generator, *, small: float, large: float
) -> GridEvidence:
    """Dice of small tumours with a right outline and of large ones; which are so is as recorded."""
    patient = shared(design, "patient", RIGHT_SD[0], rng)
    edge = design.evidence.sizes.edges_mm2[0]

    def of(point: GridPoint) -> Scores:
        training, residual = of_trainings(design, point, replace(noise, residual=RIGHT_SD[1]), rng)
        area = design.evidence.cells[point].rows["truth_mm2"].to_numpy()
        return {"dice": np.where(area < edge, small, large) + patient(point) + training + residual}

    return design.scored(of)


def images(design: Design, noise: Noise, rng: np.random.Generator, *, share: float) -> GridEvidence:
    """Images as the best cell found them; on a share of them each cell leaves out another amount.

    Trainings of one cell differ by `STRETCH` (1 - Dice), so that easy images stay easy.
    """
    base = _as_found(design)
    differs = rng.random(len(base)) < share

    def of(point: GridPoint) -> Scores:
        image = design.numbers[point]["slice"]
        amount = (rng.uniform(0, LEFT_OUT, len(base)) * differs)[image]
        training, _ = of_trainings(design, point, noise, rng)
        middle = base[image] - amount
        own = rng.normal(0, STRETCH, len(image)) * (1 - base[image])
        return {"dice": np.clip(middle + training + own, 0, 1)}

    return design.scored(of)


def _as_found(design: Design) -> NDArray[np.float64]:
    """Mean Dice of each image (of a split) in the printed cell's recorded trainings."""
    image, dice = design.numbers[design.evidence.printed]["slice"], design.printed.rows["dice"]
    return np.bincount(image, weights=dice) / np.bincount(image)


def centres(
    design: Design, noise: Noise, rng: np.random.Generator, *, necrotic: float, by: float = CHANCE
) -> GridEvidence:
    """A share of patients has a tumour whose centre each training misses with a chance of `HABIT`;
    any other centre is missed with another, by chance alone.
    """
    n = 1 + max(int(numbers["patient"].max()) for numbers in design.numbers.values())
    chance = np.where(rng.random(n) < necrotic, HABIT, by)

    def of(point: GridPoint) -> Scores:
        of_row = chance[design.numbers[point]["patient"]]
        found = np.where(rng.random(len(of_row)) < of_row, 0.0, 1.0)
        return {"core_sensitivity": found, "sensitivity": np.ones(len(of_row))}

    return design.scored(of)


def at(mean: float, *, kernels: Sequence[int] = (), alphas: Sequence[float] = ()) -> Shift:
    """A shift of the cells with one of these kernels and one of these alphas; none given: any."""

    def shift(point: GridPoint) -> float:
        here = (not kernels or point[0] in kernels) and (not alphas or point[1] in alphas)
        return mean if here else 0.0

    return shift


def both(one: Shift, other: Shift) -> Shift:
    """The sum of two shifts."""
    return lambda point: one(point) + other(point)


HOLDS, FAILS, BORDER = Truth
GAIN, MUCH, WIDER = 0.02, 0.05, 0.1  # by how much cells differ, in mean Dice and share of their SD
OTHER_ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)
PRINTED = partial(at, kernels=(5,), alphas=(0.5,))
RIVAL = partial(at, kernels=(3,), alphas=(0.4,))


OF_SIGN = ("extremes-worse", "small-kernels-mean", "small-kernels-spread", "alpha-direction")


def _grid(words: str, claims: Mapping[str, Truth], *, shift: Shift, stretch: Shift = none) -> World:
    return World(words, claims, partial(grid_world, shift=shift, stretch=stretch))


def _signed(words: str, claims: Mapping[str, Truth], sign: int) -> World:
    """A world of the claims that set two parts of the grid against each other."""
    shift = both(at(-sign * GAIN, alphas=(0.1, 0.9)), at(sign * GAIN, kernels=(3, 5)))
    stretch = at(abs(sign) * WIDER, kernels=(7, 9) if sign > 0 else (3, 5))
    draw = partial(grid_world, shift=shift, stretch=stretch, by_alpha=sign * GAIN)
    return World(words, claims, draw)


def _images(words: str, claim: str, truth: Truth, draw: Draw) -> World:
    return World(words, {claim: truth}, draw)


WORLDS = (  # of a claim, the first where it holds and the first where it fails are told of
    _grid(
        "5x5, alpha 0.5 has 0.02 more Dice than all others, and its SD is 10% less",
        {"best-cell": HOLDS}, shift=PRINTED(GAIN), stretch=PRINTED(-WIDER),
    ),
    _grid(
        "5x5, alpha 0.5 has 0.05 more Dice than all others, and its SD is 10% less",
        {"best-cell": HOLDS}, shift=PRINTED(MUCH), stretch=PRINTED(-WIDER),
    ),
    _grid(
        "3x3, alpha 0.4 has 0.02 more Dice than all others",
        {"best-cell": FAILS, "tversky-no-gain": FAILS}, shift=RIVAL(GAIN),
    ),
    _grid(
        "3x3, alpha 0.4 has 0.05 more Dice than all others",
        {"best-cell": FAILS, "tversky-no-gain": FAILS}, shift=RIVAL(MUCH),
    ),
    _grid(
        "all alphas but 0.5 have 0.02 less Dice",
        {"tversky-no-gain": HOLDS}, shift=at(-GAIN, alphas=OTHER_ALPHAS),
    ),
    _grid(
        "all alphas but 0.5 have 0.05 less Dice",
        {"tversky-no-gain": HOLDS}, shift=at(-MUCH, alphas=OTHER_ALPHAS),
    ),
    _signed(
        "alphas 0.1 and 0.9 have 0.02 less Dice, 3x3 and 5x5 0.02 more; 7x7 and 9x9 a 10% wider "
        "SD; from alpha 0.1 to 0.9 sensitivity rises by 0.02 and precision falls",
        dict.fromkeys(OF_SIGN, HOLDS), 1,
    ),
    _signed(
        "alphas 0.1 and 0.9 have 0.02 more Dice, 3x3 and 5x5 0.02 less and a 10% wider SD; from "
        "alpha 0.1 to 0.9 sensitivity falls by 0.02 and precision rises",
        dict.fromkeys(OF_SIGN, FAILS), -1,
    ),
    _signed(
        "all cells are alike",
        dict.fromkeys(OF_SIGN, BORDER) | {"best-cell": HOLDS, "tversky-no-gain": HOLDS}, 0,
    ),
    _grid(
        "alpha 0.1 has 0.02 less Dice, alpha 0.9 has not",
        {"extremes-worse": BORDER}, shift=at(-GAIN, alphas=(0.1,)),
    ),
    _images(
        "small tumours with a right outline have 0.85, large tumours 0.94",
        "small-tumours", HOLDS, partial(right_outlines, small=0.85, large=0.94),
    ),
    _images(
        "small tumours with a right outline have 0.95, large tumours 0.94, as recorded",
        "small-tumours", FAILS, partial(right_outlines, small=0.95, large=0.94),
    ),
    _images(
        "small tumours with a right outline have 0.9, large tumours 0.94",
        "small-tumours", BORDER, partial(right_outlines, small=0.9, large=0.94),
    ),
    _images(
        "on 15% of the images each cell leaves out another amount, up to 0.4 of Dice",
        "image-spread", HOLDS, partial(images, share=0.15),
    ),
    _images(
        "all cells are one model; its trainings differ most on hard images",
        "image-spread", FAILS, partial(images, share=0.0),
    ),
    _images(
        "a tenth of the patients has a centre that 80% of trainings miss",
        "necrotic-centres", HOLDS, partial(centres, necrotic=NECROTIC),
    ),
    _images(
        "a centre is missed by chance alone, in 0.5% of trainings",
        "necrotic-centres", FAILS, partial(centres, necrotic=0.0),
    ),
    _images(  # confirmed here tells how often chance alone makes an example
        "every centre is missed by chance alone, in 20% of trainings",
        "necrotic-centres", BORDER, partial(centres, necrotic=0.0, by=OFTEN),
    ),
)  # fmt: skip
