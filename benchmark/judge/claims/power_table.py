"""The power of the claims' predicates, as `reference_results/power.csv` has it. Reads that alone.

`python -m benchmark.judge.claims.power` makes the file; it is only believed for the rules that it
was made with.
"""

from __future__ import annotations

import csv
import io
import re
from functools import cache
from importlib.resources import files

import pandas as pd

from benchmark.errors import RecordError
from benchmark.judge.claims.evidence import GridEvidence
from benchmark.judge.claims.worlds import Truth
from benchmark.judge.reference import Tolerances
from benchmark.runs.collect import identity_hash

FILE = "power.csv"
GRID = "the whole grid, three seeds on one split"
CURE = "restore the shipped file, or make it with python -m benchmark.judge.claims.power"
SHARE, HASH = r"1(\.0)?|0(\.\d+)?|\d\.?\d*e-\d+", "[0-9a-f]{12}"
COLUMNS = {"claim": "[a-z-]+", "world": ".+", "truth": "|".join(Truth), "design": ".+",
           "noise": ".+", "confirmed": SHARE, "contradicted": SHARE, "repetitions": r"\d+",
           "runs": HASH, "rules": HASH}  # each with the form of its values # fmt: skip
USUAL = "usual"  # the noise that the claims' table tells of
POWER = (
    "Power: the chance of confirmed where the claim is true, and of contradicted where it is not, "
    "for these trainings, and for the whole grid with three seeds on one split; simulated "
    "(reference_results/power.csv says in which worlds, and how often the verdict is false)."
)


@cache
def load_power() -> pd.DataFrame:
    """The shipped file: claim, world, truth, design, noise, confirmed and contradicted (shares of
    repetitions), repetitions, and the hashes rules and runs. `RecordError` names the first
    line that is damaged.
    """
    return read_power((files("reference_results") / FILE).read_text("utf-8"))


def read_power(text: str) -> pd.DataFrame:
    """The table of a file like the shipped one; `RecordError` where it is damaged."""
    lines = csv.reader(text.splitlines())
    if next(lines, None) != list(COLUMNS):
        raise RecordError(f"reference_results/{FILE}, line 1: is not {','.join(COLUMNS)}; {CURE}")
    for number, values in enumerate(lines, 2):
        fits = zip(COLUMNS.values(), values, strict=False)
        if len(values) != len(COLUMNS) or not all(re.fullmatch(form, own) for form, own in fits):
            raise RecordError(f"reference_results/{FILE}, line {number}: is damaged; {CURE}")
    return pd.read_csv(io.StringIO(text))


def rules_hash(rules: Tolerances) -> str:
    """Of all numbers that the claims' verdicts hang on; not of the words."""
    words = ("reason", "readings")
    own = (rules.claims, rules.intervals, rules.sizes)
    return identity_hash(
        [{name: value for name, value in vars(rule).items() if name not in words} for rule in own]
    )


def runs_hash(evidence: GridEvidence) -> str:
    """Of how many seeds each cell has on each split."""
    return identity_hash(
        [
            [*point, split, seeds]
            for point, cell in evidence.cells.items()
            for split, seeds in cell.runs.groupby("split_id")["seed"].nunique().items()
        ]
    )


def power_in_words(claim: str, rules: Tolerances, **where: str) -> str:
    """confirm / contradict, of the rows with these values; empty where it was not simulated under
    these rules.
    """
    known = load_power()
    wanted = where | {"claim": claim, "noise": USUAL, "rules": rules_hash(rules)}
    own = known[(known[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    of_truth = own.drop_duplicates("truth").set_index("truth")  # the first world of each counts
    if not {Truth.HOLDS, Truth.FAILS} <= set(of_truth.index):
        return ""
    confirm = of_truth.loc[Truth.HOLDS, "confirmed"]
    return f"{confirm:.2f} / {of_truth.loc[Truth.FAILS, 'contradicted']:.2f}"
