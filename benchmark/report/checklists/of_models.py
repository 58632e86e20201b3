"""Answers on arms, their training, and what they ran on. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from benchmark.judge.comparable import in_cell
from benchmark.report.checklists.known import Answer, Known, arms_of, listed, spread
from benchmark.report.checklists.of_data import transformations
from benchmark.report.figure import counted

KEYS = {  # of environment.json
    "meningioma-bench": "meningioma-bench",
    "python": "Python",
    "torch": "PyTorch",
    "monai": "MONAI",
    "numpy": "NumPy",
    "scipy": "SciPy",
}

TUNED = "what arms of this repository without a network tune, they tune on training slices"


def _trained(runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs that hang on a seed, as those of networks do, and the others."""
    seeded = runs["seed"].notna()
    return runs[seeded], runs[~seeded]


def _category(known: Known) -> str:
    networks, others = _trained(known.runs)
    text = "Outlining of tumours on single MRI slices"
    if len(networks):
        text += f" by deep learning: {arms_of(networks)}"
    if len(others):
        text += f"{'; beside it' if len(networks) else ''} without a network: {arms_of(others)}"
    return f"{text}."


def _models(known: Known) -> str:
    said = []
    for arm, runs in known.runs.groupby("arm"):
        n = runs["parameters"]
        size = f", {spread(n)} parameter{'' if n.max() == 1 else 's'}" if n.max() > 0 else ""
        tried = _parameters(runs)
        said.append(f"{arm}{f' ({tried})' if tried else ''}{size}")
    return (
        f"{'; '.join(said)}. Input: one slice of one channel; output: a probability for each "
        "pixel, tumour above 0.5."
    )


def _parameters(runs: pd.DataFrame) -> str:
    """What the parameters of an arm were: kernel_size 3 and 5, alpha 0.5."""
    values: dict[str, dict[str, None]] = {}
    for text in sorted(set(runs["params"])):
        for name, value in json.loads(text).items():
            values.setdefault(name, {})[str(value)] = None
    return ", ".join(f"{name} {listed(sorted(own), 9)}" for name, own in values.items())


def _versions(known: Known, keys: Mapping[str, str]) -> str:
    """The versions of each thing over all runs."""
    found = []
    for key, name in keys.items():
        own = sorted({str(each.environment[key]) for each in known.files
                      if each.environment.get(key)})  # fmt: skip
        found += [f"{name} {listed(own)}"] if own else []
    return ", ".join(found) or "versions were not recorded"


def _software(known: Known) -> str:
    return f"{_versions(known, KEYS)}; commit {_commits(known)}."


def _commits(known: Known) -> str:
    commits = sorted(set(known.runs["commit"]))
    return listed(commits, len(commits))


def _code(known: Known) -> str:
    changed = sum(bool(each.environment.get("git_dirty")) for each in known.files)
    own = f"; {counted(changed, 'run')} from code that was changed since" if changed else ""
    version = _versions(known, {"meningioma-bench": "meningioma-bench"})
    return f"{version}, commit {_commits(known)}{own}; Apache-2.0."


def _hardware(known: Known) -> str:
    devices = known.runs["device"].value_counts().sort_index()
    where = listed(f"{name} ({counted(int(n), 'run')})" for name, n in devices.items())
    hours = known.runs["timing.fit_seconds"].sum() / 3600
    system = _versions(known, {"processor": "processor", "system": "", "cuda": "CUDA"})
    return f"{where}; {' '.join(system.split())}; {hours:.1f} hours of training in all."


def _initialisation(known: Known) -> str:
    seeds = sorted({int(seed) for seed in known.runs["seed"].dropna()})
    outside = known.runs[known.runs["source"] != ""]
    own = known.runs[known.runs["source"] == ""]
    said = []
    if own["seed"].notna().any():
        said.append(
            "At random, from a stream of the run's seed; nothing is pretrained. "
            f"Seeds: {listed(seeds)}."
        )
    if len(outside):
        said.append(f"Not known of arms from outside: {arms_of(outside)}.")
    return " ".join(said) or "Nothing is drawn: no arm trains."


