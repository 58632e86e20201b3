"""The crate of a report, by the rules of RO-Crate 1.1 and its profile, and by its library."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from bench_forms import ROOT
from rocrate.rocrate import ROCrate
from run_records import halves, squares, terms, varied, write_run

from benchmark.errors import SpecError
from benchmark.judge.judgement import Judgement
from benchmark.judge.shipped import shipped
from benchmark.report.crate import (
    APACHE,
    AUTHORS,
    CC_BY,
    DOI,
    EPOCH,
    NAME,
    PROFILE,
    Described,
    metadata,
    published,
    recorded,
)
from benchmark.report.run_files import read
from benchmark.runs.collect import collect, reproduction_folder

Patch = pytest.MonkeyPatch
SLICES = squares()
HOSTILE = {"alpha": 0.5, "kernel_size": 5, "a b#%c": "d?e é"}
FILES = {"index.html": b"<p>", "figures/a b.csv": b"x\n1\n", "claim-2024.md": b"# CLAIM"}


@pytest.fixture(autouse=True)
def _no_day(monkeypatch: Patch) -> None:
    monkeypatch.delenv(EPOCH, raising=False)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two seeds, a lower precision, and parameters whose names no @id can hold as they are."""
    root = tmp_path / "runs"
    for seed in (1, 2):
        write_run(root, SLICES, halves(SLICES), seed=seed)
    write_run(root, SLICES, halves(SLICES), recipe=varied(training__precision="bf16"))
    write_run(root, SLICES, halves(SLICES), params=HOSTILE)
    return root


