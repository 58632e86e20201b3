"""`reproduce --evidence` and `plan --evidence`: a plan in its order, from where it stopped."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from bench_forms import TINY_GRID, call, refused, small_slices
from data_forms import write_pairs

from baselines import ARMS
from benchmark.arm import ArmEntry
from benchmark.cli import evidence
from benchmark.cli.options import request
from benchmark.cli.parser import parser
from benchmark.cli.run_verbs import carry_out
from benchmark.planning.evidence import plan_of
from benchmark.planning.request import PlannedRuns, Request, prepare
from benchmark.runs.run_folder import RunFolder, RunState

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

PROSE = {"fixed": date(2026, 11, 30), "known_from": "here"}
STEPS: list[dict[str, Any]] = [
    {"purpose": "Otsu on a second draw.", "only": {"arm": ["otsu"]}, "splits": [2]},
    {"purpose": "Nothing but background.", "only": {"arm": ["background"]}},
    {"purpose": "Both, on both draws.", "only": {"arm": ["background", "otsu"]}, "splits": [1, 2]},
]
IN_ORDER = [("otsu", 2), ("background", 1), ("otsu", 1), ("background", 2)]
EVIDENCE = "reproduce --evidence --data phantoms --device cpu"


@pytest.fixture(autouse=True)
def _tiny_plan(tmp_path: Path, monkeypatch: Patch, few_phantoms: None) -> None:
    """In an empty folder, with few phantoms and a plan of four classical runs in three steps."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(TINY_GRID)
    use(monkeypatch, STEPS)


def use(monkeypatch: Patch, steps: Sequence[Mapping[str, Any]]) -> None:
    table = {"steps": [{"grid": "tiny.toml", **PROSE, **deepcopy(dict(s))} for s in steps]}
    monkeypatch.setattr(evidence, "load_plan", lambda: plan_of(table))


def of_spec(planned: PlannedRuns) -> list[tuple[str, int]]:
    return [(spec.arm, int(spec.split_id[-1])) for spec in planned.specs]


