"""Answers on data: their source, how they are prepared and divided, who outlined them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from benchmark.judge.cells import data_of, size_of
from benchmark.judge.comparisons.two_readers import two_readers_in_words
from benchmark.report.checklists.known import Answer, Known, arms_of, listed, spread
from benchmark.report.figure import counted

CHENG = (
    "Cheng, Jun (2017), brain tumor dataset, figshare, doi:10.6084/m9.figshare.1512427, CC BY 4.0"
)
FITTED = {"all": "all images, test images too", "train": "training images alone"}
UNITS = {  # of a split: how it is made
    "image": "By image, at random",
    "patient": "By patient, at random",
    "cvind": "Folds by patient that the dataset's authors drew",
}
APART = {  # what it keeps apart
    "image": "By image: slices are disjoint, patients are not; audit counts the test slices that "
    "have their patient in training.",
    "patient": "By patient: all slices of a patient are in one set.",
    "cvind": "By the authors' folds: all slices of a patient are in one set.",
}
AUGMENTATION = ("affine", "elastic", "motion", "bias", "intensity", "noise")


def _datasets(known: Known) -> Iterator[tuple[str, str]]:
    """Each dataset in words, with how many slices of how many patients it has."""
    results = {each.run_id: each.result["dataset"] for each in known.files}
    for _, runs in known.runs.groupby(["phantom", "dataset_id"]):
        run = runs.iloc[0]
        size = results[run["run_id"]]
        kind = "drawn phantom" if run["phantom"] else "slice"
        own = run["dataset_id"] == known.judgement.reference.dataset_id
        name = CHENG if own else data_of(run)
        words = _of_patients(size["slices"], kind, size["patients"])
        yield words, "" if run["phantom"] else name


def _of_patients(slices: int, kind: str, patients: int | None) -> str:
    whose = counted(patients, "patient") if patients else "unknown patients"
    return f"{counted(slices, kind)} of {whose}"


def _data_sources(known: Known) -> str:
    return "; ".join(f"{size}{f': {name}' if name else ''}" for size, name in _datasets(known)) + (
        f" (dataset {listed(sorted({i[:12] for i in known.runs['dataset_id']}))})."
    )


def _numbers(known: Known) -> str:
    sizes = "; ".join(size for size, _ in _datasets(known))
    scores, collected = known.judgement.collected.scores, known.judgement.collected
    tested = scores.merge(known.runs[["run_id", "dataset_id"]], on="run_id")
    slices = tested.groupby(["dataset_id", "slice_id"]).ngroups
    named = bool(tested["patient_id"].notna().all())
    patients = tested.groupby(["dataset_id", "patient_id"]).ngroups if named else None
    left = len(collected.unfinished)
    waiting = f"; {counted(left, 'run')} not finished" if left else ""
    return (
        f"{sizes}. Tested at least once: {_of_patients(slices, 'slice', patients)}. "
        f"{counted(len(known.runs), 'run')} finished{waiting}. No test slice is left out of any "
        "mean."
    )


def _preprocessing(known: Known) -> str:
    learned = listed(f"on {FITTED[fit]} ({counted(n, 'run')})" for fit, n in known.fits.items())
    sizes = sorted({size_of(run) for run in known.runs.to_dict("records")}, key=lambda s: s.rank)
    return (
        f"Grey levels mapped to a standard histogram (Nyul), learned {learned}; z-score of each "
        f"image; rescaled to [-1, 1]; fed at {listed(sizes)}. Masks are brought back to the "
        "slices' own size before they are scored."
    )


def transformations(known: Known) -> str:
    """What an image goes through before a network sees it, in training and in a test."""
    if known.runs["seed"].isna().all():
        return _preprocessing(known)  # no network, so nothing is augmented
    p = {name: known.setting(f"augmentation.{name}_p") for name in AUGMENTATION}
    drawn = listed((f"{name} (p = {value})" for name, value in p.items()), len(p))
    return f"{_preprocessing(known)} In training alone, drawn anew each epoch: {drawn}."


def _partitions(known: Known) -> str:
    said = []
    for unit, runs in known.runs.groupby("split_unit"):
        counts, size = runs[["train", "val", "test"]], ""
        if counts.notna().all().all():
            ranges = (spread(counts[name]) for name in counts)
            size = " ({} training, {} validation, {} test slices)".format(*ranges)
        said.append(f"{UNITS[unit]}: {listed(sorted(set(runs['split_id'])), 9)}{size}.")
    return f"{' '.join(said)} Each is drawn once, kept as a file and named by its fingerprint."


def _disjoint(known: Known) -> str:
    return " ".join(APART[unit] for unit in sorted(set(known.runs["split_unit"])))


def _fitted_on(known: Known) -> str:
    n, of = known.fits.get("all", 0), len(known.runs)
    if n == 0:
        return "Yes: the histogram, the network and every threshold see no test slice."
    return (
        f"Not wholly: in {n} of {of} runs the standard histogram is learned on all images, test "
        "images too (without their masks), as the thesis does. Nothing else sees test slices."
    )


def _inputs(known: Known) -> str:
    clicked = known.runs[known.runs["needs_click"]]
    text = "The input is the image alone; sets are drawn by number, not by what masks look like."
    given = f" Given a pixel inside the tumour, and ranked with no other: {arms_of(clicked)}."
    return text + (given if len(clicked) else "")


def _raters(known: Known) -> str:
    second = known.judgement.second
    if second is None:
        return "Not measured: no second outline of these slices is known."
    once = second.within[second.within["variant"] == 1]
    within = f" Within the second source: {once['dice'].mean():.3f} on {len(once)} slices."
    return two_readers_in_words(second, known.level) + (within if len(once) else "")


def _areas(known: Known) -> str:
    scores = known.judgement.collected.scores
    if "truth_mm2" not in scores or scores["truth_mm2"].isna().all():
        return "areas were not measured; rescore the runs"
    tested = scores.merge(known.runs[["run_id", "dataset_id"]], on="run_id")
    areas = tested.drop_duplicates(["dataset_id", "slice_id"])["truth_mm2"]
    low, middle, high = areas.quantile([0.25, 0.5, 0.75])
    return f"median {middle:.0f} mm2, quartiles {low:.0f} and {high:.0f}, {len(areas)} slices"


def _characteristics(known: Known) -> str:
    return f"Tumour area on test slices: {_areas(known)}."


def _outcome(known: Known) -> str:
    return f"The mask of the tumour on a slice. Its area on test slices: {_areas(known)}."


def _availability(known: Known) -> str:
    data = listed(dict.fromkeys(name for _, name in _datasets(known) if name))
    whose = f" Data: {data}." if data != "none" else ""
    return (
        f"Code: Apache-2.0.{whose} Scores, masks and settings of each run lie in its folder; "
        "ro-crate-metadata.json beside the report lists them with their hashes."
    )


ANSWERS: Mapping[str, Answer] = MappingProxyType(
    {
        "data_sources": _data_sources,
        "numbers": _numbers,
        "preprocessing": _preprocessing,
        "transformations": transformations,
        "partitions": _partitions,
        "disjoint": _disjoint,
        "fitted_on": _fitted_on,
        "inputs": _inputs,
        "raters": _raters,
        "characteristics": _characteristics,
        "outcome": _outcome,
        "availability": _availability,
    }
)
