"""The verb `predict`: models on images of a user's, or on a data source. No torch up here."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from benchmark import data
from benchmark.arm import ArmEntry
from benchmark.cli.devices import allocate, cards_seen, usable_cores
from benchmark.cli.options import request
from benchmark.data.slices import MENINGIOMA
from benchmark.errors import SpecError
from benchmark.planning.request import PHANTOMS

if TYPE_CHECKING:
    from benchmark.inference.trained_model import TrainedModel


def predict(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Outline and measure slices with the models of runs; return 0 whatever is found."""
    if options.data is None:
        return _images(options, arms)
    if options.images:
        raise SpecError(
            f"--data {options.data}: {options.images[0]} is given too; give images, or a data "
            "source, not both"
        )
    return _source(options, arms)


def _images(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Images without a truth."""
    from benchmark.inference.input_files import find, passed_over

    if not options.images:
        raise SpecError(
            "no images are given; name them before --run, or give slices and their truth with "
            "--data"
        )
    if options.labels != (MENINGIOMA,) or options.allow_empty_masks:
        raise SpecError(
            "--labels and --allow-empty-masks choose slices of a --data source, and images have "
            "neither; leave them out"
        )
    paths = find(options.images)
    if note := passed_over(options.images):
        print(note)
    models = _models(options, arms)
    from benchmark.inference.predict import predict as outlined
    from benchmark.inference.predict import report

    spacing_mm = tuple(options.spacing) if options.spacing else None
    table = outlined(models, paths, options.out, spacing_mm, overwrite=options.overwrite)
    print(report(table, models))
    maps = ", maps of disagreement" if len(models) > 1 else ""
    print(f"\nMasks, overlays{maps} and measures.csv: {options.out}/")
    return 0


def _source(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Slices of a data source, held against their truth."""
    from rich.console import Console
    from rich.progress import track

    from benchmark.judge.tables import render, wrapped
    from benchmark.report.figure import counted
    from benchmark.report.marked_folder import check, write

    asked = request(options)
    slices = partial(
        data.stream,
        asked.source,
        labels=asked.labels,
        allow_empty_masks=asked.allow_empty_masks,
        spacing_mm=asked.spacing_mm,
    )
    check(options.out, options.overwrite)
    models = _models(options, arms)
    from benchmark.inference.ensemble import research_only
    from benchmark.inference.marked_slices import mark, survey

    seen_of, several = survey(models, slices(say=print)), len(models) > 1
    check(options.out, options.overwrite, seen_of, several)
    marked = track(
        mark(models, slices(), seen_of),
        "predict",
        total=len(seen_of),
        disable=not Console().is_terminal,
    )
    phantom = asked.source == PHANTOMS
    written = write(
        marked, options.out, phantom=phantom, several=several, overwrite=options.overwrite
    )
    print(f"\n{render(written.by_kind, 'text')}\n")
    print(*wrapped(written.attribution), sep="\n")
    print(f"\n{research_only(models, tried=True)}")
    maps = ", maps of disagreement" if several else ""
    print(
        f"\nMasks, overlays{maps}, measures.csv, by-kind.csv and "
        f"{counted(written.sheets, 'sheet')} of pictures: {options.out}/"
    )
    return 0


def _models(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> list[TrainedModel]:
    """The models of the runs named, on the device asked for, ready to predict."""
    cards = cards_seen(options.device)
    import torch

    from benchmark.inference.ensemble import check_members
    from benchmark.inference.trained_model import load
    from benchmark.training.seeding import make_deterministic

    (worker,) = allocate(1, 1, usable_cores(), cards, options.device)
    torch.set_num_threads(worker.threads)
    make_deterministic(worker.device)
    named = options.run or [_told_shipped()]
    models = [load(options.runs, each, arms, worker.device) for each in named]
    check_members(models)
    return models


def _told_shipped() -> str:
    """The folder of the model shipped here, after saying which it is and what it scores."""
    from benchmark.exports.model_card import in_short
    from benchmark.inference.model_folder import read_config, shipped_model

    print(f"Model: {in_short(read_config(shipped_model()).content)}")
    return str(shipped_model())
