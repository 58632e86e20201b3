"""What options mean: values, lists, KEY=VALUE, and the `Request` they make. Imports no torch."""

from __future__ import annotations

import argparse
from typing import Any

from benchmark.errors import SpecError
from benchmark.planning.grid import check_seeds
from benchmark.planning.request import Request


def request(options: argparse.Namespace) -> Request:
    """Turn parsed options into a `Request`; `SpecError` for values that cannot be read."""
    get = vars(options).get
    if get("data") == "":
        raise SpecError("--data is empty; give a path, or leave it out")
    overrides = keyed("--set", get("overrides") or [])
    return Request(
        data=get("data"),
        grid=get("grid"),
        arm_files=tuple(get("arm_file") or ()),
        protocol=get("protocol"),
        only=keyed("--only", get("only") or []),
        seeds=check_seeds(options.seeds) if get("seeds") else None,
        splits=get("splits"),
        image_size=get("image_size"),
        overrides={key: v[0] if len(v) == 1 else v for key, v in overrides.items()},
        out=get("out"),
        labels=options.labels,
        allow_empty_masks=options.allow_empty_masks,
        spacing_mm=tuple(options.spacing) if options.spacing else None,
    )


def keyed(option: str, arguments: list[str]) -> dict[str, list[Any]]:
    """["alpha=0.5,0.6"] -> {"alpha": [0.5, 0.6]}; `SpecError` for another form or a key twice."""
    keyed: dict[str, list[Any]] = {}
    for argument in arguments:
        key, _, values = argument.partition("=")
        if not key or not values:
            raise SpecError(
                f"{option} {argument!r} must have the form KEY=VALUE or KEY=VALUE,VALUE"
            )
        if key in keyed:
            raise SpecError(f"{option} names {key!r} twice; give its values together, as {key}=A,B")
        keyed[key] = [_value(value) for value in values.split(",")]
    return keyed


def _value(text: str) -> Any:
    """A whole number, a number, true or false, else the word itself."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers separated by commas; argparse tells of any other text."""
    values = text.split(",")
    if not all(v.strip().isdecimal() for v in values):
        raise argparse.ArgumentTypeError(f"{text!r} must be whole numbers separated by commas")
    return tuple(int(v) for v in values)


def labels(text: str) -> tuple[int, ...] | None:
    """Class numbers separated by commas; None for the word all."""
    return None if text == "all" else numbers(text)


def positive(text: str) -> int:
    """A whole number above 0; argparse tells of any other text."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number above 0")
    return int(text)
