"""`python -m benchmark`: the one place that knows both the harness and the baselines."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

from baselines import ARMS
from benchmark.arm_file import with_arm_files
from benchmark.cli import judge_verbs, other_verbs
from benchmark.cli.archive import archive
from benchmark.cli.devices import give_workers_huge_pages, let_waiting_threads_sleep
from benchmark.cli.export import export
from benchmark.cli.parser import parser
from benchmark.cli.predict import predict
from benchmark.cli.run_verbs import reproduce, run
from benchmark.errors import BenchmarkError
from benchmark.plugins import with_plugins

VERBS = {
    "reproduce": reproduce,
    "run": run,
    "plan": other_verbs.plan,
    "compare": judge_verbs.compare,
    "report": judge_verbs.report,
    "data": other_verbs.data,
    "export": export,
    "archive": archive,
    "rescore": other_verbs.rescore,
    "audit": other_verbs.audit,
    "score": judge_verbs.score,
    "predict": predict,
    "arms": other_verbs.list_arms,
}


GOING_ON = ("reproduce", "run")  # the verbs that find again what was done


class Terminated(KeyboardInterrupt):
    """SIGTERM came: from a batch system before its time limit, or from `kill`."""


@contextlib.contextmanager
def sigterm_stops() -> Iterator[None]:
    """Inside, SIGTERM ends the call as Ctrl-C does, which Python allows in the main thread only."""

    def stop(number: int, frame: FrameType | None) -> None:
        # the first is enough; a second would disturb the ending
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def drop_stdout() -> None:
    """Let go of what is still to be printed: Python would try again at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command; return its exit code.

    0 well, 1 a cell failed or was not reproduced, 2 bad input, 130 interrupted, 143 terminated.
    """
    for stream in (sys.stdout, sys.stderr):
        # a name that the terminal cannot spell is no reason to stop
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    if "torch" not in sys.modules:
        let_waiting_threads_sleep(os.environ)
    give_workers_huge_pages(os.environ)
    try:
        with sigterm_stops():
            files = vars(options).get("arm_file", ())
            code = VERBS[options.verb](options, with_arm_files(with_plugins(ARMS), files))
            sys.stdout.flush()  # here, where a reader that is gone is no error
            return code
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        drop_stdout()
        return 0
    except OSError as error:
        if error.filename is None:  # files are named, and of what is printed there is no name
            drop_stdout()
        print(
            f"error: {error.filename or 'standard output'}: {error.strerror or error}; "
            "mend the path, its permissions or the disk, and give the command again",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt as stopped:
        skips = "the same command skips what is done"
        next_time = skips if options.verb in GOING_ON else "give it again"
        told = getattr(stopped, "__notes__", ())  # of a grid: what becomes of the cells cut
        print(f"\nstopped; {'; '.join(told) or next_time}", file=sys.stderr)
        return 143 if isinstance(stopped, Terminated) else 130


if __name__ == "__main__":
    sys.exit(main())