class Carrier:
    """Carries out as `reproduce` does, and remembers what it was given; stops before a run."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.given: list[list[tuple[str, int]]] = []
        self.stop_at = stop_at

    def __call__(
        self, asked: Request, planned: PlannedRuns, arms: Mapping[str, ArmEntry],
        options: argparse.Namespace,
    ) -> int:  # fmt: skip
        if len(self.given) == self.stop_at:
            raise KeyboardInterrupt
        self.given.append(of_spec(planned))
        return carry_out(asked, planned, arms, options)


def carried(more: str = "", stop_at: int | None = None) -> Carrier:
    options = parser().parse_args([*EVIDENCE.split(), *more.split()])
    carrier = Carrier(stop_at)
    evidence.evidence(options, ARMS, carrier)
    return carrier


def test_the_order_of_the_plan_is_the_order_of_running_and_no_run_is_run_twice() -> None:
    """A run that two steps name is run in the first; a second call runs nothing."""
    assert [run for step in carried().given for run in step] == IN_ORDER
    assert carried().given == []


def test_what_was_stopped_goes_on_at_the_step_where_it_stopped() -> None:
    with pytest.raises(KeyboardInterrupt):
        carried(stop_at=1)
    assert [run for step in carried().given for run in step] == IN_ORDER[1:]


def test_the_command_tells_step_and_purpose_and_ends_well(capsys: Capture) -> None:
    assert call(EVIDENCE) == 0
    out = capsys.readouterr().out
    assert f"hash {evidence.load_plan().hash}: 3 steps, 4 runs, 0 done, in runs-quick/." in out
    places = [out.index(f"Step {n} of 3: {step['purpose']}") for n, step in enumerate(STEPS, 1)]
    assert places == sorted(places)
    assert call(EVIDENCE) == 0
    out = capsys.readouterr().out
    assert "4 runs, 4 done" in out
    assert "Step 1" not in out


def test_a_failed_run_is_told_by_the_exit_code_and_the_other_steps_are_run(
    monkeypatch: Patch, capsys: Capture
) -> None:
    def broken(*words: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(ARMS["background"].load(), "fit", broken)
    assert call(EVIDENCE) == 1
    assert "failed: background" in capsys.readouterr().out
    assert len([p for p in Path("runs-quick").glob("otsu*") if (p / "result.json").exists()]) == 2


def test_a_plan_is_listed_and_nothing_is_written(capsys: Capture) -> None:
    assert call("plan --evidence --data phantoms") == 0
    out = capsys.readouterr().out
    assert "3 steps, 4 runs, 0 done" in out
    assert "Time left in all: " in out
    assert not Path("runs-quick").exists()
    carried()
    capsys.readouterr()
    assert call("plan --evidence --data phantoms") == 0
    out = capsys.readouterr().out
    assert "4 runs, 4 done" in out
    assert "Time left in all: none." in out


@pytest.mark.parametrize(
    "option",
    ["--grid tiny.toml", "--only arm=otsu", "--seeds 1", "--splits 2", "--image-size 64",
     "--protocol patient", "--set training.patience=1"],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["plan", "reproduce"])
def test_what_the_plan_says_is_not_said_again(capsys: Capture, verb: str, option: str) -> None:
    says = refused(capsys, f"{verb} --evidence --data phantoms {option}")
    assert f"{option.split()[0]} and --evidence: the plan says what is run" in says


def test_an_option_of_the_plan_or_of_a_grid_is_not_passed_over(capsys: Capture) -> None:
    for verb in ("plan", "reproduce"):
        says = refused(capsys, f"{verb} --from-shipped --data phantoms")
        assert "--from-shipped goes with --evidence alone" in says
    says = refused(capsys, "plan --evidence --data phantoms --format ids")
    assert "--format ids and --evidence" in says


def test_no_phantoms_are_drawn_unasked(capsys: Capture) -> None:
    assert "no slices are given" in refused(capsys, "reproduce --evidence")


def test_one_bad_step_is_one_line_before_anything_is_run(
    capsys: Capture, monkeypatch: Patch
) -> None:
    """A fold that there is not, at the end of the plan."""
    use(monkeypatch, [*STEPS, {"purpose": "Too much.", "protocol": "patient", "splits": [9]}])
    assert "plan.toml: step 4 (Too much.): " in refused(capsys, EVIDENCE)
    assert not list(Path().rglob("spec.json"))


@pytest.mark.parametrize("verb", ["plan", "reproduce"])
def test_a_wrong_plan_is_told_before_slices_are_read(
    capsys: Capture, monkeypatch: Patch, verb: str
) -> None:
    monkeypatch.setattr(evidence, "load_given", lambda asked: pytest.fail("slices were read"))
    monkeypatch.setattr(evidence, "load_plan", lambda: plan_of({"steps": [{"grid": "tiny.toml"}]}))
    assert "plan.toml" in refused(capsys, f"{verb} --evidence --data phantoms")


def test_a_run_under_an_earlier_schema_is_done(monkeypatch: Patch) -> None:
    """The judge counts it, so the plan does; `reproduce` alone would run it anew."""
    with monkeypatch.context() as patch:
        for place in ("benchmark.runs.spec.SCHEMA", "benchmark.runs.run_folder.SCHEMA"):
            patch.setattr(place, 1)
        carried()
    assert len(list(Path("runs-quick").glob("*/result.json"))) == 4
    assert carried().given == []


def test_from_shipped_goes_on_where_the_records_end(monkeypatch: Patch, capsys: Capture) -> None:
    """They are copied, whole; those that the user has are left as they are."""
    with pytest.raises(KeyboardInterrupt):
        carried("--out theirs", stop_at=2)
    monkeypatch.setattr(evidence, "reproduction_folder", lambda: Path("theirs"))
    assert call("plan --evidence --from-shipped --data phantoms --out mine") == 0
    assert "4 runs, 2 done, in mine/" in capsys.readouterr().out
    assert not Path("mine").exists()
    assert carried("--out mine --from-shipped").given == [IN_ORDER[2:]]
    for path in Path("theirs").glob("*/*.*"):
        if path.suffix != ".lock":
            assert (Path("mine") / path.parent.name / path.name).read_bytes() == path.read_bytes()
    before = sorted(path.stat().st_mtime_ns for path in Path("mine").rglob("*.*"))
    assert carried("--out mine --from-shipped").given == []
    assert sorted(path.stat().st_mtime_ns for path in Path("mine").rglob("*.*")) == before
    assert "0 of the runs shipped here were copied" in capsys.readouterr().out


def test_records_of_other_slices_are_not_taken_over(capsys: Capture) -> None:
    says = refused(capsys, f"{EVIDENCE} --from-shipped")
    assert "none of the records shipped here is of these slices in this form" in says
    assert not list(Path().rglob("spec.json"))


@pytest.mark.slow
def test_workers_run_what_is_open_of_a_request_and_nothing_more() -> None:
    write_pairs(small_slices(), Path("pairs"))
    words = "reproduce --data pairs --grid tiny.toml --workers 2 --device cpu"
    options = parser().parse_args(words.split())
    asked = request(options)
    planned = prepare(asked, ARMS)
    part = replace(planned, specs=[spec for spec in planned.specs if spec.arm != "unet"])
    assert carry_out(asked, part, ARMS, options) == 0
    folders = {spec.arm: RunFolder(planned.folder, spec.run_id) for spec in planned.specs}
    done = RunState.DONE
    assert (folders["background"].state, folders["otsu"].state) == (done, done)
    assert folders["unet"].state is RunState.PENDING
