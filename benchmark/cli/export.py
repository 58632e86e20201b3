"""The verb `export`: slices and models in the forms that other tools read. No torch up here."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace

from benchmark.arm import ArmEntry
from benchmark.cli.options import request
from benchmark.cli.parser import parser
from benchmark.errors import SpecError
from benchmark.judge.tables import wrapped
from benchmark.planning.request import load_slices

Write = Callable[[argparse.Namespace, Mapping[str, ArmEntry]], str]
SLICES = ("labels", "allow_empty_masks", "spacing")  # options


def export(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Write what was asked for in the form that was asked for, and say what was written.

    Raises `SpecError` for an option of another form.
    """
    write, own = FORMS[options.to]
    unset = vars(parser().parse_args(["export", "source", "folder"]))
    for name in sorted(unset.keys() - {*own, "data", "folder", "to"}):
        if getattr(options, name) != unset[name]:
            forms = ", ".join(form for form, (_, takes) in FORMS.items() if name in takes)
            word = name.replace("_", "-")
            raise SpecError(f"--{word}: is for --to {forms}, not --to {options.to}; leave it out")
    print(write(options, arms))
    return 0


def _nifti(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> str:
    from benchmark.data import nifti

    slices = load_slices(request(options))
    nifti.export(slices, options.folder)
    return f"{len(slices)} pairs written to {options.folder}/; fingerprint {slices.fingerprint}"


def _nnunet(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> str:
    from benchmark.exports import nnunet
    from benchmark.planning.request import load_splits
    from benchmark.splits.files import by_number

    nnunet.check_folder(options.folder)
    asked = request(options)
    slices = load_slices(asked)
    splits = load_splits(asked, slices, default="patient")
    splits = tuple(sorted(splits, key=lambda split: by_number(split.split_id)))  # as `score` does
    nnunet.export(slices, splits, options.folder)
    last, mm = len(splits) - 1, " x ".join(f"{side:g}" for side in slices.spacing_mm)
    folds = f"fold 0 is {splits[0].split_id}" + f", fold {last} {splits[-1].split_id}" * (last > 0)
    told = (
        f"{len(slices)} slices written to {options.folder}/. nnU-Net's {folds}: its train is our "
        "training and validation sets, its val our test set, which its last weights outline. So "
        "no test slice chooses anything, unless by nnUNetv2_find_best_configuration or --val_best. "
        f"PNG carries no mm: of the slices' one pixel size, {mm} mm, nnU-Net knows nothing."
    )
    commands = nnunet.commands(options.folder, splits, _words_of_data(options))
    return "\n".join([*wrapped(told), "", commands])


def _words_of_data(options: argparse.Namespace) -> list[str]:
    """The options by which another verb reads the same slices."""
    words = ["--data", options.data]
    if options.labels != (1,):
        words += ["--labels", ",".join(map(str, options.labels)) if options.labels else "all"]
    if options.allow_empty_masks:
        words.append("--allow-empty-masks")
    return words + (["--spacing", *map(str, options.spacing)] if options.spacing else [])


def _model(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> str:
    from benchmark.exports.model import write
    from benchmark.exports.model_card import in_short
    from benchmark.inference.trained_model import find_stored

    config = write(find_stored(options.runs, options.data), options.folder)
    return (
        f"{in_short(config)}\nWritten to {options.folder}/; read its README.md before it is sent."
    )


def _onnx(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> str:
    from benchmark.exports.onnx_file import write
    from benchmark.inference.trained_model import load

    model = load(options.runs, options.data, arms, "cpu")
    source = options.check_on or "phantoms"
    checked = write(model, load_slices(replace(request(options), data=source)), options.folder)
    return f"{checked}\nWritten to {options.folder}/."


FORMS: dict[str, tuple[Write, tuple[str, ...]]] = {  # and the options that say something of it
    "nifti": (_nifti, SLICES),
    "nnunet": (_nnunet, ("protocol", "splits", *SLICES)),
    "model": (_model, ("runs",)),
    "onnx": (_onnx, ("runs", "arm_file", "check_on", *SLICES)),
}
