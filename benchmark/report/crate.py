"""The report as a Research Object Crate: ro-crate-metadata.json over its files and its runs.

RO-Crate 1.1 (https://w3id.org/ro/crate/1.1) with the profile Process Run Crate 0.5
(https://w3id.org/ro/wfrun/process/0.5): every finished run is a `CreateAction` whose instrument is
the software in the version and commit that made it, whose objects are slices, split, protocol,
parameters and seed, and whose results are the files of its folder with their sizes and hashes.

Files of the report are data entities. The runs lie elsewhere, so theirs are contextual ones, named
by run_id and file. No time, place or person is in it that the records do not hold: the same records
give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from benchmark.errors import SpecError
from benchmark.judge.cells import data_of
from benchmark.judge.judgement import Judgement
from benchmark.report.run_files import RunFiles
from benchmark.runs.collect import identity_hash
from benchmark.runs.run_folder import RESULT, file_sha256

NAME = "ro-crate-metadata.json"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
AUTHORS = "The meningioma-bench authors"  # of CITATION.cff, which is no part of the package
DOI = "https://doi.org/10.6084/m9.figshare.1512427"
APACHE, CC_BY = (
    "https://spdx.org/licenses/Apache-2.0",
    "https://creativecommons.org/licenses/by/4.0/",
)
FORMATS = {
    ".html": "text/html",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
    ".json": "application/json",
    ".zip": "application/zip",
}
EPOCH = "SOURCE_DATE_EPOCH"
VERSIONS = ("python", "torch", "monai", "numpy", "scipy", "cuda")  # of environment.json

Entity = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Described:
    """A report to describe: name and description of the whole; day: of its publication; titles: of
    files by their path in the folder; commands: what makes each run; licences: of what it shows, as
    @ids of `LICENCES`.
    """

    name: str
    description: str
    day: date
    titles: Mapping[str, str]
    commands: Mapping[str, str]
    licences: Sequence[str]


LICENCES: Mapping[str, Entity] = {
    APACHE: {"name": "Apache-2.0", "description": "Apache License 2.0: code and shipped records."},
    CC_BY: {"name": "CC BY 4.0", "description": "Creative Commons Attribution 4.0: the slices."},
    "#licence": {
        "name": "Not stated",
        "description": "Whoever made the runs says under which licence this report is passed on.",
    },
}


def metadata(
    folder: Path, described: Described, judgement: Judgement, files: Sequence[RunFiles]
) -> bytes:
    """Return the crate's metadata over all files of a folder, and the finished runs of a judgement
    whose files these are.
    """
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    actions = list(_actions(judgement, files, described.commands))
    root = {
        "name": described.name,
        "description": described.description,
        "datePublished": described.day.isoformat(),
        "license": [{"@id": licence} for licence in described.licences],
        "conformsTo": {"@id": PROFILE},
        "mainEntity": {"@id": "index.html"},
        "mentions": [{"@id": e["@id"]} for e in actions if e["@type"] == "CreateAction"],
    }
    if judgement.looks:  # at the records shipped here, whose authors are known
        root["creator"] = {"@id": "#authors"}
    for name, value in root.items():
        crate.root_dataset[name] = value
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        where = path.relative_to(folder).as_posix()
        crate.add_file(dest_path=where, properties=_file(path, described.titles.get(where, where)))
    for entity in [*_context(described.licences), *actions]:
        own = {name: value for name, value in entity.items() if name != "@id"}
        crate.add(ContextEntity(crate, entity["@id"], properties=own))
    text = json.dumps(crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()


def published(judgement: Judgement, files: Iterable[RunFiles]) -> date:
    """The day of a crate, in UTC: $SOURCE_DATE_EPOCH where it is set; of the records shipped here
    that of the last look at them; else that on which the last result was written; 1970-01-01 of
    nothing. `SpecError` for a variable that is no time.
    """
    if epoch := os.environ.get(EPOCH, ""):
        try:
            return datetime.fromtimestamp(int(epoch), UTC).date()
        except (ValueError, OverflowError, OSError) as error:
            raise SpecError(
                f"{EPOCH}={epoch[:80]}: is no time in seconds since 1970; mend or unset it"
            ) from error
    if judgement.looks:
        return judgement.looks[-1].date
    written = (each.folder.joinpath(RESULT).stat().st_mtime for each in files)
    return datetime.fromtimestamp(max(written, default=0), UTC).date()


def recorded(folder: Path) -> dict[str, str]:
    """The sha256 of each file that the crate of a folder names; empty without one, or of another
    kind.
    """
    try:
        graph = json.loads((folder / NAME).read_text(encoding="utf-8"))["@graph"]
        return {e["@id"]: e["sha256"] for e in graph if e["@type"] == "File"}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _file(path: Path, name: str) -> Entity:
    return {
        "name": name,
        "encodingFormat": FORMATS.get(path.suffix, "application/octet-stream"),
        "contentSize": str(path.stat().st_size),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _context(licences: Iterable[str]) -> Iterator[Entity]:
    """What every crate names: the profile, whose the software is, licences."""
    yield {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    yield {"@id": "#authors", "@type": "Organization", "name": AUTHORS}
    for licence in dict.fromkeys((APACHE, *licences)):
        yield {"@id": licence, "@type": "CreativeWork", **LICENCES[licence]}


def _actions(
    judgement: Judgement, files: Iterable[RunFiles], commands: Mapping[str, str]
) -> Iterator[Entity]:
    """Every run, then all that runs name, each once."""
    rows = judgement.collected.runs.set_index("run_id", drop=False)
    named: dict[str, Entity] = {}

    def name(entity: Entity) -> Entity:
        named.setdefault(entity["@id"], entity)
        return {"@id": entity["@id"]}

    for each in sorted(files, key=lambda each: each.run_id):
        row = rows.loc[each.run_id]
        objects = [*_inputs(row, judgement.reference.dataset_id), *_parameters(each)]
        yield {
            "@id": f"#{quote(each.run_id)}",
            "@type": "CreateAction",
            "name": each.run_id,
            "description": f"{commands[each.run_id]} ({row['device']})",
            "actionStatus": "http://schema.org/CompletedActionStatus",
            "instrument": name(_software(each.environment)),
            "object": [name(entity) for entity in objects],
            "result": [name(entity) for entity in _results(each)],
        }
    if any("isBasedOn" in entity for entity in named.values()):
        named[DOI] = {
            "@id": DOI,
            "@type": "CreativeWork",
            "name": "brain tumor dataset",
            "creditText": "Cheng, Jun (2017). brain tumor dataset. figshare.",
            "license": name({"@id": CC_BY, "@type": "CreativeWork", **LICENCES[CC_BY]}),
        }
    yield from named.values()


def _software(environment: Mapping[str, Any]) -> Entity:
    version, commit = environment.get("meningioma-bench"), environment.get("git_commit")
    others = [f"{key} {environment[key]}" for key in VERSIONS if environment.get(key)]
    changed = ", changed since" if environment.get("git_dirty") else ""
    facts = [version, commit, changed, others]
    return {
        "@id": f"#software-{identity_hash(facts)}",
        "@type": "SoftwareApplication",
        "name": "meningioma-bench",
        "softwareVersion": str(version or "unknown"),
        "identifier": f"{commit or 'no commit known'}{changed}",
        "softwareRequirements": others,
        "creator": {"@id": "#authors"},
        "license": {"@id": APACHE},
    }


def _inputs(row: pd.Series[Any], cheng: str) -> Iterator[Entity]:
    """The slices, the split and the protocol of a run."""
    slices = {
        "@id": f"#slices-{row['content_fingerprint'][:12]}",
        "@type": "CreativeWork",
        "name": data_of(row),
        "identifier": [f"dataset {row['dataset_id']}", f"content {row['content_fingerprint']}"],
    }
    own = row["dataset_id"] == cheng and not row["phantom"]
    yield slices | ({"isBasedOn": {"@id": DOI}} if own else {})
    yield {
        "@id": f"#split-{row['split_fingerprint'][:12]}",
        "@type": "CreativeWork",
        "name": f"split {row['split_id']}",
        "identifier": row["split_fingerprint"],
    }
    yield {
        "@id": f"#protocol-{row['protocol_hash']}-{row['precision']}",
        "@type": "CreativeWork",
        "name": f"protocol {row['protocol']}, {row['precision']}",
        "description": f"Beside protocol thesis, changed settings: {row['changed_settings']}",
        "identifier": row["protocol_hash"],
    }


def _parameters(each: RunFiles) -> Iterator[Entity]:
    """The arm, its parameters, the size that it was fed at and the seed, each as a value."""
    spec = each.spec["spec"]
    values = {**spec["params"], "arm": spec["arm"], "image_size": spec["shape"]}
    values |= {} if spec["seed"] is None else {"seed": spec["seed"]}
    for name, value in values.items():
        text = "x".join(map(str, value)) if isinstance(value, list) else value
        entity = {"@type": "PropertyValue", "name": name, "value": text}
        yield {"@id": f"#{quote(f'{name}-{text}', safe='')}", **entity}


def _results(each: RunFiles) -> Iterator[Entity]:
    """The result file, which holds the hashes of the others; those; and the mean Dice."""
    at, result = f"#{quote(each.run_id)}", each.folder / RESULT
    for name, digest in {RESULT: file_sha256(result), **each.result["sha256"]}.items():
        path = each.folder / name
        size = {"contentSize": str(path.stat().st_size)} if path.is_file() else {}
        yield {
            "@id": f"{at}/{quote(name)}",
            "@type": "CreativeWork",
            "name": f"{each.run_id}/{name}",
            "encodingFormat": FORMATS.get(path.suffix, "application/octet-stream"),
            "sha256": digest,
            **size,
        }
    yield {
        "@id": f"{at}/dice_mean",
        "@type": "PropertyValue",
        "name": "mean Dice over the test slices",
        "value": each.result["test"]["dice_mean"],
    }
