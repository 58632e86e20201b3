"""The command line: help, errors in one line, what is asked becomes what is run, how it ends."""

from __future__ import annotations

import io
import json
import re
import shlex
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bench_forms import ROOT, call, finish, process, refused
from data_forms import small_set, write_pairs
from run_records import write_own
from scipy.io import savemat

from baselines import ARMS
from benchmark.__main__ import VERBS
from benchmark.cli import judge_verbs
from benchmark.cli.options import request as to_request
from benchmark.cli.parser import EXAMPLES, SECTION_NAMES, parser
from benchmark.data.slices import SliceSet
from benchmark.errors import DataError
from benchmark.planning.grid import expand, load_grid
from benchmark.planning.request import Request, prepare
from benchmark.protocol import load_recipe
from benchmark.report.build import Written
from benchmark.runs import collect
from benchmark.runs.spec import RunSpec
from benchmark.splits.split import Split

Patch = pytest.MonkeyPatch
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: Patch, few_phantoms: None) -> None:
    """In an empty folder, with few phantoms."""
    monkeypatch.chdir(tmp_path)


def asked(command: str) -> Request:
    return to_request(parser().parse_args(shlex.split(command)))


def planned(options: str) -> list[RunSpec]:
    """What `plan` of phantoms would run, without keeping the splits that it draws."""
    return prepare(asked(f"plan --data phantoms {options}"), ARMS, keep_splits=False).specs


def run_ids(options: str = "") -> list[str]:
    return [spec.run_id for spec in planned(options)]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_every_verb_has_a_help(capsys: Capture, verb: str) -> None:
    with pytest.raises(SystemExit) as caught:
        call(f"{verb} --help")
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("usage: python -m benchmark")


def test_every_verb_has_its_function() -> None:
    actions = [action for action in parser()._actions if action.dest == "verb"]
    assert set(actions[0].choices or []) == set(VERBS)


WRONG_GRIDS = {  # after seeds = [1] and [[arms]]
    "a": ('name = "unett"', "unknown arm 'unett'; known: attention-unet"),
    "b": ('name = "unet"\nkernel = 3', "unknown parameter 'kernel'; known: alpha, kernel_size"),
    "c": ('name = "unet"\nkernel_size = 4', "must"),
    "d": ('name = "unet"\nalpha = 2.0', "must"),
    "e": ('name = "unet"\nalpha = "x"', "must"),
    "f": ('name = "unet"\nkernel_size = [[3]]', "must"),
    "g": ('name = "unet"\nalpha = nan', "must"),
}
WRONG_OPTIONS = [  # of reproduce --data phantoms --out out
    ("--grid thesiss", "unknown grid 'thesiss'; known: baselines, quick, thesis, or a path ending"),
    ("--grid no.toml", "grid file no.toml is not there"),
    ("--protocol nnunet", "unknown protocol 'nnunet'; known: patient, thesis"),
    ("--set trainin.patience=3", "unknown section 'trainin'; known: augmentation, loss, network"),
    ("--set training.patients=3", "unknown key in [training] 'patients'; known: batch_size, lear"),
    ("--set training.patience=many", "training.patience = 'many' must be int"),
    ("--set training.patience=0", "must be above 0"),
    ("--set training.patience", "must have the form KEY=VALUE"),
    ("--set training.patience=3 --set training.learning_rate=banana", "must be float"),
    ("--set augmentation.bias_order=25", "[0, 10]"),
    ("--only kernel=3", "--only: unknown key 'kernel'; known: alpha, arm, kernel_size"),
    ("--only alpha=0.4", "--only: unknown alpha 0.4; known: 0.1, 0.5, 0.9"),
    ("--only arm=u-net", "--only: unknown arm 'u-net'; known: attention-unet, background"),
    ("--only kernel_size=5 --only kernel_size=7", "names 'kernel_size' twice"),
    (f"--seeds {2**63}", "below 2**63"),
    ("--seeds 1,1", "there once"),
    ("--image-size 100", "both sides must be multiples of 32"),
    ("--image-size 99968", "above 4096"),
    ("--splits 9", "by-image draw 9"),
    ("--spacing 0 1", "must be two numbers from 0.01 to 100"),
    ("--data ''", "--data is empty"),
    ("--only arm=otsu --device banana", "--device banana"),
    ("--only arm=otsu --device cpu:7", "--device cpu:7"),
    ("--only arm=otsu --device cuda:99", "--device cuda:99"),
    *((f"--grid {name}.toml", says) for name, (_, says) in WRONG_GRIDS.items()),
]


