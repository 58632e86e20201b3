"""A trained model: found by run_id or folder, held against its record, ready to predict."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.arm import Arm, ArmEntry, Keepable, RunContext
from benchmark.errors import BenchmarkError, RecordError, SpecError, nearest, unknown_arm
from benchmark.inference.model_folder import StoredModel, model_folder, stored_in
from benchmark.preprocessing.nyul import Landmarks
from benchmark.runs import run_folder
from benchmark.runs.collect import run_folders
from benchmark.runs.model_file import AGAIN, ModelState, unpack
from benchmark.runs.reader import FinishedRun, read_run
from benchmark.runs.run_folder import MODEL, RunFolder, RunState
from benchmark.runs.spec import RunSpec
from benchmark.scoring.evaluate import predict_checked
from benchmark.splits.files import SPLITS, find_split
from benchmark.splits.split import Split

SHOWN = 5  # run_ids in a message
TOLD = ("run_id", "split_id", "protocol", "phantom", "arm_source", "spec")  # of spec.json
SOFTWARE = ("meningioma-bench", "git_commit", "git_dirty", "python", "torch", "monai", "numpy",
            "device_kind", "gpu", "threads")  # of environment.json  # fmt: skip


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A fitted arm, and what its images must be made to look like.

    fed (h, w): the size in pixels of the images it takes. landmarks, shape (H, W) and spacing_mm
    (row, column) are those of the slices it comes from, before they were resized; slices and
    patients count those it was trained on (0 patients: unknown), phantom is True for drawn ones.
    dataset_id and split: which slices there were and what each was for, "" and None where that is
    not known.
    """

    run_id: str
    arm: Arm
    landmarks: Landmarks
    fed: tuple[int, int]
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]
    slices: int
    patients: int
    phantom: bool
    dataset_id: str = ""
    split: Split | None = None


def load(root: Path, named: str, arms: Mapping[str, ArmEntry], device: str) -> TrainedModel:
    """Return the model of a finished run, named by its run_id under root or by its folder.

    Or that of a folder that travels (`benchmark.inference.model_folder`), named in the same way.
    Raises `RecordError` for a run that is not there or not done, one without a model, a model
    that is not the recorded one or not readable, and an arm that is not installed, needs a
    click, or has changed since; nothing is read from a model before its hash agrees.
    """
    stored = find_stored(root, named)
    arm = _arm(stored, arms)
    learned = stored.read()
    _restore(arm, learned, stored, RunContext(stored.spec.recipe, seed=0, device=device))
    return TrainedModel(
        run_id=stored.run_id,
        arm=arm,
        landmarks=learned.landmarks,
        fed=stored.spec.shape,
        shape=learned.shape,
        spacing_mm=learned.spacing_mm,
        slices=learned.slices,
        patients=learned.patients,
        phantom=stored.phantom,
        dataset_id=stored.spec.dataset_id,
        split=split_of(stored),
    )


def find_stored(root: Path, named: str) -> StoredModel:
    """Return a model and what is told of it, not read yet; `RecordError` as `load` raises."""
    folder = model_folder(root, Path(named))
    return stored_in(folder) if folder else _of_run(read_run(find(root, named)))


def _of_run(run: FinishedRun) -> StoredModel:
    told, path = run_folder.read_json(run.folder / run_folder.SPEC), run.folder / MODEL
    environment = run_folder.read_json(run.folder / run_folder.ENVIRONMENT)
    record = {key: told[key] for key in TOLD if key in told}
    record["environment"] = {key: environment.get(key) for key in SOFTWARE}
    return StoredModel(
        run_id=run.run_id,
        spec=run.spec,
        phantom=run.phantom,
        record={**record, "fit": dict(run.fit), "test": dict(run.test)},
        read=lambda: unpack(_recorded(run), path),
        told=run.folder / run_folder.SPEC,
        weights=path,
        code=run_folder.ENVIRONMENT,
        cure=AGAIN,
    )


def split_of(stored: StoredModel) -> Split | None:
    """The split that a model was trained on, of the package, its folder, or its folder of runs.

    None where it is in none of them. Raises `SplitError` for a damaged file.
    """
    spec, folder = stored.spec, stored.told.resolve().parent  # "." has no parent of its own
    places = (folder / SPLITS, folder.parent / SPLITS)
    found = (
        find_split(spec.split_id, spec.dataset_id, spec.split_fingerprint, place)
        for place in places
    )
    return next(filter(None, found), None)


