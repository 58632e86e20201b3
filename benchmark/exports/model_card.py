"""A model's card and licence, from its config alone: what records say of it, and no more. Pure.

The sections are those of Hugging Face's model cards (Mitchell et al., Model Cards for Model
Reporting, FAT* 2019); the score on patients that no training saw comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.data.registry import CHENG_DATASET_ID
from benchmark.inference.model_folder import CONFIG, WEIGHTS

Config = Mapping[str, Any]

APACHE = "https://www.apache.org/licenses/LICENSE-2.0"
CC_BY = "https://creativecommons.org/licenses/by/4.0/"
NOT_MEASURED = "not measured for this cell"
ATTRIBUTION = (
    "The model was trained on slices of J. Cheng (2017), *brain tumor dataset*, figshare,\n"
    "[doi:10.6084/m9.figshare.1512427](https://doi.org/10.6084/m9.figshare.1512427), licensed\n"
    f"[CC BY 4.0]({CC_BY}), which asks that he be named wherever it is passed\n"
    "on. Changed here: slices were resized and standardised. No slice is in this folder."
)
OTHER_DATA = (
    "The licence of the slices that it was trained on is not known here. Whoever passes the model\n"
    "on names that licence and its own in this place."
)
NO_USE = """\
- **No medical device.** Nothing it outlines may guide the care of a patient.
- As far as the records behind this card say, it was never tried on volumes or on another hospital's
  slices, and never tried on other tumours, on healthy slices, on other scanners or sequences.
- It does not say whether there is a tumour{shown}.
- Its score on a slice whose patient was trained on says nothing of a new patient.
"""
PREPROCESSING = """\
1. One 2D slice{sequence}, upright as radiologists display it, filled up with its least
   value to the form of the slices trained on, {shape} pixels of {spacing} mm.
2. Resized to {fed} by averaging over areas.
3. Nyul's standardisation with the landmarks in `config.json`, percentiles of {foreground};
   then z-score over the slice, and its least and greatest value to -1 and 1.
4. The tumour probability goes back to the slice's pixels bilinearly; above 0.5 is tumour.
"""
USE = """\
With meningioma-bench installed, as its README says:

```
python -m benchmark predict slice.png --run path/to/this/folder
```

`predict` does all of the preprocessing, and checks the sha256 of the weights before it reads them.
`{weights}` holds tensors alone and `config.json` plain values: nothing in this folder is run.
"""
CITATION = """\
- The software: see CITATION.cff of meningioma-bench, a rerun of J. Suere's thesis (Poitiers, 2024).
"""
CHENG_CITATION = """\
- The slices: J. Cheng (2017), brain tumor dataset, figshare, doi:10.6084/m9.figshare.1512427;
  J. Cheng et al., PLoS ONE 10 (2015) e0140381, doi:10.1371/journal.pone.0140381.
"""


def of_cheng(config: Config) -> bool:
    """True for a model of slices of Cheng's data set, not of drawn phantoms."""
    return config["spec"]["dataset_id"] == CHENG_DATASET_ID and not config["phantom"]


def licence(config: Config) -> str:
    """The text of the file LICENSE: that of the weights, and whom the slices' asks to be named."""
    if of_cheng(config):
        own = f"The weights, {CONFIG} and README.md: Apache License 2.0, {APACHE}"
        return f"{own}\n\n{ATTRIBUTION}\n"
    if config["phantom"]:
        own = f"The weights, {CONFIG} and README.md: Apache License 2.0, {APACHE}"
        return f"{own}\n\nThe model was trained on drawn phantoms, which are nobody's slices.\n"
    return f"{OTHER_DATA}\n"