@pytest.fixture
def report(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "report" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "report"


def crate(report: Path, runs: Path, *, cheng: bool = False) -> bytes:
    """The metadata; cheng: as if these slices were Cheng's."""
    collected = collect(runs)
    reference, tolerances = terms()
    if cheng:
        reference = replace(reference, dataset_id=SLICES.dataset_id)
    judgement = Judgement(collected, reference, tolerances)
    commands = dict.fromkeys(collected.runs["run_id"], "python -m benchmark reproduce")
    files = read(runs, collected.runs["run_id"])
    day, titles = published(judgement, files), {"index.html": "Page"}
    described = Described("A report", "Of runs.", day, titles, commands, ["#licence"])
    return metadata(report, described, judgement, files)


def graph(data: bytes) -> dict[str, Any]:
    """The entities by @id, of which none is there twice."""
    entities = json.loads(data)["@graph"]
    named = {entity["@id"]: entity for entity in entities}
    assert len(named) == len(entities)
    return named


def references(value: Any) -> Iterator[str]:
    """The @id of everything that a value points to."""
    if isinstance(value, dict):
        yield value["@id"]
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_it_keeps_the_rules_of_ro_crate(report: Path, runs: Path) -> None:
    """RO-Crate 1.1, "Root Data Entity": a descriptor that says of what it is, and a root with its
    five properties; and everything that is pointed to is described.
    """
    data = crate(report, runs)
    entities = graph(data)
    assert json.loads(data)["@context"] == "https://w3id.org/ro/crate/1.1/context"
    descriptor, root = entities[NAME], entities["./"]
    assert descriptor["@type"] == "CreativeWork"
    assert descriptor["about"] == {"@id": "./"}
    assert descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert root["@type"] == "Dataset"
    assert root["name"]
    assert root["description"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", root["datePublished"])
    for licence in references(root["license"]):
        assert entities[licence]["name"]
        assert entities[licence]["description"]
    pointed = {
        there
        for entity in entities.values()
        for name, value in entity.items()
        if name[0] != "@"
        for there in references(value)
    }
    assert pointed - set(entities) == {"https://w3id.org/ro/crate/1.1"}
    assert all(re.fullmatch(r"[\w./#:%-]+", there) for there in entities)


def test_it_keeps_the_rules_of_its_profile(report: Path, runs: Path) -> None:
    """Process Run Crate 0.5, "Requirements": what must be, and what should that is known."""
    entities = graph(crate(report, runs))
    assert entities["./"]["conformsTo"] == {"@id": PROFILE}
    assert entities[PROFILE]["@type"] == "CreativeWork"
    actions = {i: e for i, e in entities.items() if e["@type"] == "CreateAction"}
    assert set(references(entities["./"]["mentions"])) == set(actions)
    assert {action["name"] for action in actions.values()} == set(collect(runs).runs["run_id"])
    for action in actions.values():
        (tool,) = references(action["instrument"])
        assert entities[tool]["@type"] == "SoftwareApplication"
        assert entities[tool]["name"] == "meningioma-bench"
        assert entities[tool]["softwareVersion"]
        kinds = {entities[there]["@type"] for there in references(action["object"])}
        assert kinds == {"CreativeWork", "PropertyValue"}
        assert "python -m benchmark reproduce" in action["description"]
        assert not {"agent", "startTime", "endTime"} & set(action)  # no record holds them


def test_the_librarys_own_reader_finds_every_file_as_it_is(report: Path, runs: Path) -> None:
    """Warnings are errors here; sizes and hashes are counted anew."""
    (report / NAME).write_bytes(crate(report, runs))
    read_back = ROCrate(report)
    found = {entity.id: entity for entity in read_back.data_entities}
    assert set(found) == {"index.html", "figures/a%20b.csv", "claim-2024.md"}
    for name, data in FILES.items():
        entity = found[name.replace(" ", "%20")]
        assert entity["sha256"] == hashlib.sha256(data).hexdigest()
        assert entity["contentSize"] == str(len(data))
    assert found["index.html"]["name"] == "Page"
    assert read_back.mainEntity.id == "index.html"
    assert recorded(report)["claim-2024.md"] == sha256(report / "claim-2024.md")


def test_the_files_of_each_run_are_named_with_their_hashes(report: Path, runs: Path) -> None:
    entities = graph(crate(report, runs))
    files = [e for e in entities.values() if "sha256" in e and e["@id"][0] == "#"]
    assert len(files) == 3 * 4
    for entity in files:
        path = runs / entity["name"]
        assert entity["sha256"] == sha256(path)
        assert entity["contentSize"] == str(path.stat().st_size)
    dice = [e["value"] for e in entities.values() if e["@id"].endswith("/dice_mean")]
    assert sorted(dice) == sorted(collect(runs).runs["test.dice_mean"])
    values = {(e["name"], e["value"]) for e in entities.values() if e["@type"] == "PropertyValue"}
    assert {("seed", 1), ("seed", 2), ("image_size", "512x512"), ("a b#%c", "d?e é")} < values


def test_the_same_records_give_the_same_bytes(report: Path, runs: Path, tmp_path: Path) -> None:
    """Made again, and of a copy elsewhere; one more run makes others. No path is in it."""
    made = crate(report, runs)
    assert crate(report, runs) == made
    shutil.copytree(runs, tmp_path / "elsewhere")
    assert crate(report, tmp_path / "elsewhere") == made
    assert str(tmp_path).encode() not in made
    write_run(runs, SLICES, halves(SLICES), seed=3)
    assert crate(report, runs) != made


def test_cheng_is_named_for_his_slices_alone(report: Path, runs: Path) -> None:
    entities = graph(crate(report, runs, cheng=True))
    assert entities[DOI]["license"] == {"@id": CC_BY}
    assert "Cheng, Jun (2017)" in entities[DOI]["creditText"]
    assert DOI not in graph(crate(report, runs))


def test_its_day_is_the_last_results_or_the_one_that_is_given(
    report: Path, runs: Path, monkeypatch: Patch
) -> None:
    """https://reproducible-builds.org/specs/source-date-epoch/: seconds since 1970, in UTC."""
    results = sorted(runs.glob("*/result.json"))
    for n, path in enumerate(results):
        os.utime(path, (86400 * n, 86400 * n))
    assert graph(crate(report, runs))["./"]["datePublished"] == "1970-01-04"
    monkeypatch.setenv(EPOCH, "86400")
    assert graph(crate(report, runs))["./"]["datePublished"] == "1970-01-02"
    monkeypatch.setenv(EPOCH, "yesterday")
    with pytest.raises(SpecError, match="SOURCE_DATE_EPOCH=yesterday: is no time"):
        crate(report, runs)


def test_of_the_shipped_records_the_authors_are_known(report: Path) -> None:
    judgement = shipped()
    run_ids = judgement.collected.runs["run_id"]
    files, commands = read(reproduction_folder(), run_ids), dict.fromkeys(run_ids, "command")
    day = published(judgement, files)
    described = Described("Name", "Words", day, {}, commands, [APACHE])
    entities = graph(metadata(report, described, judgement, files))
    assert entities["./"]["creator"] == {"@id": "#authors"}
    assert entities["./"]["datePublished"] == judgement.looks[-1].date.isoformat()
    assert day > date(2026, 1, 1)
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nauthors:\n  - name: {AUTHORS}\n" in citation
    assert f"\nlicense: {entities[APACHE]['name']}\n" in citation
    assert f"\n    doi: {DOI.removeprefix('https://doi.org/')}\n" in citation


def test_what_is_no_crate_records_nothing(tmp_path: Path) -> None:
    assert recorded(tmp_path) == {}
    for text in ("", "[]", "{}", '{"@graph": [{}]}', "\xff"):
        (tmp_path / NAME).write_text(text, encoding="latin-1")
        assert recorded(tmp_path) == {}
