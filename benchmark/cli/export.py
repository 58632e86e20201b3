"""The verb `export`: slices and models in the forms that other tools read. No torch up here."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace

from benchmark.arm import ArmEntry
from benchmark.cli.options import request
from benchmark.cli.parser import parser
from benchmark.errors import SpecError
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
            word = name.replace("_", "-")
            raise SpecError(f"--{word}: says nothing of --to {options.to}; leave it out")
    print(write(options, arms))
    return 0


def _nifti(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> str:
    from benchmark.data import nifti

    slices = load_slices(request(options))
    nifti.export(slices, options.folder)
    return f"{len(slices)} pairs written to {options.folder}/; fingerprint {slices.fingerprint}"


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
    "model": (_model, ("runs",)),
    "onnx": (_onnx, ("runs", "arm_file", "check_on", *SLICES)),
}
