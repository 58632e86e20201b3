"""The command line: help, errors in one line, what is asked becomes what is run, and how it
ends.
"""

from __future__ import annotations

import io
import json
import re
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bench_forms import ROOT, TINY_GRID, finish, process
from data_forms import small_set, write_pairs
from run_records import halves, squares, write_run
from scipy.io import savemat

from baselines import ARMS
from benchmark.__main__ import VERBS, main
from benchmark.cli import judge_verbs
from benchmark.cli.options import request as to_request
from benchmark.cli.parser import SECTION_NAMES, parser
from benchmark.data.slices import SliceSet
from benchmark.errors import DataError
from benchmark.planning.grid import expand, load_grid
from benchmark.planning.request import Request, prepare
from benchmark.protocol import load_recipe
from benchmark.report.build import Written
from benchmark.runs import collect
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import Split

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few_phantoms: None) -> None:
    """In an empty folder, with few phantoms."""
    monkeypatch.chdir(tmp_path)


def refused(capsys: Capture, *words: str) -> str:
    """The one line on stderr of a command that ends with exit code 2."""
    assert main(list(words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def misread(capsys: Capture, *words: str) -> str:
    """What argparse says of words that it cannot read."""
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def asked(*words: str) -> Request:
    return to_request(parser().parse_args(list(words)))


def run_ids(*words: str) -> list[str]:
    return [
        spec.run_id for spec in prepare(asked("plan", "--data", "phantoms", *words), ARMS).specs
    ]


@pytest.mark.parametrize("verb", [[], *([verb] for verb in VERBS)])
def test_every_verb_has_a_help(capsys: Capture, verb: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*verb, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("usage: python -m benchmark")


def test_every_verb_has_its_function() -> None:
    actions = [action for action in parser()._actions if action.dest == "verb"]
    assert set(actions[0].choices or []) == set(VERBS)


@pytest.mark.parametrize(
    "verb",
    [
        "data",
        "plan --data",
        "reproduce --data",
        "rescore --runs . --data",
        "audit --data",
        "score . --split a --data",
    ],
)
def test_a_wrong_path_is_named(capsys: Capture, verb: str) -> None:
    assert "no/such/folder: not there" in refused(capsys, *verb.split(), "no/such/folder")


def test_a_folder_without_slices_says_what_was_looked_for(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    error = refused(capsys, "data", "empty")
    assert "looked for" in error
    assert "images.npy" in error


@pytest.mark.parametrize("verb", ["compare", "rescore"])
def test_a_wrong_folder_of_runs_is_named(capsys: Capture, verb: str) -> None:
    assert "--runs no/such: there is no such folder" in refused(capsys, verb, "--runs", "no/such")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--grid", "thesiss"],
            "unknown grid 'thesiss'; known: baselines, quick, thesis, or a path ending in .toml",
        ),
        (["--grid", "no.toml"], "grid file no.toml is not there"),
        (["--protocol", "nnunet"], "unknown protocol 'nnunet'; known: patient, thesis"),
        (
            ["--set", "trainin.patience=3"],
            "unknown section 'trainin'; known: augmentation, loss, network",
        ),
        (
            ["--set", "training.patients=3"],
            "unknown key in [training] 'patients'; known: batch_size, learning_rate",
        ),
        (["--set", "training.patience=many"], "training.patience = 'many' must be int"),
        (["--set", "training.patience=0"], "must be above 0"),
        (["--set", "training.patience"], "must have the form KEY=VALUE"),
        (["--only", "kernel=3"], "--only: unknown key 'kernel'; known: alpha, arm, kernel_size"),
        (["--only", "alpha=0.4"], "--only: unknown alpha 0.4; known: 0.1, 0.5, 0.9"),
        (["--only", "arm=u-net"], "--only: unknown arm 'u-net'; known: attention-unet, background"),
        (["--image-size", "100"], "both sides must be multiples of 32"),
        (["--splits", "9"], "by-image draw 9"),
        (["--labels", "2"], "no slice with label"),
        (["--spacing", "0", "1"], "must be two numbers from 0.01 to 100"),
    ],
)
def test_an_unknown_word_lists_the_known_ones(
    capsys: Capture, words: list[str], says: str, tmp_path: Path
) -> None:
    if words[0] == "--labels":  # phantoms know no labels
        assert main(["export", "phantoms", "some"]) == 0
        words = [*words, "--data", "some"]
    else:
        words = [*words, "--data", "phantoms"]
    capsys.readouterr()
    assert says in refused(capsys, "reproduce", *words)
    assert not list(tmp_path.rglob("by-*.json"))  # not even a split, which this verb keeps


def test_an_unknown_arm_or_parameter_in_a_grid(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('seeds = [1]\n[[arms]]\nname = "unett"\n')
    (tmp_path / "b.toml").write_text('seeds = [1]\n[[arms]]\nname = "unet"\nkernel = 3\n')
    error = refused(capsys, "plan", "--data", "phantoms", "--grid", "a.toml")
    assert "unknown arm 'unett'; known: attention-unet" in error
    error = refused(capsys, "plan", "--data", "phantoms", "--grid", "b.toml")
    assert "unknown parameter 'kernel'; known: alpha, kernel_size" in error


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["plan", "--seeds", "1,x"], "must be whole numbers separated by commas"),
        (["plan", "--labels", "meningioma"], "must be whole numbers separated by commas"),
        (["plan", "--image-size", "0"], "must be a whole number above 0"),
        (["reproduce", "--workers", "-1"], "must be a whole number above 0"),
        (["plan", "--grids", "thesis"], "unrecognized arguments"),
        (["plan", "--format", "csv"], "invalid choice: 'csv'"),
        (["compare", "--section", "claim"], "invalid choice: 'claim'"),
        (["compare", "--section"], "expected at least one argument"),
        (["compare", "--format", "html"], "invalid choice: 'html'"),
        (["run"], "the following arguments are required: --id"),
        (["run", "--id"], "expected at least one argument"),
        (["train"], "invalid choice: 'train'"),
        (["audit", "--split"], "expected at least one argument"),
        (["score", "masks"], "the following arguments are required: --split"),
    ],
)
def test_words_that_cannot_be_read(capsys: Capture, words: list[str], says: str) -> None:
    assert says in misread(capsys, *words)


