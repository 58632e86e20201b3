"""The verbs of the command line, `python -m benchmark VERB ...`, and their options. No torch."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.cli.options import labels, numbers, positive
from benchmark.judge.tables import FORMATS

EXAMPLES = """\
examples:
  python -m benchmark reproduce                      no data needed: nearly every arm on drawn phantoms, in minutes
  python -m benchmark data path/to/slices            what is in a folder, zip or download
  python -m benchmark plan --data path/to/slices     the thesis's 108 trainings: state and time, nothing run
  python -m benchmark reproduce --data path/to/slices --only kernel_size=5 alpha=0.5 --seeds 452669
  python -m benchmark reproduce --data path/to/slices --arm-file my_arm.py    a network of yours
  python -m benchmark compare                        your runs against the thesis's printed numbers
  python -m benchmark report                         the same as a page with figures: report/index.html
  python -m benchmark audit --data path/to/slices    test slices whose patient was also trained on, split by split
  python -m benchmark score path/to/masks --split by-image-1 --data path/to/slices    judge another tool
  python -m benchmark arms --check unet              can this arm be trained; what it costs here, in seconds
  python -m benchmark predict a.png                  outline tumours on other slices; with --run RUN_ID by models of yours
  python -m benchmark export --to nnunet path/to/slices Dataset501_Meningioma    for nnU-Net, on our folds by patient
  python -m benchmark archive runs.zip               finished runs as one file; --unpack checks it elsewhere
