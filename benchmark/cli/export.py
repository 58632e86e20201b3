"""The verb `export`: slices and models in the forms that other tools read. No torch up here."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from benchmark.arm import ArmEntry
from benchmark.cli.options import request
from benchmark.errors import SpecError
from benchmark.judge.tables import wrapped
from benchmark.planning.request import load_slices

Write = Callable[[argparse.Namespace, Mapping[str, ArmEntry]], str]


def export(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Write what was asked for in the form that was asked for, and say what was written."""
    for name in sorted(set().union(*OWN.values()) - set(OWN.get(options.to, ()))):
        if getattr(options, name) is not None:
            forms = ", ".join(form for form, own in OWN.items() if name in own)
            raise SpecError(f"--{name}: is for --to {forms}, not --to {options.to}; leave it out")
    print(FORMS[options.to](options, arms))
    return 0


def _nifti(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> str:
    from benchmark.data import nifti

    slices = load_slices(request(options))
    nifti.export(slices, options.folder)
    return f"{len(slices)} pairs written to {options.folder}/; fingerprint {slices.fingerprint}"


def _nnunet(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> str:
    from benchmark.exports import nnunet
    from benchmark.planning.request import load_splits

    nnunet.check_folder(options.folder)
    asked = request(options)
    slices = load_slices(asked)
    splits = load_splits(asked, slices, default="patient")
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


FORMS: dict[str, Write] = {"nifti": _nifti, "nnunet": _nnunet}
OWN = {"nnunet": ("protocol", "splits")}  # options of a form that others refuse