def test_words_become_a_request() -> None:
    got = asked("plan", "--only", "kernel_size=3,5", "alpha=0.5", "--set", "training.learning_rate=3e-4",
                "network.channels=8,16,32", "augmentation.noise_with_intensity=true", "--seeds", "452669,1",
                "--labels", "1,2", "--spacing", "0.5", "1")  # fmt: skip
    assert got.only == {"kernel_size": [3, 5], "alpha": [0.5]}
    assert got.overrides == {
        "training.learning_rate": 3e-4, "network.channels": [8, 16, 32], "augmentation.noise_with_intensity": True,
    }  # fmt: skip
    assert (got.seeds, got.labels, got.spacing_mm) == ((452669, 1), (1, 2), (0.5, 1.0))
    assert asked("plan", "--labels", "all").labels is None
    assert asked("plan").labels == (1,)


def test_where_slices_come_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Asked for, the environment, an earlier download, else phantoms; phantoms never share the
    default folder.
    """
    assert (asked("plan").source, asked("plan").folder, asked("plan").grid_name) == (
        "phantoms", Path("runs-quick"), "quick",
    )  # fmt: skip
    from benchmark.data import download

    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)
    for file in download.FILES:
        assert asked("plan").source == "phantoms"
        (tmp_path / file.name).touch()
    assert asked("plan").source == "figshare"
    monkeypatch.setenv("MENINGIOMA_DATA", "there")
    assert (asked("plan").source, asked("plan").folder, asked("plan").grid_name) == (
        "there",
        Path("runs"),
        "thesis",
    )
    assert asked("plan", "--data", "here", "--out", "out").source == "here"
    assert asked("plan", "--data", "here", "--out", "out").folder == Path("out")


def test_an_override_is_another_run() -> None:
    plain, changed = run_ids(), run_ids("--set", "training.patience=3")
    assert not set(plain) & set(changed)
    assert run_ids("--set", "training.learning_rate=1e-3") == plain  # the value it had
    two = ["training.patience=3", "training.max_epochs=9"]
    assert run_ids("--set", *two) == run_ids("--set", *reversed(two))


def test_seeds_splits_and_image_size_multiply() -> None:
    narrow = ["--only", "kernel_size=3", "alpha=0.5"]
    assert len(run_ids(*narrow, "--seeds", "1,2,3", "--splits", "1,2")) == 6
    assert run_ids(*narrow, "--image-size", "64") == run_ids(*narrow)
    fed = prepare(asked("plan", "--data", "phantoms", *narrow, "--image-size", "96"), ARMS).specs
    assert {spec.shape for spec in fed} == {(96, 96)}
    assert len(run_ids(*narrow, "--image-size", "4096")) == 1  # the largest there may be


def test_what_is_asked_goes_before_what_the_grid_says_and_leaves_the_rest_of_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.toml").write_text("""
        seeds = [7]
        splits = [2, 3]
        protocol = "patient"
        set = { "training.patience" = 9, "training.max_epochs" = 8 }
        [[arms]]
        name = "unet"
    """)
    words = ["plan", "--data", "phantoms", "--grid", "mine.toml"]
    more = [
        "--protocol",
        "thesis",
        "--splits",
        "1,4",
        "--seeds",
        "5,6",
        "--set",
        "training.patience=3",
    ]
    of_the_grid, of_the_words = (
        prepare(asked(*words, *given), ARMS, keep_splits=False).specs for given in ([], more)
    )
    facts = [
        {(s.split_id, s.seed, s.recipe.preprocess.nyul_fit) for s in specs}
        for specs in (of_the_grid, of_the_words)
    ]
    assert facts[0] == {("by-patient-2", 7, "train"), ("by-patient-3", 7, "train")}
    assert facts[1] == {(f"by-image-{number}", seed, "all") for number in (1, 4) for seed in (5, 6)}
    rules = [specs[0].recipe.training for specs in (of_the_grid, of_the_words)]
    assert [(rule.patience, rule.max_epochs) for rule in rules] == [(9, 8), (3, 8)]
    assert not list(tmp_path.rglob("by-*.json"))  # asked not to keep the splits that it draws


def test_words_about_slices_reach_them(tmp_path: Path) -> None:
    """Six of label 1, one of them without a tumour, and six of label 2, in patients of two; three
    by two as folds.
    """
    drawn = small_set(12)
    blank = drawn.masks & (np.arange(12) != 0)[:, None, None]
    write_pairs(replace(drawn, masks=blank, label=np.repeat([1, 2], 6)), tmp_path / "own")
    folds = np.zeros(36)
    folds[drawn.slice_id - 1] = np.repeat([1, 2, 3], 4)
    savemat(tmp_path / "own" / "cvind.mat", {"cvind": np.where(folds, folds, 1)[:, None]})

    def slices_of(*words: str) -> SliceSet:
        return prepare(asked("plan", "--data", "own", *words), ARMS, keep_splits=False).slices

    assert slices_of("--labels", "2").slice_id.tolist() == drawn.slice_id[6:].tolist()
    assert slices_of("--labels", "2", "--spacing", "0.5", "1").spacing_mm == (0.5, 1.0)
    with pytest.raises(DataError, match="--allow-empty-masks"):
        slices_of()
    assert slices_of("--allow-empty-masks").slice_id.tolist() == drawn.slice_id[:6].tolist()
    assert len(slices_of("--allow-empty-masks", "--labels", "all")) == 12
    words = [
        "--data",
        "own",
        "--labels",
        "all",
        "--allow-empty-masks",
        "--set",
        "split.unit=cvind",
        "--splits",
        "3",
    ]
    (split,) = prepare(asked("plan", *words), ARMS, keep_splits=False).splits.values()
    assert (split.test, split.val) == (
        tuple(drawn.slice_id[8:].tolist()),
        tuple(drawn.slice_id[:4].tolist()),
    )


def by_expansion(grid: str) -> list[RunSpec]:
    one = load_grid(grid)
    recipe, split = load_recipe(one.protocol, one.overrides), Split("by-image-1", (1,), (2,), (3,))
    return expand(
        one, ARMS, recipe, [split], dataset_id="d", content_fingerprint="c", shape=(512, 512)
    )


def test_the_thesis_grid_is_the_thesis() -> None:
    """4 kernels x 9 alphas x 3 seeds."""
    specs = by_expansion("thesis")
    assert len(specs) == len({spec.run_id for spec in specs}) == 108
    assert {spec.arm for spec in specs} == {"unet"}
    assert {spec.params["kernel_size"] for spec in specs} == {3, 5, 7, 9}
    assert sorted({spec.params["alpha"] for spec in specs}) == [
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
    ]
    assert len({spec.seed for spec in specs}) == 3


def test_the_quick_grid_covers_everything() -> None:
    specs = by_expansion("quick")
    assert {spec.arm for spec in specs} == set(ARMS)
    cells = {
        (spec.params["kernel_size"], spec.params["alpha"]) for spec in specs if spec.arm == "unet"
    }
    assert cells == {(3, 0.5), (5, 0.5), (7, 0.5), (9, 0.5), (5, 0.1), (5, 0.9)}


def test_the_baselines_grid_has_every_other_arm() -> None:
    specs = by_expansion("baselines")
    assert {spec.arm for spec in specs} == set(ARMS) - {"unet"}
    assert [spec.seed for spec in specs if spec.arm == "otsu"] == [None]
    assert len([spec for spec in specs if spec.arm == "attention-unet"]) == 3


def test_arms_are_listed_with_their_class_and_whether_they_need_a_click(capsys: Capture) -> None:
    assert main(["arms"]) == 0
    output = capsys.readouterr().out
    for name, entry in ARMS.items():
        assert re.search(rf"^{name} .*{entry.target}$", output, re.MULTILINE)
    assert "needs a click" in output


def test_data_says_what_is_there(capsys: Capture, slices: SliceSet) -> None:
    assert main(["data", "phantoms"]) == 0
    output = capsys.readouterr().out
    assert slices.fingerprint in output
    assert slices.dataset_id in output
    assert "24, numbers 1 to 24" in output
    assert "phantoms (drawn phantoms)" in output


def test_exported_slices_are_the_same_slices(capsys: Capture, slices: SliceSet) -> None:
    assert main(["export", "phantoms", "pairs"]) == 0
    assert (
        f"24 pairs written to pairs/; fingerprint {slices.fingerprint}" in capsys.readouterr().out
    )
    assert main(["data", "pairs"]) == 0
    output = capsys.readouterr().out
    assert slices.fingerprint in output
    assert "drawn" not in output


def test_plan_runs_nothing_and_tells_every_cell(capsys: Capture, tmp_path: Path) -> None:
    assert main(["plan", "--data", "phantoms", "--format", "list"]) == 0
    output = capsys.readouterr().out
    assert "Grid quick: 12 cells, 0 done, into runs-quick/. Splits: by-image-1." in output
    assert "a guess of 100 GFLOP/s" in output
    assert len(re.findall(r"by-image-1 .* pending ", output)) == 12
    assert not list(tmp_path.rglob("spec.json"))


def test_phantoms_and_real_slices_never_share_a_folder(capsys: Capture, tmp_path: Path) -> None:
    run = tmp_path / "mixed" / "some-run"
    run.mkdir(parents=True)
    (run / "spec.json").write_text(json.dumps({"phantom": False}))
    error = refused(
        capsys, "reproduce", "--data", "phantoms", "--only", "arm=otsu", "--out", "mixed"
    )
    assert (
        "mixed holds runs on real slices, and these would be runs on phantoms; give another folder"
        in error
    )
    (run / "spec.json").write_text(json.dumps({"phantom": True}))
    assert main(["export", "phantoms", "real"]) == 0
    capsys.readouterr()
    error = refused(capsys, "plan", "--data", "real", "--out", "mixed")
    assert "mixed holds runs on phantoms, and these would be runs on real slices" in error
    assert list((tmp_path / "mixed").iterdir()) == [run]


def test_a_run_compared_and_rescored(capsys: Capture, tmp_path: Path) -> None:
    words = ["--data", "phantoms", "--only", "arm=otsu", "--out", "out"]
    assert main(["reproduce", *words, "--threads", "1"]) == 0
    output = capsys.readouterr().out
    assert "[1/1] otsu(rim=0.2): begins" in output
    assert "[1/1] otsu(rim=0.2): done in" in output
    assert "They show that the machinery works" in output
    assert main(["reproduce", *words, "--threads", "1"]) == 0
    assert "1 cells, 1 done" in (output := capsys.readouterr().out)
    assert "otsu(rim=0.2): done, from before" in output
    assert "begins" not in output
    assert main(["plan", *words, "--format", "list"]) == 0
    assert re.search(r"otsu\(rim=0.2\) +done", capsys.readouterr().out)
    assert main(["compare", "--runs", "out"]) == 0
    output = capsys.readouterr().out
    assert "Judging out: 1 finished runs." in output
    assert "otsu" in output
    assert main(["compare", "--runs", "out", "--strict"]) == 1
    capsys.readouterr()
    assert main(["rescore", "--runs", "out", "--data", "phantoms"]) == 0
    assert re.fullmatch(r"otsu_rim0.2_by-image-1_64_\w{8}: unchanged\n", capsys.readouterr().out)
    scores = next(tmp_path.glob("out/*/scores.csv"))
    whole = scores.read_bytes()
    scores.write_bytes(whole[:40])
    assert "is not the file that result.json has the hash of" in refused(
        capsys, "compare", "--runs", "out"
    )
    assert main(["rescore", "--runs", "out", "--data", "phantoms"]) == 0
    assert "damaged scores.csv made anew" in capsys.readouterr().out
    assert scores.read_bytes() == whole


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Runs of two alphas and two seeds on slices of one's own."""
    slices = squares(8)
    for alpha, rows in ((0.5, 8), (0.6, 6)):
        for seed in (1, 2):
            params = {"alpha": alpha, "kernel_size": 5}
            write_run(
                tmp_path / "mine",
                slices,
                halves(slices),
                rows=rows - seed,
                seed=seed,
                params=params,
            )
    return tmp_path / "mine"