@pytest.mark.parametrize(("options", "says"), WRONG_OPTIONS)
def test_what_is_wrong_is_named_before_anything_is_written(
    capsys: Capture, tmp_path: Path, options: str, says: str
) -> None:
    """With the known names, where there are any; not even a split, but where an arm is asked."""
    for name, (arm, _) in WRONG_GRIDS.items():
        (tmp_path / f"{name}.toml").write_text(f"seeds = [1]\n[[arms]]\n{arm}\n")
    assert says in refused(capsys, f"reproduce --data phantoms --out out {options}")
    assert not list(tmp_path.rglob("spec.json"))
    late = any(word in options for word in ("--device", "c.toml", "d.toml"))
    assert late or not list(tmp_path.rglob("by-*.json"))


OF_DATA = ("data", "plan --data", "reproduce --data", "rescore --runs . --data", "audit --data",
           "score . --split a --data")  # fmt: skip


@pytest.mark.parametrize(
    ("command", "says"),
    [
        *((f"{verb} no/such", "no/such: not there") for verb in OF_DATA),
        ("data empty", "looked for"),
        ("data empty", "images.npy"),
        ("compare --runs no/such", "--runs no/such: there is no such folder"),
        ("rescore --runs no/such", "--runs no/such: there is no such folder"),
        ("compare --runs empty", "holds no run; give the folder"),
        ("compare --runs empty --format csv", "csv needs one --section, of verdicts, patients"),
        ("compare --runs empty --format csv --section arms runs", "csv needs one --section"),
        ("reproduce --data phantoms --only arm=otsu --out mine.txt", "mine.txt"),
    ],
)
def test_a_wrong_path_is_named(capsys: Capture, tmp_path: Path, command: str, says: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    assert says in refused(capsys, command)
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "verb", ["audit", "audit --split s.json", "score m --split s.json", "rescore --runs m"]
)
def test_what_is_about_slices_of_the_user_draws_none_unasked(
    capsys: Capture, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "s.json").write_text('{"train": [1, 2], "test": [3]}')
    (tmp_path / "m").mkdir()
    says = "no slices are given; name their folder or zip with --data PATH or in $MENINGIOMA_DATA"
    assert f"error: {says} (or say --data phantoms for drawn ones)" in refused(capsys, verb)


def test_slices_of_a_label_that_none_has(capsys: Capture) -> None:
    """Phantoms know no labels; as slices of a folder they are meningiomas."""
    assert call("export phantoms some") == 0
    assert "no slice with label" in refused(capsys, "reproduce --data some --labels 2")


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


def test_options_become_a_request() -> None:
    got = asked(
        "plan --only kernel_size=3,5 alpha=0.5 --set training.learning_rate=3e-4 "
        "network.channels=8,16,32 augmentation.noise_with_intensity=true --seeds 452669,1 "
        "--labels 1,2 --spacing 0.5 1"
    )
    assert got.only == {"kernel_size": [3, 5], "alpha": [0.5]}
    assert got.overrides == {
        "training.learning_rate": 3e-4,
        "network.channels": [8, 16, 32],
        "augmentation.noise_with_intensity": True,
    }
    assert (got.seeds, got.labels, got.spacing_mm) == ((452669, 1), (1, 2), (0.5, 1.0))
    assert asked("plan --labels all").labels is None
    assert asked("plan").labels == (1,)
    twice = asked("plan --only kernel_size=5 --only alpha=0.5").only
    assert twice == {"kernel_size": [5], "alpha": [0.5]}


def test_where_slices_come_from(monkeypatch: Patch, tmp_path: Path) -> None:
    """Asked for, the environment, an earlier download, else phantoms, in a folder of their own."""
    from benchmark.data import download

    def got(command: str) -> tuple[str, Path, str]:
        return asked(command).source, asked(command).folder, asked(command).grid_name

    assert got("plan") == ("phantoms", Path("runs-quick"), "quick")
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path)
    for file in download.FILES:
        assert asked("plan").source == "phantoms"
        (tmp_path / file.name).touch()
    assert asked("plan").source == "figshare"
    monkeypatch.setenv("MENINGIOMA_DATA", "there")
    assert got("plan") == ("there", Path("runs"), "thesis")
    assert got("plan --data here --out out") == ("here", Path("out"), "thesis")


def test_an_override_is_another_run() -> None:
    plain, changed = run_ids(), run_ids("--set training.patience=3")
    assert not set(plain) & set(changed)
    assert run_ids("--set training.learning_rate=1e-3") == plain  # the value it had
    two = run_ids("--set training.patience=3 training.max_epochs=9")
    assert two == run_ids("--set training.max_epochs=9 training.patience=3")


