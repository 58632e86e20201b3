"""What `compare` and `report` print: formats, sections, and whose runs they judged."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from bench_forms import call
from run_records import write_own

from benchmark.cli import judge_verbs
from benchmark.cli.parser import SECTION_NAMES
from benchmark.report.build import Written
from benchmark.runs import collect

Patch = pytest.MonkeyPatch
Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Runs of two alphas and two seeds."""
    for alpha, rows in ((0.5, 8), (0.6, 6)):
        for seed in (1, 2):
            params = {"alpha": alpha, "kernel_size": 5}
            write_own(tmp_path / "mine", rows - seed, seed=seed, params=params)
    return tmp_path / "mine"


@pytest.mark.parametrize(
    ("form", "begins"),
    [("text", "The thesis's printed numbers."), ("markdown", "**"), ("latex", "% ")],
)
def test_compare_in_every_format(capsys: Capture, written: Path, form: str, begins: str) -> None:
    """All sections at once; what goes into a document has no greeting, and asides are on stderr."""
    assert call(f"compare --runs mine --section {' '.join(SECTION_NAMES)} --format {form}") == 0
    output = capsys.readouterr()
    assert output.out.startswith(begins)
    assert "1. Does 0.898 hold?" not in output.out
    nothing = "nothing has been run on the thesis's slices with its protocol"
    twice = "no run is of the slices that a second reader has outlined"
    cell = "the reference cell has not been run on the thesis's slices"
    changed = "the reference cell has not been run with a setting of its protocol changed"
    empty = {"claims": nothing, "choices": changed, "readers": twice, "variance": cell}
    expected = (f"Nothing to show under {name}: {why}.\n" for name, why in empty.items())
    assert output.err == "".join(expected)
    titles = ("The thesis's printed numbers.", "Arms against arms, dataset")
    for title in (*titles, "Measures by tumour size, dataset"):
        assert title in output.out


@pytest.mark.parametrize("section", SECTION_NAMES)
def test_csv_is_nothing_but_csv(
    capsys: Capture, written: Path, monkeypatch: Patch, section: str
) -> None:
    """Even where a run was left out. An empty section is an empty file."""
    collected = replace(collect.collect(written), superseded=("an-old-run",))
    monkeypatch.setattr(judge_verbs, "collect", lambda root, only=None: collected)
    assert call(f"compare --runs mine --section {section} --format csv") == 0
    output = capsys.readouterr()
    left_out = "Left out, since the same run was made again by later code: an-old-run\n"
    if section in ("claims", "choices", "readers", "variance"):
        assert output.out == ""
        assert re.fullmatch(rf"Nothing to show under {section}: .*\n\n{left_out}", output.err)
        return
    table = pd.read_csv(io.StringIO(output.out))
    assert table.columns[0] == "table"
    assert table["table"].notna().all()
    assert "an-old-run" not in output.out
    assert output.err == f"\n{left_out}"


def test_one_section_is_printed_alone(capsys: Capture, written: Path) -> None:
    assert call("compare --runs mine --section arms") == 0
    output = capsys.readouterr()
    assert output.out.startswith("Arms against arms, dataset")
    assert "printed numbers" not in output.out
    assert output.err == ""


@pytest.mark.parametrize("options", ["", f"--section {' '.join(SECTION_NAMES)}"])
def test_no_line_of_compare_is_wider_than_a_terminal(capsys: Capture, options: str) -> None:
    """Of the records shipped here, whose tables have up to fifteen columns."""
    assert call(f"compare {options}") == 0
    output = capsys.readouterr()
    assert max(map(len, (output.out + output.err).splitlines())) <= 100
    assert "More columns in compare's other formats" in output.out


@pytest.mark.parametrize("verb", ["compare", "report"])
def test_after_runs_on_phantoms_it_says_where_they_lie(
    capsys: Capture, tmp_path: Path, monkeypatch: Patch, verb: str
) -> None:
    """And how to judge them; not where real slices were run, or a folder was named."""
    page = Written(tmp_path / "page", 0)
    page.page.touch()
    monkeypatch.setattr("benchmark.report.build.write", lambda source, out: page)
    here = "Your own runs, on drawn phantoms, lie in runs-quick/. To judge them: --runs runs-quick"

    def said(options: str = "") -> str:
        assert call(f"{verb} {options}") == 0
        return capsys.readouterr().out

    output = said()
    assert output.startswith("Judging the ")
    assert " runs shipped here, since runs/ holds no finished run.\n" in output
    assert here not in output
    write_own(tmp_path / "runs-quick")
    output = said()
    assert here in output
    assert f"nox -s {verb} -- --runs runs-quick" in output
    assert said("--runs runs-quick").startswith("Judging runs-quick: 1 finished runs.\n")
    write_own(tmp_path / "runs")
    output = said()
    assert output.startswith("Judging runs: 1 finished runs.\n")
    assert here not in output


def test_without_a_finished_run_everything_is_missing(capsys: Capture, tmp_path: Path) -> None:
    """A folder without any run is a slip of the path; one whose runs are not finished is not."""
    (tmp_path / "mine" / "begun").mkdir(parents=True)
    (tmp_path / "mine" / "begun" / "spec.json").write_text("{}")
    assert call("compare --runs mine") == 0
    assert "1. Does 0.898 hold? missing.\n   not run yet.\n" in capsys.readouterr().out
    assert call("compare --runs mine --strict") == 1