@pytest.mark.parametrize(
    ("form", "begins"),
    [("text", "The thesis's printed numbers."), ("markdown", "**"), ("latex", "% ")],
)
def test_compare_in_every_format(capsys: Capture, written: Path, form: str, begins: str) -> None:
    """All sections at once; what goes into a document has no greeting, and asides are on stderr."""
    assert main(["compare", "--runs", "mine", "--section", *SECTION_NAMES, "--format", form]) == 0
    output = capsys.readouterr()
    assert output.out.startswith(begins)
    assert "1. Does 0.898 hold?" not in output.out
    assert output.err == (
        "Nothing to show under claims: nothing has been run on the thesis's slices with its protocol.\n"
    )
    for title in (
        "The thesis's printed numbers.",
        "Arms against arms, dataset",
        "Measures by tumour size, dataset",
    ):
        assert title in output.out


@pytest.mark.parametrize("section", [name for name in SECTION_NAMES if name != "claims"])
def test_csv_is_nothing_but_csv(
    capsys: Capture, written: Path, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    """Even where a run was left out."""
    found = replace(collect.collect(written), superseded=("an-old-run",))
    monkeypatch.setattr(judge_verbs, "collect", lambda root: found)
    assert main(["compare", "--runs", "mine", "--section", section, "--format", "csv"]) == 0
    output = capsys.readouterr()
    table = pd.read_csv(io.StringIO(output.out))
    assert table.columns[0] == "table"
    assert table["table"].notna().all()
    assert output.out.count("an-old-run") == 0
    assert output.err == "\nLeft out, since the same run was made again by later code: an-old-run\n"


def test_one_section_is_printed_alone(capsys: Capture, written: Path) -> None:
    assert main(["compare", "--runs", "mine", "--section", "arms"]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("Arms against arms, dataset")
    assert "printed numbers" not in output.out
    assert output.err == ""


@pytest.mark.parametrize("words", [[], ["--section", *SECTION_NAMES]])
def test_no_line_of_compare_is_wider_than_a_terminal(capsys: Capture, words: list[str]) -> None:
    """Of the records shipped here, whose tables have up to fifteen columns."""
    assert main(["compare", *words]) == 0
    output = capsys.readouterr()
    assert max(map(len, (output.out + output.err).splitlines())) <= 100
    assert "More columns in compare's other formats" in output.out


@pytest.mark.parametrize("verb", ["compare", "report"])
def test_after_runs_on_phantoms_it_says_where_they_lie(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """And how to judge them; not where real slices were run, or a folder was named."""
    (tmp_path / "page").touch()
    monkeypatch.setattr(
        "benchmark.report.build.write", lambda source, out: Written(tmp_path / "page", 0)
    )
    here = "Your own runs, on drawn phantoms, lie in runs-quick/. To judge them: --runs runs-quick"
    slices = squares(8)
    assert main([verb]) == 0
    output = capsys.readouterr().out
    assert output.startswith("Judging the ")
    assert " runs shipped here, since runs/ holds no finished run.\n" in output
    assert here not in output
    write_run(
        tmp_path / "runs-quick",
        slices,
        halves(slices),
        rows=5,
        seed=1,
        params={"alpha": 0.5, "kernel_size": 5},
    )
    assert main([verb]) == 0
    output = capsys.readouterr().out
    assert here in output
    assert f"nox -s {verb} -- --runs runs-quick" in output
    assert main([verb, "--runs", "runs-quick"]) == 0
    assert capsys.readouterr().out.startswith("Judging runs-quick: 1 finished runs.\n")
    write_run(
        tmp_path / "runs",
        slices,
        halves(slices),
        rows=5,
        seed=1,
        params={"alpha": 0.5, "kernel_size": 5},
    )
    assert main([verb]) == 0
    output = capsys.readouterr().out
    assert output.startswith("Judging runs: 1 finished runs.\n")
    assert here not in output


def test_an_empty_section_is_an_empty_csv(capsys: Capture, written: Path) -> None:
    assert main(["compare", "--runs", "mine", "--section", "claims", "--format", "csv"]) == 0
    output = capsys.readouterr()
    assert (output.out, output.err.count("\n")) == ("", 1)


@pytest.mark.parametrize("sections", [[], ["--section", "arms", "runs"]])
def test_csv_needs_one_section(capsys: Capture, tmp_path: Path, sections: list[str]) -> None:
    error = refused(capsys, "compare", "--runs", str(tmp_path), *sections, "--format", "csv")
    assert f"--format csv needs one --section, of {', '.join(SECTION_NAMES)}" in error


def test_without_a_finished_run_everything_is_missing(capsys: Capture, tmp_path: Path) -> None:
    """A folder without any run is a slip of the path; one whose runs are not finished is not."""
    assert "holds no run; give the folder" in refused(capsys, "compare", "--runs", str(tmp_path))
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "spec.json").write_text("{}")
    assert main(["compare", "--runs", str(tmp_path)]) == 0
    assert "1. Does 0.898 hold? missing.\n   not run yet.\n" in capsys.readouterr().out
    assert main(["compare", "--runs", str(tmp_path), "--strict"]) == 1


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_a_card_that_is_not_there(
    capfd: Capture, monkeypatch: pytest.MonkeyPatch, workers: list[str]
) -> None:
    """One line, and no worker is started, which would add its own."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    words = [
        "reproduce",
        "--data",
        "phantoms",
        "--only",
        "arm=otsu,background",
        "--device",
        "cuda",
        *workers,
    ]
    assert refused(capfd, *words).startswith("error: --device cuda: PyTorch sees no CUDA card here")


WITHOUT_TORCH = """
import sys
from benchmark.__main__ import main
for words in (["data", "--help"], ["plan", "--help"], ["plan", "--data", "phantoms"], ["compare"], ["arms"], ["data"]):
    try:
        main(words)
    except SystemExit:
        pass
heavy = sorted({"torch", "monai", "h5py", "skimage", "matplotlib"} & set(sys.modules))
print("imported:", *heavy, file=sys.stderr)
"""


def test_looking_needs_no_torch(tmp_path: Path) -> None:
    code, _, err = finish(process(["-c", WITHOUT_TORCH], cwd=tmp_path))
    assert (code, err) == (0, "imported:\n")


def test_help_comes_at_once(tmp_path: Path) -> None:
    """In processor seconds of a child, so that a busy machine does not matter."""
    resource = pytest.importorskip(
        "resource", reason="needs a system that tells the processor time of children"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, output, _ = finish(process(["-m", "benchmark", "data", "--help"], cwd=tmp_path))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (code, output[:5]) == (0, "usage")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform == "win32", reason="there a signal from another process ends it at once"
)
@pytest.mark.parametrize(
    ("workers", "sent", "expected"), [("1", signal.SIGTERM, 143), ("2", signal.SIGINT, 130)]
)
def test_a_call_that_is_stopped_says_how_to_go_on(
    tmp_path: Path, workers: str, sent: signal.Signals, expected: int
) -> None:
    """Only the parent is told, and its workers, which hold its stdout, end with it."""
    (tmp_path / "tiny.toml").write_text(TINY_GRID.replace("= 2\n", "= 200\n", 1))
    words = ["-m", "benchmark", "reproduce", "--data", "phantoms", "--grid", "tiny.toml", "--only", "arm=unet",
             "--out", "out", "--threads", "1", "--workers", workers]  # fmt: skip
    child = process(words, cwd=tmp_path)
    assert child.stdout is not None
    assert any("epoch 0" in line for line in child.stdout)
    child.send_signal(sent)
    code, _, err = finish(child)
    assert (code, err) == (expected, "\nstopped; the same command goes on where this one was\n")
    assert list(tmp_path.glob("out/*/spec.json"))
    assert not list(tmp_path.glob("out/*/failure.json"))


def test_a_name_that_the_terminal_cannot_spell_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where output has another encoding than names, as in a C locale or on Windows."""
    terminal = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(terminal, encoding="ascii"))
    assert main(["export", "phantoms", "größe"]) == 0
    assert rb"gr\xf6\xdfe" in terminal.getvalue()


def test_sigterm_is_as_before_when_a_call_has_ended(capsys: Capture) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert main(["arms"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_call_from_another_thread_leaves_signals_alone(capsys: Capture) -> None:
    codes: list[int] = []
    one = threading.Thread(target=lambda: codes.append(main(["arms"])))
    one.start()
    one.join()
    assert codes == [0]


def test_the_examples_in_the_help_can_be_read() -> None:
    from benchmark.cli.parser import EXAMPLES

    for line in EXAMPLES.splitlines()[1:]:
        words = re.split(r"  +", line.strip())[0].split()
        assert words[:3] == ["python", "-m", "benchmark"]
        parser().parse_args(words[3:])


def test_the_jobs_pass_their_words_on() -> None:
    """noxfile.py names verbs that there are."""
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert set(re.findall(r'benchmark\(session, "(\w+)"\)', text)) <= set(VERBS)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--only", "kernel_size=5", "--only", "kernel_size=7"], "names 'kernel_size' twice"),
        (
            ["--set", "training.patience=3", "--set", "training.learning_rate=banana"],
            "must be float",
        ),
        (["--seeds", str(2**63)], "below 2\\*\\*63"),
        (["--seeds", "1,1"], "there once"),
        (["--image-size", "99968"], "above 4096"),
        (["--data", ""], "--data is empty"),
        (["--set", "augmentation.bias_order=25"], r"\[0, 10\]"),
    ],
)
def test_words_that_would_train_something_else_are_refused(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = [] if "--data" in words else ["--data", "phantoms"]
    assert main(["plan", *data, *words]) == 2
    output = capsys.readouterr().err
    assert re.search(says, output)
    assert output.count("\n") == 1


def test_two_options_of_one_kind_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--grid", "thesis", "--seeds", "1", "--only", "kernel_size=5", "--only", "alpha=0.5"]
    assert main(["plan", "--data", "phantoms", *words]) == 0
    assert "Grid thesis: 1 cells" in capsys.readouterr().out


@pytest.mark.parametrize("device", ["banana", "cpu:7", "cuda:99"])
def test_a_device_that_is_none_is_refused_before_any_cell(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--data",
        "phantoms",
        "--only",
        "arm=otsu",
        "--out",
        str(tmp_path / "out"),
        "--device",
        device,
    ]
    assert main(["reproduce", *words]) == 2
    assert f"--device {device}" in capsys.readouterr().err
    assert not list(tmp_path.glob("out/*/spec.json"))


def test_an_out_that_is_a_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("mine")
    assert (
        main(
            [
                "reproduce",
                "--data",
                "phantoms",
                "--only",
                "arm=otsu",
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 2
    )
    assert capsys.readouterr().err.startswith("error: ")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    "params",
    ["kernel_size = 4", "alpha = 2.0", 'alpha = "x"', "kernel_size = [[3]]", "alpha = nan"],
)
def test_parameters_that_an_arm_refuses_end_the_call(
    params: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = tmp_path / "odd.toml"
    grid.write_text(f'seeds = [1]\n[[arms]]\nname = "unet"\n{params}\n')
    out = tmp_path / "out"
    assert main(["reproduce", "--data", "phantoms", "--grid", str(grid), "--out", str(out)]) == 2
    assert "must" in capsys.readouterr().err
    assert not list(out.glob("*/spec.json"))
