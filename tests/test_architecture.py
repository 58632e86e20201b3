"""The rules of the house, read off the source: who imports whom, what is explained, and no machine's paths."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from bench_forms import ROOT

SOURCES = sorted(p for package in ("benchmark", "baselines", "performance") for p in (ROOT / package).rglob("*.py"))
TEXTS = [
    path
    for pattern in ("*.md", "*.toml", "*.cff", "docs/**/*.md", "benchmark/**/*.toml", "reference_results/*.toml",
                    "tests/**/*.py",
                    "performance/*.md", ".github/**/*.yml")
    for path in sorted(ROOT.glob(pattern))
]  # fmt: skip
STARTS_FAST = ["plan", "cli", "words", "commands", "request", "collect", "record", "spec", "grid",
               "split", "protocol", "arm", "stopping", "progress", "__main__", "environment", "evaluate",
               "rescore", "metrics", "surface", "diameters", "cores", "survey", "grid_view", "grid_table",
               "model", "kept", "picture_files", "pictures", "placing", "run_files", "run_index", "audit",
               "outside", "judging", "demonstration"]  # fmt: skip
FAST_ROOMS = ["data", "judge", "report"]
HEAVY = {"torch", "monai"}
SYSTEM = ("/proc/", "/dev/")  # paths that mean the same on every Linux


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def modules_of(*packages: str) -> list[Path]:
    """The modules of some packages."""
    found = [path for path in SOURCES if path.parts[len(ROOT.parts)] in packages]
    assert len(found) > 10
    return found


@cache
def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(read(path))


def imports(nodes: list[ast.stmt] | Iterator[ast.AST]) -> set[str]:
    """Top-level packages that these nodes import."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def test_the_harness_knows_no_arm() -> None:
    """`benchmark/` never imports `baselines/`, except its composition root; nothing imports the tests."""
    found = {path: imports(ast.walk(tree_of(path))) for path in modules_of("benchmark")}
    assert [name_of(path) for path, names in found.items() if "baselines" in names] == ["benchmark/__main__.py"]
    assert [name_of(path) for path, names in found.items() if names & {"tests", "pytest", "hypothesis"}] == []


def test_nothing_needs_what_measures_its_speed() -> None:
    users = modules_of("benchmark", "baselines")
    assert [name_of(path) for path in users if "performance" in imports(ast.walk(tree_of(path)))] == []


def test_planning_and_judging_import_no_torch() -> None:
    fast = [ROOT / "benchmark" / f"{name}.py" for name in STARTS_FAST]
    fast += [path for room in FAST_ROOMS for path in sorted((ROOT / "benchmark" / room).glob("*.py"))]
    assert [name_of(path) for path in fast if imports(tree_of(path).body) & HEAVY] == []


def test_arms_are_named_without_being_imported() -> None:
    assert imports(tree_of(ROOT / "baselines" / "__init__.py").body) == {"benchmark"}


def public(tree: ast.Module) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    """Public classes and functions of a module; short methods explain themselves."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node
            for inner in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_") and lines(inner) > 4:
                    yield inner


def lines(node: ast.ClassDef | ast.FunctionDef) -> int:
    return (node.body[-1].end_lineno or 0) - node.body[0].lineno + 1


def test_what_is_public_is_explained() -> None:
    """Every module of ours, its public classes and functions, and their public methods of more than four lines."""
    mute = []
    for path in modules_of("benchmark", "performance"):
        tree = tree_of(path)
        nodes = [node.name for node in public(tree) if not ast.get_docstring(node) and lines(node) > 1]
        mute += [f"{name_of(path)}: {name}" for name in ([] if ast.get_docstring(tree) else ["the module"]) + nodes]
    assert mute == []


def test_no_source_names_a_path_of_one_machine() -> None:
    found = []
    for path in [*SOURCES, ROOT / "noxfile.py"]:
        texts = [n.value for n in ast.walk(tree_of(path)) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        absolute = [text for text in texts if re.match(r"(/[A-Za-z]\w*/|[A-Za-z]:\\\w)", text)]
        found += [f"{name_of(path)}: {text}" for text in absolute if not text.startswith(SYSTEM)]
    assert found == []


def test_no_text_names_a_path_of_one_machine() -> None:
    of_one = re.compile(r"(?<![\w.~$}])/(?:home|Users|root|tmp|mnt|opt|srv)/\w\S*")
    found = [f"{name_of(path)}: {place}" for path in TEXTS for place in of_one.findall(read(path))]
    assert found == []


def test_no_module_outgrows_a_sitting() -> None:
    lengths = {name_of(path): len(read(path).splitlines()) for path in SOURCES}
    assert {name: length for name, length in lengths.items() if length > 260} == {}


def test_every_file_stands_in_the_picture() -> None:
    """docs/architecture.md names each module of benchmark/, judge/ and report/; other rooms as folders."""
    picture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = picture[: picture.index("## The road")]
    rooms = (ROOT / "benchmark", ROOT / "benchmark" / "judge", ROOT / "benchmark" / "report")
    modules = [path for room in rooms for path in room.glob("*.py")]
    missing = [p.name for p in sorted(modules) if p.name != "__init__.py" and p.name not in table]
    assert missing == []


def rows_of_the_picture() -> dict[str, int]:
    """Module name -> row of docs/architecture.md's table that names it."""
    picture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found: dict[str, int] = {}
    for row, line in enumerate(picture[: picture.index("## The road")].splitlines()):
        room = Path("benchmark")
        for name in re.findall(r"`([\w/.*]+\.py)`", line.split("|")[1] if line.startswith("| `") else ""):
            path = Path(name)
            if len(path.parts) > 1:
                room = path.parent if path.parts[0] in ("benchmark", "baselines") else Path("benchmark") / path.parent
            for module in ROOT.glob(str(room / path.name)):
                found.setdefault(".".join(module.relative_to(ROOT).with_suffix("").parts), row)
    return found


def test_imports_point_upwards_in_the_picture() -> None:
    """What a module imports when it is loaded stands in its own row of the table or in one above."""
    row = rows_of_the_picture()
    assert len(row) > 100
    down = []
    for module, place in row.items():
        for node in tree_of(ROOT.joinpath(*module.split(".")).with_suffix(".py")).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                names = (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
                down += [f"{module} -> {name}" for name in names if row.get(name, -1) > place]
    assert down == []
