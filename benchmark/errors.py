"""Every exception this package raises on purpose.

Each message names the value, the rule it broke and the cure. The command line prints
it without a traceback and exits with code 2.
"""

import sys
from collections.abc import Collection
from difflib import get_close_matches


class BenchmarkError(Exception):
    """Something the user can mend; the root of every exception below."""


class DataError(BenchmarkError):
    """A file or folder of slices breaks a rule of the data."""


class UnsafeDataError(DataError):
    """A file asks for code to be run, or for far more memory than its data can need."""


class DownloadError(BenchmarkError):
    """The archive could not be fetched; the message names the manual way."""


class OutputError(BenchmarkError):
    """A file or folder cannot be written: no space, no permission, or something in its place."""


class SplitError(BenchmarkError):
    """A split is impossible, incomplete, or puts one slice or patient in two sets."""


class SpecError(BenchmarkError):
    """A protocol, grid, arm name or parameter is unknown or out of range."""


class RecordError(BenchmarkError):
    """A run folder is damaged, of another version, or belongs to another run."""


class RunLockedError(RecordError):
    """Another process is working on this run."""


class SlurmError(BenchmarkError):
    """Slurm is not there, does not answer, or refuses what it is asked."""


class ArmError(BenchmarkError):
    """An arm broke its contract: wrong shape, range, dtype or a number that is not finite."""


def known(kind: str, name: object, choices: object) -> str:
    """Return the sentence for an unknown name, listing the known ones.

    >>> known("arm", "unett", ["otsu", "unet"])
    "unknown arm 'unett'; known: otsu, unet"
    """
    return f"unknown {kind} {name!r}; known: {', '.join(sorted(map(str, choices)))}"  # type: ignore[call-overload]


def unknown_arm(name: str, arms: Collection[str]) -> str:
    """Return the sentence for an arm that is not there: where it was looked for, and the cure.

    >>> print(unknown_arm("my-arm", ["otsu"]))  # doctest: +ELLIPSIS
    unknown arm 'my-arm'; known: otsu; searched: ...; install its package there (with nox: ...
    """
    return (
        f"{known('arm', name, arms)}; searched: {sys.executable}; install its package there (with "
        "nox: its folder in BENCH_PLUGINS), or give its file with --arm-file"
    )


def nearest(run_id: str, there: Collection[str]) -> str:
    """Return "; the nearest is ..." for a run_id that is not there, or "".

    Nearest is one that begins so, else one spelt alike, without the hash at the end: no hash is
    near to another.

    >>> nearest("unet_k5", ["otsu_1", "unet_k3_2", "unet_k5_3"])
    '; the nearest is unet_k5_3'
    """
    names = {other.rpartition("_")[0]: other for other in there}
    near = [other for other in there if run_id and other.startswith(run_id)]
    spelt_alike = get_close_matches(run_id.rpartition("_")[0] or run_id, names, 1)
    near += [names[name] for name in spelt_alike]
    return f"; the nearest is {near[0]}" if near else ""


def brief(error: BaseException) -> str:
    """Return an exception as one line: its type and the first line of its message.

    >>> brief(ValueError("too long"))
    'ValueError: too long'
    """
    first = str(error).strip().partition("\n")[0].strip()
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