def card(config: Config) -> str:
    """The card, README.md, as Markdown with Hugging Face's YAML in front."""
    cell, fed = config["evaluation"]["cell"], _sides(config["spec"]["shape"])
    sections = (
        ("Scores", _scores(config)),
        ("Must not be used for", _no_use(config)),
        ("May be used for", _use()),
        ("Trained on", _training(config)),
        ("Preprocessing", _preprocessing(config)),
        ("How to use it", USE.format(weights=WEIGHTS) + _outside(config)),
        ("Licence and attribution", licence(config)),
        ("Provenance", _provenance(config)),
        ("Citation", CITATION + (CHENG_CITATION if of_cheng(config) else "")),
    )
    body = "\n\n".join(f"## {title}\n\n{text.strip()}" for title, text in sections)
    return f"{_front(config)}\n# {cell}, fed {fed}\n\n{in_short(config)}\n\n{body}\n"


def in_short(config: Config) -> str:
    """One line: which model it is, and what it scores on patients that no training saw."""
    what = f"{config['evaluation']['cell']}, fed {_sides(config['spec']['shape'])}"
    if config["phantom"]:
        return f"{what}: trained on drawn phantoms, so no score of it means anything for patients."
    return f"{what}: mean Dice on patients that no training saw: {_by_patient(config)}."


def _by_patient(config: Config) -> str:
    found = config["evaluation"]
    if found["by_patient"]:
        return _interval(found["by_patient"])
    if found["nearest_by_patient"]:
        nearest = found["nearest_by_patient"]
        return f"{NOT_MEASURED}; of the nearest, {nearest['cell']}, {_interval(nearest)}"
    return NOT_MEASURED


def _interval(score: Mapping[str, Any]) -> str:
    interval = (
        f"95% interval {score['low']:.3f} to {score['high']:.3f}, "
        if score["low"] is not None
        else ""
    )
    slices = f"{score['slices']} slices of {score['patients']} patients"
    return f"{score['dice']:.3f} ({interval}{slices}, {score['trainings']} trainings)"


def _front(config: Config) -> str:
    """Hugging Face's metadata: https://huggingface.co/docs/hub/model-cards."""
    cheng = of_cheng(config)
    own = "apache-2.0" if cheng or config["phantom"] else "other"
    name = "cheng-meningioma" if cheng else "phantoms" if config["phantom"] else "other"
    words = ("medical", "mri", "meningioma", "brain-tumor", "2d", config["spec"]["arm"])
    tags = "\n".join(f"- {word}" for word in words)
    return (
        f"---\nlicense: {own}\nlibrary_name: meningioma-bench\npipeline_tag: image-segmentation\n"
        f"tags:\n{tags}\ndatasets:\n- {name}\nmetrics:\n- dice\n---\n"
    )


