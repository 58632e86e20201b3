"""What the commands here share: how they end, and how they may be published."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence

from benchmark.data import WORDS
from benchmark.errors import BenchmarkError

DATA_HELP = "slices, as for python -m benchmark (default: the same; phantoms where none are)"
PATHS = {"--data": "slices", "--out": "results"}  # options and what lies there


def exit_code(action: Callable[[], object]) -> int:
    """Carry out a command; 0 well, 2 bad input, 130 interrupted."""
    try:
        action()
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}; mend the path, its permissions or the disk", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130
    return 0


def shown(words: Sequence[str]) -> str:
    """Return the command as it may be published: "path/to" and its purpose for a path.

    >>> shown(["--data", "a/b c", "--out=x/y.md", "--rounds", "3"])
    'python -m performance --data path/to/slices --out=path/to/results --rounds 3'
    """
    public = ["python", "-m", "performance"]
    for word in words:
        option, equals, value = word.partition("=")
        if option in PATHS and equals:
            public.append(word if value in WORDS else f"{option}=path/to/{PATHS[option]}")
        elif public[-1] in PATHS:
            public.append(word if word in WORDS else f"path/to/{PATHS[public[-1]]}")
        else:
            public.append(word)
    return shlex.join(public)
