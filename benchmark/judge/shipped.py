"""What is shipped here to judge: our records with what is told of them alone, a second reading."""

from __future__ import annotations

from pathlib import Path

from benchmark.judge.comparisons.second_reader import SecondReading
from benchmark.judge.comparisons.superseded import Superseded
from benchmark.judge.judgement import Judgement
from benchmark.judge.looks import load_looks
from benchmark.judge.reference import load_reference, load_superseded, load_tolerances
from benchmark.runs.collect import collect, reproduction_folder, superseded_folder
from benchmark.runs.second_reading import second_reading, second_reading_within


def shipped(root: Path | None = None) -> Judgement:
    """With the trainings that were replaced and the log of looks; `RecordError` for damage.

    root: the folder of the records as the user names it, and messages then do.
    """
    collected, terms = collect(root or reproduction_folder()), (load_reference(), load_tolerances())
    replaced = Superseded(collect(superseded_folder()), load_superseded())
    second = load_second_reading()
    return Judgement(collected, *terms, superseded=replaced, looks=load_looks(), second=second)


def load_second_reading() -> SecondReading:
    """That of the thesis's slices; `RecordError` where it is damaged."""
    return SecondReading(second_reading(), second_reading_within())
