"""The words of the command line: `python -m benchmark VERB ...`. Imports no torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmark.errors import SpecError
from benchmark.grid import check_seeds
from benchmark.judge.tables import FORMATS
from benchmark.request import Request

EXAMPLES = """\
examples:
  python -m benchmark reproduce                      no data needed: every arm on drawn phantoms, minutes
  python -m benchmark data path/to/slices            what is in a folder, zip or download
  python -m benchmark plan --data path/to/slices     the thesis's 108 trainings: state and time, nothing run
  python -m benchmark reproduce --data path/to/slices --only kernel_size=5 alpha=0.5 --seeds 452669
  python -m benchmark compare                        your runs against the thesis's printed numbers
  python -m benchmark audit --data path/to/slices    test slices whose patient was also trained on, split by split
  python -m benchmark score path/to/masks --split by-image-1 --data path/to/slices    judge another tool
"""


def parser() -> argparse.ArgumentParser:
    """Build the whole command line."""
    top = argparse.ArgumentParser(
        prog="python -m benchmark",
        description="Reruns, checks and judges the Poitiers 2024 thesis on U-Net segmentation of meningiomas.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    reproduce = _verb(
        verbs, "reproduce", "train and score every cell of a grid; skips what is done, goes on where it stopped"
    )
    run = _verb(verbs, "run", "carry out single cells of a grid by their run_id, as a task of a batch system does")
    plan = _verb(verbs, "plan", "say what reproduce would do: each cell's state and the time it would take")
    for verb in (reproduce, run, plan):
        _grid_options(verb)
    for verb in (reproduce, run):
        verb.add_argument("--device", default="auto", help="auto (CUDA cards if there are any), cpu, cuda, cuda:1")
        verb.add_argument(
            "--threads", type=_positive, help="processor threads of each worker (default: usable cores / workers)"
        )
    reproduce.add_argument(
        "--workers", type=_positive, default=1, help="processes that share the grid, cores and cards (default: 1)"
    )
    run.set_defaults(workers=1)
    run.add_argument(
        "--id", nargs="+", action="extend", required=True, metavar="RUN_ID", help="as plan --format ids lists them"
    )
    plan.add_argument(
        "--format", choices=("table", "ids"), default="table", help="ids: one run_id a line, of cells not yet done"
    )
    compare = _verb(
        verbs, "compare", "judge runs against the thesis's printed numbers; exit code 1 if one is not reproduced"
    )
    compare.add_argument("--runs", type=Path, help="folder of runs (default: runs, else the records shipped here)")
    compare.add_argument(
        "--section", nargs="+", action="extend", default=[], choices=SECTION_NAMES, help="only these (default: most)"
    )
    compare.add_argument("--format", choices=tuple(FORMATS), default="text", help="of the tables (default: text)")
    compare.add_argument("--strict", action="store_true", help="exit code 1 also for missing or inconclusive rows")
    data = _verb(verbs, "data", "say what was found in a folder, zip or download: slices, patients, sizes, fingerprint")
    data.add_argument("data", nargs="?", help=SOURCE_HELP)
    _data_options(data)
    export = _verb(verbs, "export", "write slices as NIfTI pairs, 0.49 x 0.49 x 6 mm, as the thesis held them")
    export.add_argument("data", help=SOURCE_HELP)
    export.add_argument("folder", type=Path, help="a folder that does not exist yet")
    _data_options(export)
    rescore = _verb(verbs, "rescore", "recompute every measure from the stored predictions, without retraining")
    rescore.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs (default: runs)")
    rescore.add_argument("--data", help=SOURCE_HELP)
    _data_options(rescore)
    audit = _verb(verbs, "audit", "measure how many test slices have their patient, or a neighbour, in training")
    audit.add_argument("--data", help=SOURCE_HELP)
    audit.add_argument(
        "--split",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME_OR_FILE",
        help=f"{SPLIT_HELP} (default: every split shipped for these slices)",
    )
    _data_options(audit)
    score = _verb(verbs, "score", "judge another tool from a folder of its masks: N.png, .tif, .webp, .bmp or .nii.gz")
    score.add_argument("folder", type=Path, help="one mask for each test slice; 0 background, one other value tumour")
    score.add_argument("--split", required=True, metavar="NAME_OR_FILE", help=SPLIT_HELP)
    score.add_argument("--data", help=SOURCE_HELP)
    score.add_argument("--name", help="what to call the tool (default: the folder's name)")
    score.add_argument("--runs", type=Path, help="folder of runs to set it beside (default: runs, else those shipped)")
    score.add_argument("--out", type=Path, help="a new CSV file, for one row per slice")
    _data_options(score)
    _verb(verbs, "arms", "list the arms, their parameters and where they come from")
    return top


SOURCE_HELP = "a folder or zip of slices, or the word figshare (downloads the archive) or phantoms (draws some)"

SECTION_NAMES = ("verdicts", "patients", "claims", "arms", "measures", "runs")  # of benchmark.judge.sections

SPLIT_HELP = "by-image-1 or another that is shipped, or a JSON file with the slice numbers of train, val and test"


def _verb(verbs: Any, name: str, what: str) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
    return verb


def _data_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--labels",
        type=_labels,
        default="1",
        help="classes to use: 1 meningioma, 2 glioma, 3 pituitary, or all (default: 1)",
    )
    verb.add_argument("--allow-empty-masks", action="store_true", help="accept slices without a tumour")
    verb.add_argument(
        "--spacing", type=float, nargs=2, metavar=("ROW", "COLUMN"), help="pixel size in mm where files do not tell"
    )


def _grid_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--data", help=f"{SOURCE_HELP}; default: $MENINGIOMA_DATA, an earlier download, else phantoms")
    verb.add_argument("--grid", help="thesis, baselines, quick, or a TOML file (default: thesis; on phantoms quick)")
    verb.add_argument("--protocol", help="thesis, patient, or a TOML file (default: the grid's)")
    verb.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUES",
        help="narrow the grid: kernel_size=3,5 alpha=0.5 arm=unet",
    )
    verb.add_argument("--seeds", type=_numbers, help="seeds instead of the grid's, such as 452669,1")
    verb.add_argument(
        "--splits", type=_numbers, help="draws or folds of the protocol's split, such as 1,2 (default: 1)"
    )
    verb.add_argument(
        "--image-size", type=_positive, help="side in pixels that arms are fed (default: the slices' own)"
    )
    verb.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="SECTION.KEY=VALUE",
        dest="overrides",
        help="change a value of the protocol: training.learning_rate=3e-4; the runs are other runs then",
    )
    verb.add_argument("--out", type=Path, help="folder of runs (default: runs; on phantoms runs-quick)")
    _data_options(verb)


def request(options: argparse.Namespace) -> Request:
    """Turn parsed options into a `Request`; `SpecError` for words that cannot be read."""
    get = vars(options).get
    if get("data") == "":
        raise SpecError("--data is empty; give a path, or leave it out")
    return Request(
        data=get("data"),
        grid=get("grid"),
        protocol=get("protocol"),
        only=_keyed("--only", get("only") or []),
        seeds=check_seeds(options.seeds) if get("seeds") else None,
        splits=get("splits"),
        image_size=get("image_size"),
        overrides={
            key: values[0] if len(values) == 1 else values
            for key, values in _keyed("--set", get("overrides") or []).items()
        },
        out=get("out"),
        labels=options.labels,
        allow_empty_masks=options.allow_empty_masks,
        spacing_mm=tuple(options.spacing) if options.spacing else None,
    )


def _keyed(option: str, words: list[str]) -> dict[str, list[Any]]:
    """["alpha=0.5,0.6"] -> {"alpha": [0.5, 0.6]}; `SpecError` for another form, or a key given twice."""
    found: dict[str, list[Any]] = {}
    for word in words:
        key, sign, values = word.partition("=")
        if not sign or not key or not values:
            raise SpecError(f"{option} {word!r} must have the form KEY=VALUE or KEY=VALUE,VALUE")
        if key in found:
            raise SpecError(f"{option} names {key!r} twice; give its values together, as {key}=A,B")
        found[key] = [_value(v) for v in values.split(",")]
    return found


def _value(text: str) -> Any:
    """A whole number, a number, true or false, else the word itself."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _numbers(text: str) -> tuple[int, ...]:
    values = text.split(",")
    if not all(v.strip().isdecimal() for v in values):
        raise argparse.ArgumentTypeError(f"{text!r} must be whole numbers separated by commas")
    return tuple(int(v) for v in values)


def _labels(text: str) -> tuple[int, ...] | None:
    return None if text == "all" else _numbers(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number above 0")
    return int(text)