def test_seeds_splits_and_image_size_multiply() -> None:
    narrow = "--only kernel_size=3 alpha=0.5"
    assert len(run_ids(f"{narrow} --seeds 1,2,3 --splits 1,2")) == 6
    assert run_ids(f"{narrow} --image-size 64") == run_ids(narrow)
    assert {spec.shape for spec in planned(f"{narrow} --image-size 96")} == {(96, 96)}
    assert len(run_ids(f"{narrow} --image-size 4096")) == 1  # the largest there may be


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
    of_the_grid = planned("--grid mine.toml")
    of_the_options = planned(
        "--grid mine.toml --protocol thesis --splits 1,4 --seeds 5,6 --set training.patience=3"
    )
    facts = [
        {(s.split_id, s.seed, s.recipe.preprocess.nyul_fit) for s in specs}
        for specs in (of_the_grid, of_the_options)
    ]
    assert facts[0] == {("by-patient-2", 7, "train"), ("by-patient-3", 7, "train")}
    assert facts[1] == {(f"by-image-{number}", seed, "all") for number in (1, 4) for seed in (5, 6)}
    rules = [specs[0].recipe.training for specs in (of_the_grid, of_the_options)]
    assert [(rule.patience, rule.max_epochs) for rule in rules] == [(9, 8), (3, 8)]
    assert not list(tmp_path.rglob("by-*.json"))  # asked not to keep the splits that it draws


def test_options_about_slices_reach_them(tmp_path: Path) -> None:
    """Six of label 1, one without a tumour, and six of label 2, in patients of two; three folds."""
    drawn = small_set(12)
    blank = drawn.masks & (np.arange(12) != 0)[:, None, None]
    write_pairs(replace(drawn, masks=blank, label=np.repeat([1, 2], 6)), tmp_path / "own")
    folds = np.zeros(36)
    folds[drawn.slice_id - 1] = np.repeat([1, 2, 3], 4)
    savemat(tmp_path / "own" / "cvind.mat", {"cvind": np.where(folds, folds, 1)[:, None]})

    def slices_of(options: str) -> SliceSet:
        return prepare(asked(f"plan --data own {options}"), ARMS, keep_splits=False).slices

    ids = drawn.slice_id.tolist()
    assert slices_of("--labels 2").slice_id.tolist() == ids[6:]
    assert slices_of("--labels 2 --spacing 0.5 1").spacing_mm == (0.5, 1.0)
    with pytest.raises(DataError, match="--allow-empty-masks"):
        slices_of("")
    assert slices_of("--allow-empty-masks").slice_id.tolist() == ids[:6]
    every = "--data own --labels all --allow-empty-masks"
    assert len(slices_of(every)) == 12
    folded = asked(f"plan {every} --set split.unit=cvind --splits 3")
    (split,) = prepare(folded, ARMS, keep_splits=False).splits.values()
    assert (split.test, split.val) == (tuple(ids[8:]), tuple(ids[:4]))


def by_expansion(name: str) -> list[RunSpec]:
    grid = load_grid(name)
    recipe = load_recipe(grid.protocol, grid.overrides)
    split, data = Split("by-image-1", (1,), (2,), (3,)), {"dataset_id": "d", "shape": (512, 512)}
    return expand(grid, ARMS, recipe, [split], content_fingerprint="c", **data)  # type: ignore[arg-type]


def test_the_quick_grid_covers_everything_and_the_baselines_grid_every_other_arm() -> None:
    specs, unet = by_expansion("quick"), "unet"
    assert {spec.arm for spec in specs} == set(ARMS)
    cells = {(s.params["kernel_size"], s.params["alpha"]) for s in specs if s.arm == unet}
    assert cells == {(3, 0.5), (5, 0.5), (7, 0.5), (9, 0.5), (5, 0.1), (5, 0.9)}
    specs = by_expansion("baselines")
    assert {spec.arm for spec in specs} == set(ARMS) - {unet}
    assert [spec.seed for spec in specs if spec.arm == "otsu"] == [None]
    assert len([spec for spec in specs if spec.arm == "attention-unet"]) == 3


def test_arms_are_listed_with_their_class_and_whether_they_need_a_click(capsys: Capture) -> None:
    assert call("arms") == 0
    output = capsys.readouterr().out
    for name, entry in ARMS.items():
        assert re.search(rf"^{name} .*{entry.target}$", output, re.MULTILINE)
    assert "needs a click" in output


def test_data_says_what_is_there_and_exported_slices_are_the_same(
    capsys: Capture, slices: SliceSet
) -> None:
    assert call("data phantoms") == 0
    output = capsys.readouterr().out
    there = (slices.fingerprint, slices.dataset_id, "24, numbers 1 to 24")
    for text in (*there, "phantoms (drawn phantoms)"):
        assert text in output
    assert call("export phantoms pairs") == 0
    output = capsys.readouterr().out
    assert f"24 pairs written to pairs/; fingerprint {slices.fingerprint}" in output
    assert call("data pairs") == 0
    output = capsys.readouterr().out
    assert slices.fingerprint in output
    assert "drawn" not in output


