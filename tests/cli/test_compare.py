"""`compare` of arms that are not the thesis's: ours beside them, or the command that makes it."""

from __future__ import annotations

import io
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
from run_records import write_own

from benchmark.__main__ import main
from benchmark.cli import judge_verbs
from benchmark.runs.collect import reproduction_folder

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("elsewhere")
MARKED = "unet 5x5, alpha 0.5 (ours)"
MY_ARM = {"arm": "my-arm", "params": {"width": 16}}


def said(capsys: Capture, command: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(shlex.split(command)) == code
    return capsys.readouterr().out


def copied(*arms: str) -> None:
    """Our own records of some arms at 512x512 as if a user had made them, into runs/."""
    for arm in arms:
        (folder,) = reproduction_folder().glob(f"{arm}_*_by-image-1_*")
        shutil.copytree(folder, Path("runs") / folder.name)


def test_replaced_trainings_are_told_of_beside_our_own_records_alone() -> None:
    """A user's runs are judged without them, though the same arm is among them."""
    copied("otsu")
    assert judge_verbs.judgement_of(Path("runs")).superseded is None
    ours = judge_verbs.judgement_of(reproduction_folder())
    assert ours.superseded
    assert len(ours.superseded.trainings) == len(ours.superseded.collected.runs)


def by_arm(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text)).set_index("arm")


def test_a_users_arms_meet_our_reference_with_the_numbers_of_the_records(capsys: Capture) -> None:
    """Differences and intervals are those of our own table, which has one arm more to correct p."""
    copied("otsu", "threshold")
    asked = "--section arms --format csv"
    own = by_arm(said(capsys, f"compare {asked}"))
    shipped = by_arm(said(capsys, f"compare --runs {reproduction_folder()} {asked}"))
    shipped = shipped[shipped["table"].str.contains("512x512")]
    assert own.index.tolist() == [MARKED, "otsu", "threshold"]
    assert own["ours"].tolist() == [True, False, False]
    assert not shipped["ours"].any()
    same = ["slices", "dice", "reference_dice", "difference", "low", "high", "wilcoxon_p"]
    for arm in ("otsu", "threshold"):
        assert own.loc[arm, same].tolist() == shipped.loc[arm, same].tolist()
        assert own.loc[arm, "standing"] == "worse"


def test_the_arms_are_the_first_thing_shown_and_what_is_missing_is_not(capsys: Capture) -> None:
    copied("otsu")
    lines = said(capsys, "compare").splitlines()
    assert lines[0] == "Judging runs: 1 finished runs."
    assert lines[2] == "1. How do your arms do? otsu: worse."
    titles = [line for line in lines if line.startswith(("Arms against", "Runs on", "The thesis"))]
    assert [title.split(",")[0] for title in titles] == [
        "Arms against arms",
        "Runs on cheng-meningioma",
    ]
    assert "missing" not in " ".join(lines)
    assert lines[-2].startswith("More: --section verdicts, patients, claims, ")
    assert max(map(len, lines)) <= 100
    assert "missing" in said(capsys, "compare --section verdicts")
    said(capsys, "compare --strict", code=1)  # as without ours


def test_where_the_reference_lacks_the_printed_command_makes_it(capsys: Capture) -> None:
    """On phantoms, with settings of one's own and in a folder of one's own: then there is a row."""
    tiny = "--image-size 64 --set training.max_epochs=1 network.channels=4,8"
    alone = "--workers 1 --threads 1"
    said(capsys, f"reproduce --data phantoms --only arm=otsu --out 'my runs' {tiny} {alone}")
    output = said(capsys, "compare --runs 'my runs'")
    assert "1. How do your arms do? not known yet.\n" in output
    (made,) = (line for line in output.splitlines() if line.startswith("nox -s "))
    assert output.index("has not been run under these terms") < output.index(made)
    said(capsys, f"{made.removeprefix('nox -s ').replace(' -- ', ' ', 1)} {alone}")
    table = by_arm(said(capsys, "compare --runs 'my runs' --section arms --format csv"))
    assert table.index.tolist()[::-1] == ["unet 5x5, alpha 0.5", "otsu"]
    assert table.loc["otsu", "difference"] > 0
    assert table.loc["unet 5x5, alpha 0.5", "seeds"] == 3
    assert "1. How do your arms do? otsu: " in said(capsys, "compare --runs 'my runs'")


@pytest.mark.parametrize("form", ["text", "markdown", "latex", "csv"])
def test_the_command_stands_where_it_does_not_disturb(capsys: Capture, form: str) -> None:
    """On one line, whole; beside what goes into files and programs it is on stderr."""
    write_own(Path("mine"), **MY_ARM)
    assert main(shlex.split(f"compare --runs mine --section arms --format {form}")) == 0
    output = capsys.readouterr()
    there, elsewhere = (output.out, output.err) if form == "text" else (output.err, output.out)
    *_, told, made = there.splitlines()
    assert "with your slices in place of path/to/slices and the options on them" in there
    assert told.endswith(":")
    assert made == (
        "nox -s reproduce -- --data path/to/slices --only arm=unet kernel_size=5 "
        "alpha=0.5 --seeds 452669,1,2 --image-size 512 --out mine"
    )
    assert elsewhere == ""
    assert main(shlex.split(f"compare --runs mine --section runs --format {form}")) == 0
    assert "nox -s reproduce" not in "".join(capsys.readouterr())


def test_the_usual_folders_are_not_named_in_the_command(capsys: Capture) -> None:
    write_own(Path("runs"), **MY_ARM)
    assert "--out" not in said(capsys, "compare --section arms")


def test_the_report_begins_with_the_arms_too(capsys: Capture) -> None:
    copied("otsu")
    said(capsys, "report --out page")
    page = Path("page/index.html").read_text(encoding="utf-8")
    assert "<h1>How do your arms do? " in page
    assert page.index('id="answers"') < page.index('id="arms"') < page.index('id="records"')
    assert "otsu: worse" in page
    assert MARKED in page
    assert "Does 0.898 hold?" not in page
    data = Path("page/figures/thesis-512x512-fp32-arms.csv").read_text(encoding="utf-8")
    assert "otsu" in data


def test_the_report_names_the_panel_that_lacks_its_reference(capsys: Capture) -> None:
    """And no folder of its maker."""
    write_own(Path("mine"), **MY_ARM)
    said(capsys, "report --runs mine --out page")
    page = Path("page/index.html").read_text(encoding="utf-8")
    assert "neither by you nor in the records shipped here." in page
    assert "--out mine" not in page
