"""Pages name what is there: rooms, files, headings, and what the thesis prints."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench_forms import ROOT

from benchmark import __version__
from benchmark.report.checklists.sheet import CHECKLISTS, load

DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *ROOT.glob("examples/*/*.md")])
TEXT = {page: page.read_text(encoding="utf-8") for page in PAGES}
THESIS = TEXT[DOCS / "thesis.md"]
PRINTED = tomllib.loads((ROOT / "reference_results" / "thesis.toml").read_text(encoding="utf-8"))
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of the table whose heading begins with this cell, without it."""
    table = text.split(f"| {first} |", 1)[1].split("\n\n", 1)[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]
    ]


def anchors(text: str) -> set[str]:
    """What a link may name in a page: its headings as code hosts and MkDocs spell them."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every number, and every list of numbers, of a TOML table by its dotted key."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}".strip("."))
    elif not isinstance(value, str) and path != "claims":
        yield path, value


def test_every_relative_link_leads_to_a_file_and_a_heading() -> None:
    broken = []
    for page, text in TEXT.items():
        for path, _, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)(#([^)\s]*))?\)", text):
            there = (page.parent / path).resolve() if path else page
            known = anchors(TEXT[there]) if anchor and there in TEXT else {anchor}
            if not there.exists() or anchor not in known:
                broken.append(f"{page.relative_to(ROOT)}: {path}#{anchor}")
    assert broken == []


def test_what_a_checklist_leads_to_is_there() -> None:
    """A page of the repository, and a heading of it where one is named."""
    leads = [item.see for slug in CHECKLISTS for item in load(slug).items if item.see]
    assert len(leads) > 30
    for lead in leads:
        path, _, anchor = lead.partition("#")
        assert not anchor or anchor in anchors(TEXT[ROOT / path]), lead
        assert ROOT / path in TEXT


def test_no_page_holds_a_mark_of_a_merge() -> None:
    marks = re.compile(r"^(<<<<<<<|=======|>>>>>>>)", re.MULTILINE)
    assert [str(page) for page in PAGES if marks.search(page.read_text(encoding="utf-8"))] == []


def test_every_file_that_a_page_names_is_there() -> None:
    """`<room>` and `<module>` stand for any; rooms of the judge are written without benchmark/."""
    named = re.compile(
        r"`((?:benchmark|baselines|tests|performance|reference_results|docs|judge)/[^` ]+)`"
    )
    for page, text in TEXT.items():
        for path in named.findall(text):
            pattern = re.sub(r"<\w+>", "*", path)
            there = [*ROOT.glob(pattern), *ROOT.glob(f"benchmark/{pattern}")]
            assert there, f"{page.relative_to(ROOT)}: {path}"


def test_the_architecture_names_every_room_in_the_order_that_lint_checks() -> None:
    named = [row[0].strip("`") for row in rows(TEXT[DOCS / "architecture.md"], "room")]
    contracts = SETTINGS["tool"]["importlinter"]["contracts"]
    (layers,) = (c["layers"] for c in contracts if c.get("containers") == ["benchmark"])
    assert [set(layer.split(" | ")) for layer in layers] == [
        {named.pop(0) for _ in layer.split(" | ")} for layer in layers
    ]
    assert named == []
    rooms = {path.parent.name for path in (ROOT / "benchmark").glob("*/__init__.py")}
    assert rooms <= {name for layer in layers for name in layer.split(" | ")}


def test_the_numbers_of_the_thesis_are_those_that_runs_are_judged_by() -> None:
    """Each once, under its key and section; and no third decimal is from anywhere else."""
    table = rows(THESIS, "key in `thesis.toml`")
    said = {key.strip("`"): number for key, _, number, _ in table}
    written = {
        key: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in leaves(PRINTED)
    }
    assert said == written
    assert len(said) == len(table)
    for key, _, _, section in table:
        part = PRINTED
        for name in key.strip("`").split(".")[:-1]:
            part = part[name]
        assert section == part["section"], key
    assert set(re.findall(r"\b0\.\d{3}\b", THESIS)) == {"0.898", "0.009", "0.231", "0.024"}


def test_the_claims_of_the_thesis_are_those_that_are_judged() -> None:
    said = [[name.strip("`"), *rest] for name, *rest in rows(THESIS, "id")]
    assert said == [list(claim.values()) for claim in PRINTED["claims"]]


def test_what_tests_cite_of_the_thesis_stands_there() -> None:
    traps = re.findall(r"^(\d+)\. \*\*", THESIS, re.MULTILINE)
    cited = {
        number
        for path in (ROOT / "tests").rglob("*.py")
        for number in re.findall(r"docs/thesis\.md, trap (\d+)", path.read_text(encoding="utf-8"))
    }
    assert cited
    assert cited <= set(traps)
    assert traps == [str(number + 1) for number in range(len(traps))]


def test_what_is_checked_before_a_commit_is_what_lint_checks() -> None:
    noxfile, hooks = (
        Path(ROOT / name).read_text(encoding="utf-8")
        for name in ("noxfile.py", ".pre-commit-config.yaml")
    )
    (pinned,) = set(re.findall(r"ruff==([\d.]+)", noxfile))
    assert f"rev: v{pinned} " in hooks


def test_the_released_version_stands_in_the_changes() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    found = re.search(r'^version: (\S+)\ndate-released: "(\S+)"$', citation, re.MULTILINE)
    assert found
    assert found[1] == __version__
    assert f"\n## {found[1]} - {found[2]}\n" in TEXT[ROOT / "CHANGELOG.md"]