def _training(known: Known) -> str:
    of, (networks, _) = known.setting, _trained(known.runs)
    if networks.empty:
        return f"No network was trained; {TUNED}.{_otherwise(known)} {transformations(known)}"
    return (
        f"Tversky loss with the parameters of each arm, {of('loss.activation')}; optimiser "
        f"{of('training.optimiser')}, learning rate {of('training.learning_rate')}, batches of "
        f"{of('training.batch_size')}, at most {of('training.max_epochs')} epochs, stopped after "
        f"{of('training.patience')} without a better {of('training.monitor')}; dropout "
        f"{of('network.dropout')}; {of('training.precision')}.{_otherwise(known)} "
        f"{transformations(known)}"
    )


def _otherwise(known: Known) -> str:
    outside = known.runs[known.runs["source"] != ""]
    return f" Arms from outside may train otherwise: {arms_of(outside)}." if len(outside) else ""


def _selection(known: Known) -> str:
    reference, (networks, _) = known.judgement.reference, _trained(known.runs)
    said = []
    if len(networks):
        kept = f"Of a training the epoch with the best {known.setting('training.monitor')} is kept."
        said.append(f"{kept}{_otherwise(known)}")
    old = len(known.judgement.collected.superseded)
    but = f", but for {counted(old, 'run')} that a later record of the same run replaces"
    said.append(
        "The benchmark chooses no model on test slices: every finished run is in the tables"
        f"{but if old else ''}."
    )
    if replaced := known.judgement.superseded:
        n = len(replaced.collected.runs)
        said.append(
            f"{counted(n, 'record')} of a training gave way to a later one of the same run, "
            "with both scores known: that choice is ours."
        )
    best, own = reference.best_cell, known.runs["dataset_id"] == reference.dataset_id
    its = in_cell(known.runs, best.arm, best.kernel_size, best.alpha)
    if (its & own & ~known.runs["phantom"]).any():
        said.append(
            f"The cell that is judged ({best.arm} {best.kernel_size}x{best.kernel_size}, alpha "
            f"{best.alpha:g}) was named beforehand. The thesis chose it on its own test set."
        )
    return " ".join(said)


def _hyperparameters(known: Known) -> str:
    tried = {arm: _parameters(runs) for arm, runs in known.runs.groupby("arm")}
    said = "; ".join(f"{arm}: {own}" for arm, own in tried.items() if own)
    changed = sum(own != "{}" for own in set(known.runs["changed_settings"]))
    searched = (
        "No search: values are those of a grid fixed beforehand, all of them reported."
        if known.judgement.looks  # the records shipped here
        else "The benchmark searches nothing, and every finished run is reported; how its values "
        "were chosen no record tells."
    )
    return (
        f"{searched} {said or 'No arm has parameters'}. Protocols other than the thesis's: "
        f"{changed}."
    )


def _baselines(known: Known) -> str:
    networks, plain = _trained(known.runs)
    if plain.empty:
        return "No arm without a network was run."
    where = ["dataset_id", "split_fingerprint"]
    theirs, its = (set(map(tuple, part[where].to_numpy())) for part in (networks, plain))
    beside = "with no network beside them"
    if theirs:
        beside = f"on {len(theirs & its)} of {counted(len(theirs), 'split')} that networks were on"
    return f"{arms_of(plain)}, which have no network, {beside}; {TUNED}."


ANSWERS: Mapping[str, Answer] = MappingProxyType(
    {
        "category": _category,
        "models": _models,
        "software": _software,
        "code": _code,
        "hardware": _hardware,
        "initialisation": _initialisation,
        "training": _training,
        "selection": _selection,
        "hyperparameters": _hyperparameters,
        "baselines": _baselines,
    }
)