def test_plan_runs_nothing_and_tells_every_cell(capsys: Capture, tmp_path: Path) -> None:
    assert call("plan --data phantoms --format list") == 0
    output = capsys.readouterr().out
    assert "Grid quick: 12 cells, 0 done, into runs-quick/. Splits: by-image-1." in output
    until_then = "your machine's speed is known after the first cell"
    told = " ".join(output.split())
    assert f"(from our records: 2 cores of AMD EPYC; {until_then})." in told
    assert len(re.findall(r"by-image-1 .* pending ", output)) == 12
    assert not list(tmp_path.rglob("spec.json"))


def test_phantoms_and_real_slices_never_share_a_folder(capsys: Capture, tmp_path: Path) -> None:
    run = tmp_path / "mixed" / "some-run"
    run.mkdir(parents=True)
    (run / "spec.json").write_text(json.dumps({"phantom": False}))
    says = "mixed holds runs on real slices, and these would be runs on phantoms; give another fol"
    assert says in refused(capsys, "reproduce --data phantoms --only arm=otsu --out mixed")
    (run / "spec.json").write_text(json.dumps({"phantom": True}))
    assert call("export phantoms real") == 0
    says = "mixed holds runs on phantoms, and these would be runs on real slices"
    assert says in refused(capsys, "plan --data real --out mixed")
    assert list((tmp_path / "mixed").iterdir()) == [run]


def test_a_run_compared_and_rescored(capsys: Capture, tmp_path: Path) -> None:
    def said(command: str, code: int = 0) -> str:
        assert call(command) == code
        return capsys.readouterr().out

    options = "--data phantoms --only arm=otsu --out out"
    output = said(f"reproduce {options} --threads 1")
    assert "[1/1] otsu(rim=0.2): begins" in output
    assert "[1/1] otsu(rim=0.2): done in" in output
    assert "They show that the machinery works" in output
    output = said(f"reproduce {options} --threads 1")
    assert "1 cells, 1 done" in output
    assert "otsu(rim=0.2): done, from before" in output
    assert "begins" not in output
    assert re.search(r"otsu\(rim=0.2\) +done", said(f"plan {options} --format list"))
    output = said("compare --runs out")
    assert "Judging out: 1 finished runs." in output
    assert "otsu" in output
    said("compare --runs out --strict", code=1)
    rescore = "rescore --runs out --data phantoms"
    assert re.fullmatch(r"otsu_rim0.2_by-image-1_64_\w{8}: unchanged\n", said(rescore))
    scores = next(tmp_path.glob("out/*/scores.csv"))
    whole = scores.read_bytes()
    scores.write_bytes(whole[:40])
    error = refused(capsys, "compare --runs out")
    assert "is not the file that result.json has the hash of" in error
    assert "damaged scores.csv made anew" in said(rescore)
    assert scores.read_bytes() == whole


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
    empty = {"claims": nothing, "readers": twice, "variance": cell}
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
    if section in ("claims", "readers", "variance"):
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


@pytest.mark.parametrize("workers", ["", "--workers 2"])
def test_a_card_that_is_not_there(capfd: Capture, monkeypatch: Patch, workers: str) -> None:
    """One line, and no worker is started, which would add its own."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    command = "reproduce --data phantoms --only arm=otsu,background --device cuda"
    error = refused(capfd, f"{command} {workers}")
    assert error.startswith("error: --device cuda: PyTorch sees no CUDA card here")


WITHOUT_TORCH = """
import sys
from benchmark.__main__ import main
for command in ("data --help", "plan --help", "plan --data phantoms", "compare", "arms", "data"):
    try:
        main(command.split())
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
    resource = pytest.importorskip("resource", reason="needs the processor time of children")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, output, _ = finish(process(["-m", "benchmark", "data", "--help"], cwd=tmp_path))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (code, output[:5]) == (0, "usage")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3


def test_a_name_that_the_terminal_cannot_spell_stops_nothing(
    monkeypatch: Patch,
) -> None:
    """Where output has another encoding than names, as in a C locale or on Windows."""
    terminal = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(terminal, encoding="ascii"))
    assert call("export phantoms größe") == 0
    assert rb"gr\xf6\xdfe" in terminal.getvalue()


def test_signals_are_as_before_when_a_call_has_ended_and_untouched_in_a_thread() -> None:
    before, codes = signal.getsignal(signal.SIGTERM), [call("arms")]
    assert signal.getsignal(signal.SIGTERM) is before
    thread = threading.Thread(target=lambda: codes.append(call("arms")))
    thread.start()
    thread.join()
    assert codes == [0, 0]


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