def find(root: Path, named: str) -> RunFolder:
    """Return the folder of a finished run, named by its run_id under root or by its own path.

    `RecordError` names the nearest and some with models.
    """
    place, run_id = _place(root, Path(named))
    if not place.is_dir():
        given = f"--runs {root}" if place is root else f"--run {named}"
        raise SpecError(
            f"{given}: there is no such folder; give the folder that reproduce wrote its runs to "
            "as --runs, or the folder of a run or of a model as --run"
        )
    folders = {folder.run_id: folder for folder in run_folders(place)}
    if run_id not in folders:
        near = nearest(run_id, folders)
        models = [name for name, folder in folders.items() if (folder / MODEL).exists()]
        listed = ", ".join(models[:SHOWN]) + (", ..." if len(models) > SHOWN else "")
        what = f"{place} has no such run{near}" if run_id else "is a folder of runs; name one in it"
        raise RecordError(
            f"--run {named}: {what}; with a model: {listed or 'none, see --keep-models'}"
        )
    if (state := folders[run_id].state) is not RunState.DONE:
        raise RecordError(
            f"--run {named}: is {state}, not done; let reproduce --keep-models finish it first"
        )
    return folders[run_id]


def _place(root: Path, named: Path) -> tuple[Path, str]:
    """A folder of runs, and the run_id in it that is meant; "" where named is such a folder."""
    named = named.parent if named.name == MODEL and named.is_file() else named
    alone = len(named.parts) <= 1
    if alone and (root / named).is_dir():
        return root, named.name
    if (named / run_folder.SPEC).exists():
        own = named.resolve()  # a link may have another name, and "." has none
        return (named.parent if named.name == own.name else own.parent), own.name
    if named.is_dir() and any(run_folders(named)):
        return named, ""
    return (root if alone else named.parent), named.name


def _arm(stored: StoredModel, arms: Mapping[str, ArmEntry]) -> Any:
    """The arm of a model, not fitted yet."""
    name, path = stored.spec.arm, stored.told
    if name not in arms:
        raise RecordError(f"{path}: {unknown_arm(name, arms)}")
    if arms[name].needs_click:
        raise RecordError(
            f"{path}: arm {name} needs a click in each tumour; choose a run of an automatic arm"
        )
    arm, now = arms[name].load(), arms[name].source
    if (now.sha256 if now else None) != stored.spec.source:
        raise RecordError(
            f"{path}: arm {name} has changed since this run ({_source(stored)}); put back the code "
            "that trained it, or train it anew with --keep-models and give that run_id"
        )
    return arm(**arms[name].resolve(stored.spec.params))


def _source(stored: StoredModel) -> str:
    """What a run's record says of where its arm came from."""
    if stored.spec.source is None:
        return "which did not record its source"
    told = stored.record["arm_source"]
    return f"{told['package']} {told['version']}".strip() + f", source {stored.spec.source[:6]}"


def _recorded(run: FinishedRun) -> bytes:
    """The bytes of the model file, which must be those that result.json has the hash of."""
    path = run.folder / MODEL
    if MODEL not in run.sha256:
        raise RecordError(f"{path.parent}: the run was finished without its model; {AGAIN}")
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read ({error.strerror}); copy it back, or {AGAIN}"
        ) from error
    if hashlib.sha256(packed).hexdigest() != run.sha256[MODEL]:
        raise RecordError(
            f"{path}: is not the file that result.json has the hash of; copy it back, or {AGAIN}"
        )
    return packed


def _restore(arm: Any, learned: ModelState, stored: StoredModel, context: RunContext) -> None:
    """Put back what the arm learned, and ask it once: only then a state of other kinds shows."""
    h, w = stored.spec.shape
    ramp = np.linspace(-1, 1, h * w, dtype=np.float32).reshape(1, h, w)
    try:
        arm.restore(learned.state, context)
        predict_checked(arm, ramp, None)
    except Exception as error:  # an arm may do anything with a foreign state, torch with a device
        reason = str(error).partition("\n")[0]
        raise RecordError(
            f"{stored.weights}: does not fit arm {stored.spec.arm} as it is now ({reason}); take "
            f"the code that trained it, named in {stored.code}, or {stored.cure}"
        ) from error


def unkept(specs: Iterable[RunSpec], root: Path, arms: Mapping[str, ArmEntry]) -> str:
    """A sentence that names the runs done without a model though their arm could keep one, or "".

    Raises `RecordError` for a run that is damaged.
    """
    folders = [RunFolder(root, spec.run_id) for spec in specs if _keeps(arms[spec.arm])]
    bare = [
        folder.run_id
        for folder in folders
        if folder.state is RunState.DONE and MODEL not in read_run(folder).sha256
    ]
    if not bare:
        return ""
    return (
        f"Note: done before, without a model ({AGAIN}, or give another --out): {', '.join(bare)}."
    )


def _keeps(entry: ArmEntry) -> bool:
    try:
        return not entry.needs_click and issubclass(entry.load(), Keepable)
    except BenchmarkError:  # an arm that cannot be imported fails when a cell of it is run
        return False
