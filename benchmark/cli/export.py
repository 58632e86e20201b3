"""The verb `export`: slices and models in the forms that other tools read. No torch up here."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from benchmark.arm import ArmEntry
from benchmark.cli.options import request
from benchmark.planning.request import load_slices

Write = Callable[[argparse.Namespace, Mapping[str, ArmEntry]], str]


def export(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> int:
    """Write what was asked for in the form that was asked for, and say what was written."""
    print(FORMS[options.to](options, arms))
    return 0


def _nifti(options: argparse.Namespace, arms: Mapping[str, ArmEntry]) -> str:
    from benchmark.data import nifti

    slices = load_slices(request(options))
    nifti.export(slices, options.folder)
    return f"{len(slices)} pairs written to {options.folder}/; fingerprint {slices.fingerprint}"


FORMS: dict[str, Write] = {"nifti": _nifti}