"""  # noqa: E501
# of benchmark.judge.judgement
SECTION_NAMES = (
    "verdicts", "patients", "claims", "arms", "choices", "measures", "readers", "variance", "runs",
    "rules",
)  # fmt: skip
VERBS = """\
reproduce train and score every cell of a grid; finished cells are skipped, stopped ones go on
run       train and score single cells of a grid, named by run_id, as a task of a batch system does
plan      say what reproduce would do: each cell's state and the time it would take
compare   judge runs against the thesis's printed numbers; exit code 1 if one is not reproduced
report    write one self-contained page, and the thesis's figures as PNG, SVG, PDF and CSV
data      say what was found in a folder, zip or download: slices, patients, sizes, fingerprint
export    write slices as NIfTI pairs or nnU-Net's raw dataset, or a model as a folder or as ONNX
archive   pack finished runs into one file that others check, unpack and go on from
rescore   recompute every measure from the stored predictions, without retraining
audit     measure how many test slices have their patient, or a neighbour, in training
score     judge another tool from a folder of its masks: N.png, .tif, .webp, .bmp or .nii.gz
predict   outline and measure tumours on other slices with a model that was kept, or the shipped one
arms      list the arms, their parameters and where they come from; or check that one can be trained
"""
SOURCE_HELP = (
    "a folder or zip of slices, or the word figshare (downloads the archive) or phantoms "
    "(draws some)"
)
DATA_DEFAULT = "default: $MENINGIOMA_DATA, else an earlier download"
SPLIT_HELP = (
    "by-image-1 or another that is shipped, or a JSON file with the slice numbers of train, "
    "val and test"
)
RUNS_HELP = "folder of runs (default: runs, else the records shipped here)"
MORE: dict[str, Any] = {"nargs": "+", "action": "extend"}  # --only a=1 b=2 --only c=3

Add = Callable[..., Any]  # a verb's add_argument


def parser() -> argparse.ArgumentParser:
    """Build the whole command line."""
    top = argparse.ArgumentParser(
        prog="python -m benchmark",
        description="Reruns, checks and judges the Poitiers 2024 thesis on U-Net segmentation "
        "of meningiomas.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, what in (line.split(maxsplit=1) for line in VERBS.splitlines()):
        description = f"{what[0].upper()}{what[1:]}."
        verb = verbs.add_parser(name, help=what, description=description)
        OPTIONS[name](verb.add_argument)
    verbs.choices["run"].set_defaults(workers=1)
    return top


def _reproduce(add: Add) -> None:
    _grid_options(add)
    _evidence_options(add)
    _work_options(add)
    add(
        "--workers",
        type=positive,
        help="processes that share the grid, cores and cards (default: 2 for a grid of minutes at "
        "256x256 and below on processor cores, else 1)",
    )
    add(
        "--launcher",
        choices=("local", "slurm", "debug"),
        default="local",
        help="local: here (default); slurm: cells are submitted as arrays of tasks, by the extra "
        "cluster; debug: the same tasks one after another, here",
    )
    add(
        "--cluster",
        **MORE,
        default=[],
        metavar="CLUSTER.TOML KEY=VALUE",
        help="what tasks ask of the cluster: a file, or partition=gpu time=4:00:00 and the like, "
        "which overrule it (docs/cluster.md)",
    )
    dry = "with --launcher slurm or debug: print what would be submitted, and submit nothing"
    add("--dry-run", action="store_true", help=dry)


def _run(add: Add) -> None:
    _grid_options(add)
    _work_options(add)
    ids = "as plan --format ids lists them"
    add("--id", **MORE, required=True, metavar="RUN_ID", help=ids)


def _plan(add: Add) -> None:
    _grid_options(add)
    _evidence_options(add)
    add(
        "--format",
        choices=("grid", "list", "ids"),
        default="grid",
        help="grid: kernels x alphas (default); list: one line a cell; ids: one run_id a line, of "
        "cells not yet done",
    )


def _compare(add: Add) -> None:
    add("--runs", type=Path, help=RUNS_HELP)
    sections = "these tables alone (default: most)"
    add("--section", **MORE, default=[], choices=SECTION_NAMES, help=sections)
    add(
        "--format",
        choices=tuple(FORMATS),
        default="text",
        help="of the tables: text (default) fits 100 columns, the others have every column of a "
        "table",
    )
    strict = "exit code 1 also for missing or inconclusive rows"
    add("--strict", action="store_true", help=strict)


def _report(add: Add) -> None:
    add("--runs", type=Path, help=RUNS_HELP)
    out = "folder of the report (default: report)"
    add("--out", type=Path, default=Path("report"), help=out)
    copy = f"your copy of the slices, for pictures of them: {SOURCE_HELP}; {DATA_DEFAULT}"
    add("--data", help=copy)
    _slice_options(add)


def _data(add: Add) -> None:
    data = f"{SOURCE_HELP}; {DATA_DEFAULT}, else phantoms; forms and rules: docs/data.md"
    add("data", nargs="?", help=data)
    _slice_options(add)


def _export(add: Add) -> None:
    run = "or a model: a run_id under --runs, or the folder of a run or of a model"
    add("data", metavar="source", help=f"{SOURCE_HELP}; {run}")
    add("folder", type=Path, help="a folder that does not exist yet")
    forms = (
        "of slices, nifti: pairs as the thesis held them (default); nnunet: a raw dataset of "
        "nnU-Net v2's in a folder DatasetNNN_Name, with our splits as its folds "
        "(docs/judge-your-tool.md); of a run of reproduce --keep-models, model: tensors, config "
        "and card, for predict anywhere; onnx: its network, held to its masks, for other programs"
    )
    add("--to", choices=("nifti", "nnunet", "model", "onnx"), default="nifti", help=forms)
    add("--runs", type=Path, default=Path("runs"), help="folder of runs (default: runs)")
    check = "slices to hold an ONNX file to its network's masks on (default: drawn phantoms)"
    add("--check-on", metavar="SOURCE", help=check)
    _arm_file(add)
    protocol = "with --to nnunet: patient (default), thesis, or a TOML file, whose splits are meant"
    add("--protocol", help=protocol)
    splits = "with --to nnunet: draws or folds of the protocol's split, such as 1,2 (default: all)"
    add("--splits", type=numbers, help=splits)
    _slice_options(add)


def _archive(add: Add) -> None:
    add("file", type=Path, metavar="FILE.zip", help="the archive: a new file, or one to --unpack")
    add("--runs", type=Path, help=RUNS_HELP)
    add("--id", **MORE, default=[], metavar="RUN_ID", help="these runs (default: all finished)")
    only = "those of them with such an arm or parameter: kernel_size=3,5 alpha=0.5 arm=unet"
    add("--only", **MORE, default=[], metavar="KEY=VALUES", help=only)
    models = "with the trained models of runs that kept them (--keep-models), which may be large"
    add("--with-models", action="store_true", help=models)
    unpack = "check every file of the archive, and unpack its runs, all or none"
    add("--unpack", action="store_true", help=unpack)
    add("--out", type=Path, help="with --unpack: folder of runs (default: runs)")


def _rescore(add: Add) -> None:
    add("--runs", type=Path, default=Path("runs"), help="folder of runs (default: runs)")
    _data_option(add)
    _slice_options(add)


def _audit(add: Add) -> None:
    _data_option(add)
    split = f"{SPLIT_HELP} (default: every split shipped for these slices)"
    add("--split", **MORE, default=[], metavar="NAME_OR_FILE", help=split)
    _slice_options(add)


def _score(add: Add) -> None:
    masks = (
        "one mask for each test slice, N.png or another form; 0 background, one other value "
        "tumour; the first axis of a NIfTI file is a slice's columns from left to right, the "
        "second its rows from top to bottom, whatever its affine; or a second reading, BRISC 2025 "
        "as a folder or zip, or masks N_V.png of variant V; or the folder of a trainer of "
        "nnU-Net's, which holds fold_0, fold_1, ..."
    )
    add("folder", type=Path, help=masks)
    split = (
        f"{SPLIT_HELP}; by-patient, or a folder of such files: those splits together, each slice "
        "outlined by what was trained on its own; or all: every slice, for what was trained on none"
    )
    add("--split", required=True, metavar="NAME_OR_FILE", help=split)
    common = (
        "score the test slices that have a mask, and say which have none, which is refused else"
    )
    add("--only-common", action="store_true", help=common)
    _data_option(add)
    add("--name", help="what to call the tool (default: the folder's name)")
    runs = "folder of runs to set it beside (default: runs, else those shipped)"
    add("--runs", type=Path, help=runs)
    add("--out", type=Path, help="a new CSV file, for one row per slice")
    as_they_are = "score masks that seem turned, mirrored or inverted, which are refused otherwise"
    add("--as-they-are", action="store_true", help=as_they_are)
    _slice_options(add)


def _predict(add: Add) -> None:
    images = "PNG, WebP, TIFF or NIfTI (turned upright by its header), one slice a file"
    add("images", nargs="*", type=Path, metavar="IMAGE_OR_FOLDER", help=images)
    source = (
        "in place of images: slices with a truth, of this tumour, another or none, to say how "
        f"often, how much and what is marked, by patient; {SOURCE_HELP}"
    )
    add("--data", metavar="SOURCE", help=source)
    run = (
        "a run of reproduce --keep-models: its run_id under --runs, or its folder; or a model's "
        "folder (default: the model shipped here); of several the mean of their probabilities "
        "counts, and their disagreement is a map"
    )
    add("--run", **MORE, default=[], metavar="RUN_ID_OR_FOLDER", help=run)
    add("--runs", type=Path, default=Path("runs"), help="folder of runs (default: runs)")
    out = "folder for masks and measures (default: predictions)"
    add("--out", type=Path, default=Path("predictions"), help=out)
    overwrite = "replace files of the same names in --out, such as those of an earlier call"
    add("--overwrite", action="store_true", help=overwrite)
    _arm_file(add)
    _slice_options(add)
    _device(add)


def _arms(add: Add) -> None:
    _arm_file(add)
    check = "hold this arm to its contract, and say what a training of it takes here"
    add("--check", metavar="ARM", help=check)
    size = "side in pixels of the drawn phantoms to check it on (default: 512)"
    add("--image-size", type=positive, default=512, help=size)
    _device(add)


def _arm_file(add: Add, more: str = "") -> None:
    what = f"a Python file with an arm of yours, class MyArm as my-arm; may be repeated{more}"
    add("--arm-file", type=Path, action="append", default=[], metavar="MY_ARM.PY", help=what)


def _data_option(add: Add) -> None:
    """Of a verb that works on slices of the user alone: none are drawn unasked."""
    add("--data", help=f"{SOURCE_HELP}; {DATA_DEFAULT}")


def _evidence_options(add: Add) -> None:
    evidence = "in place of one grid, the steps of reference_results/plan.toml in their order"
    add("--evidence", action="store_true", help=evidence)
    shipped = "with --evidence: go on from the records shipped here, which are copied to --out"
    add("--from-shipped", action="store_true", help=shipped)


def _slice_options(add: Add) -> None:
    add(
        "--labels",
        type=labels,
        default="1",
        help="tumours to use: 1 meningioma, 2 glioma, 3 pituitary, such as 1,2, or all "
        "(default: 1); slices of Cheng's dataset are told apart by their masks, others by "
        "index.csv",
    )
    add("--allow-empty-masks", action="store_true", help="accept slices without a tumour")
    _spacing(add)


def _spacing(add: Add) -> None:
    spacing = "pixel size in mm where files do not say it"
    add("--spacing", type=float, nargs=2, metavar=("ROW", "COLUMN"), help=spacing)


def _device(add: Add) -> None:
    device = "auto (CUDA cards if there are any), cpu, cuda, cuda:1"
    add("--device", default="auto", help=device)


def _work_options(add: Add) -> None:
    _device(add)
    threads = "processor threads of each worker (default: usable cores / workers)"
    add("--threads", type=positive, help=threads)
    keep = "keep each trained model in its run's folder, so that predict can use it"
    add("--keep-models", action="store_true", help=keep)
    track = (
        "tell a tracker of each run: tensorboard=FOLDER, mlflow=URI, or one of an installed "
        "package (default: none; docs/sharing.md)"
    )
    add("--track", **MORE, default=[], metavar="NAME=WHERE", help=track)


def _grid_options(add: Add) -> None:
    add("--data", help=f"{SOURCE_HELP}; {DATA_DEFAULT}, else phantoms")
    grid = "thesis, baselines, quick, or a TOML file (default: thesis; on phantoms quick)"
    add("--grid", help=grid)
    _arm_file(add, "; without --grid its arms are what is run, with their defaults")
    add("--protocol", help="thesis, patient, or a TOML file (default: the grid's)")
    only = "narrow the grid: kernel_size=3,5 alpha=0.5 arm=unet"
    add("--only", **MORE, default=[], metavar="KEY=VALUES", help=only)
    add("--seeds", type=numbers, help="seeds instead of the grid's, such as 452669,1")
    splits = "draws or folds of the protocol's split, such as 1,2 (default: 1)"
    add("--splits", type=numbers, help=splits)
    size = "side in pixels of the images that arms get (default: the slices' own)"
    add("--image-size", type=positive, help=size)
    add(
        "--set",
        **MORE,
        default=[],
        metavar="SECTION.KEY=VALUE",
        dest="overrides",
        help="change a setting of the protocol, such as training.learning_rate=3e-4; it makes "
        "runs of their own",
    )
    add("--out", type=Path, help="folder of runs (default: runs; on phantoms runs-quick)")
    _slice_options(add)


OPTIONS: dict[str, Callable[[Add], None]] = {
    "reproduce": _reproduce,
    "run": _run,
    "plan": _plan,
    "compare": _compare,
    "report": _report,
    "data": _data,
    "export": _export,
    "archive": _archive,
    "rescore": _rescore,
    "audit": _audit,
    "score": _score,
    "predict": _predict,
    "arms": _arms,
}
