"""The arms that installed packages bring, beside the built-in ones."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points

from benchmark.arm import ENTRY_POINTS, ArmEntry, is_arm_class
from benchmark.errors import ArmError


def say(warning: str) -> None:
    """Print one line on standard error."""
    print(f"warning: {warning}", file=sys.stderr)


def with_plugins(
    builtin: Mapping[str, ArmEntry], warn: Callable[[str], None] = say
) -> dict[str, ArmEntry]:
    """Add the arms that installed packages offer under the entry point group `ENTRY_POINTS`.

    One that takes a name already taken is left out, and one that cannot be used is in the table
    with the reason as `ArmEntry.broken`; warn is given a line for each.
    """
    arms = dict(builtin)
    for point in entry_points(group=ENTRY_POINTS):
        if point.name in arms:
            earlier = arms[point.name].target
            warn(f"{_named(point)} is left out: its name is that of {earlier}; rename one of them")
            continue
        arms[point.name] = entry = _entry(point)
        if entry.broken:
            warn(entry.broken)
    return arms


def _entry(point: EntryPoint) -> ArmEntry:
    package, version = (point.dist.name, point.dist.version) if point.dist else ("", "")
    try:
        if not re.fullmatch(r"[\w.+-]*\w", point.name):
            raise ArmError("its name is none of a folder: letters, digits, '.', '_', '+' and '-'")
        since, arm = time.time(), ArmEntry(point.value).load()
        entry = ArmEntry.of(arm, package, version, since)
        if not is_arm_class(arm):
            raise ArmError(f"{arm.__qualname__} lacks fit or predict, which every arm has")
        return entry
    except ArmError as error:
        reason = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # its code may do anything, such as call sys.exit
        reason = f"its import ends with {type(error).__name__}: {error}"
    reason = " ".join(reason.split())
    sentence = f"{_named(point)} cannot be used: {reason}; mend or uninstall its package"
    return ArmEntry(point.value, broken=sentence)


def _named(point: EntryPoint) -> str:
    package = f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed package"
    return f"arm {point.name!r} of {package} ({point.value})"