def _scores(config: Config) -> str:
    """The table, by patient first, and what stands beside it."""
    found, test = config["evaluation"], config["test"]
    rows = [("patients apart, this cell", found["by_patient"])]
    if found["nearest_by_patient"]:
        rows.append(("patients apart, the nearest cell", found["nearest_by_patient"]))
    rows.append(("split by image, this cell", found["by_image"]))
    lines = ["| tested how | cell | mean Dice | 95% interval | slices | patients | trainings |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    lines += [f"| {what} | {_row(found['cell'], score)} |" for what, score in rows]
    counts = f"{test['n']} | {test['patients'] or '-'} | 1"
    lines.append(
        f"| **this training**, on the test set of {config['split_id']} | {found['cell']} | "
        f"{test['dice_mean']:.3f} | - | {counts} |"
    )
    text = "\n".join(lines) + f"\n\n{_of_this_training(config)}"
    return text + (f"\n\n{found['readers']}" if found["readers"] else "")


def _row(own: str, score: Mapping[str, Any] | None) -> str:
    if score is None:
        return f"{own} | {NOT_MEASURED} | - | - | - | -"
    interval = "-" if score["low"] is None else f"{score['low']:.3f} to {score['high']:.3f}"
    counts = " | ".join(str(score[name]) for name in ("slices", "patients", "trainings"))
    return f"{score['cell']} | {score['dice']:.3f} | {interval} | {counts}"


def _of_this_training(config: Config) -> str:
    """What its own test is worth: slices missed, and the leak."""
    test, shared = config["test"], config["evaluation"]["shared_patients"]
    text = (
        f"This training missed the tumour wholly on {test['missed']} of its {test['n']} test "
        f"slices; the median Dice is {test['dice_median']:.3f}."
    )
    if shared and shared["slices"]:
        text += (
            f" **{shared['slices']} of the {shared['of']} have their patient among the slices "
            "trained on**, so by image it does not tell what a new patient would get."
        )
    unit = config["spec"]["protocol"]["split"]["unit"]
    if shared is None and unit == "image" and not config["phantom"]:
        text += (
            " How many of them have their patient among the slices trained on is not known here; "
            "by image most may, and then it does not tell what a new patient would get."
        )
    return f"{text} Scores are means over slices, at the slices' own pixels."


def _no_use(config: Config) -> str:
    shown = ": every slice of its training and of its tests shows one" if of_cheng(config) else ""
    return NO_USE.format(shown=shown)


def _use() -> str:
    return (
        "Research, and trying out `predict`: outlines on 2D slices like those trained on, each "
        "looked at by somebody who can see whether it is right. For a score on slices of your own, "
        "outline them yourself and set the two side by side (`python -m benchmark score`)."
    )


def _outside(config: Config) -> str:
    """What else it takes to use an arm that this repository does not bring."""
    if "arm_source" not in config:
        return ""
    source = config["arm_source"]
    package = f"{source['package']} {source['version']}".strip()
    return (
        f"\nThe code of arm {config['spec']['arm']} must be there too, unchanged (source "
        f"`{source['sha256'][:16]}`): {package}, installed, or its "
        "file given with --arm-file.\n"
    )


def _training(config: Config) -> str:
    spec, model = config["spec"], config["model"]
    patients = f" of {model['patients']} patients" if model["patients"] else ""
    kind = "drawn phantoms" if config["phantom"] else "2D slices"
    tumours = ""
    if of_cheng(config):  # of others neither is known: --allow-empty-masks may have been given
        kind, tumours = "2D contrast-enhanced T1 slices", ", each with an outlined tumour"
    seed = "" if spec["seed"] is None else f", seed {spec['seed']}"
    epochs = config["fit"].get("best_epoch")
    best = "" if epochs is None else f" The weights are those of epoch {epochs}, counted from 0."
    return (
        f"{model['slices']} {kind}{patients}{tumours}: the training set of "
        f"split `{config['split_id']}` (fingerprint `{spec['split_fingerprint'][:16]}`) of data "
        f"set `{spec['dataset_id'][:16]}` (fingerprint `{spec['content_fingerprint'][:16]}`), fed "
        f"at {_sides(spec['shape'])}, {spec['protocol']['training']['precision']}, protocol "
        f"`{config['protocol']}`{seed}.{best} "
        "The whole protocol stands in `config.json`."
    )


def _preprocessing(config: Config) -> str:
    model = config["model"]
    return PREPROCESSING.format(
        shape=_sides(model["shape"]),
        spacing=" x ".join(f"{side:g}" for side in model["spacing_mm"]),
        fed=_sides(config["spec"]["shape"]),
        sequence=", contrast-enhanced T1" if of_cheng(config) else "",
        foreground="the whole slice" if model["whole"] else "pixels above the slice's mean",
    )


def _provenance(config: Config) -> str:
    software, told = config["environment"], config["files"][WEIGHTS]
    rows = {
        "run": config["run_id"],
        "commit": str(software.get("git_commit"))
        + (" + changes" if software.get("git_dirty") else ""),
        "trained with": ", ".join(
            f"{name} {software[name]}"
            for name in ("meningioma-bench", "python", "torch", "monai", "numpy")
            if software.get(name)
        ),
        "on": software.get("gpu") or software.get("device_kind"),
        WEIGHTS: f"{told['bytes']} bytes, sha256 {told['sha256']}",
    }
    lines = [f"| {what} | `{value}` |" for what, value in rows.items()]
    return "\n".join(["| what | value |", "|---|---|", *lines])


def _sides(sides: Any) -> str:
    """[256, 256] -> 256x256."""
    return "x".join(str(side) for side in sides)
