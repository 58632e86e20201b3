"""`python -m benchmark`: the composition root, the one place that knows both harness and baselines."""

from __future__ import annotations

import os
import sys

from baselines import ARMS
from benchmark import commands
from benchmark.arm import with_plugins
from benchmark.cli import parser
from benchmark.errors import BenchmarkError
from benchmark.reproduce import reproduce

VERBS = {
    "reproduce": reproduce,
    "plan": commands.plan,
    "compare": commands.compare,
    "data": commands.data,
    "export": commands.export,
    "rescore": commands.rescore,
    "arms": commands.list_arms,
}


def main(words: list[str] | None = None) -> int:
    """Carry out one command; 0 well, 1 a cell failed or was not reproduced, 2 bad input, 130 interrupted."""
    options = parser().parse_args(words)
    try:
        return VERBS[options.verb](options, with_plugins(ARMS))
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(
            f"error: {error}; mend the path, its permissions or the disk, and give the command again", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on where this one was", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
