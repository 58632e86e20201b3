"""The command line as words: help, examples, options that cannot be read."""

from __future__ import annotations

import re

import pytest
from bench_forms import ROOT, call

from benchmark.__main__ import VERBS
from benchmark.cli.parser import EXAMPLES, parser

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_every_verb_has_a_help(capsys: Capture, verb: str) -> None:
    with pytest.raises(SystemExit) as caught:
        call(f"{verb} --help")
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("usage: python -m benchmark")


def test_every_verb_has_its_function() -> None:
    actions = [action for action in parser()._actions if action.dest == "verb"]
    assert set(actions[0].choices or []) == set(VERBS)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("plan --seeds 1,x", "must be whole numbers separated by commas"),
        ("plan --labels meningioma", "must be whole numbers separated by commas"),
        ("plan --image-size 0", "must be a whole number above 0"),
        ("reproduce --workers -1", "must be a whole number above 0"),
        ("plan --grids thesis", "unrecognized arguments"),
        ("plan --format csv", "invalid choice: 'csv'"),
        ("compare --section claim", "invalid choice: 'claim'"),
        ("compare --section", "expected at least one argument"),
        ("compare --format html", "invalid choice: 'html'"),
        ("run", "the following arguments are required: --id"),
        ("run --id", "expected at least one argument"),
        ("train", "invalid choice: 'train'"),
        ("audit --split", "expected at least one argument"),
        ("score masks", "the following arguments are required: --split"),
    ],
)
def test_options_that_cannot_be_read(capsys: Capture, command: str, says: str) -> None:
    with pytest.raises(SystemExit) as caught:
        call(command)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_the_examples_in_the_help_can_be_read() -> None:
    for line in EXAMPLES.splitlines()[1:]:
        program, _, command = re.split(r"  +", line.strip())[0].partition(" benchmark ")
        assert program == "python -m"
        asked_verb = parser().parse_args(command.split()).verb
        assert asked_verb in VERBS


def test_the_jobs_pass_their_options_on() -> None:
    """noxfile.py names verbs that there are."""
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    verbs = set(re.findall(r'benchmark\(session, "(\w+)"\)', text))
    assert {"reproduce", "compare"} <= verbs <= set(VERBS)
