"""The rules of the house that no linter knows; who may import whom is checked by `nox -s lint`."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from bench_forms import ROOT

PACKAGES = ("benchmark", "baselines", "performance")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TEXTS = [
    path
    for pattern in ("*.md", "*.toml", "*.cff", "docs/**/*.md", "tests/**/*.py", ".github/**/*")
    for path in sorted(ROOT.glob(pattern))
    if path.is_file()
]
WITH_TORCH = (  # what needs torch as soon as it is imported; everything else starts at once
    "training",
    "network_arm",
    "preprocessing.resize",
    "inference.outline",
    "inference.ensemble",
    "inference.predict",
    "inference.marked_slices",
    "runs.prepared_data",
    "runs.runner",
)
SYSTEM = ("/proc/", "/dev/")  # paths that mean the same on every Linux


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_what_does_not_train_starts_without_torch() -> None:
    """Planning, judging, reporting and the command line answer at once."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCES
        if path.is_relative_to(ROOT / "benchmark")
    ]
    slow = tuple(f"benchmark.{name}" for name in WITH_TORCH)
    fast = [name for name in modules if not name.startswith(slow)]
    assert len(fast) > 80
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    for heavy in {'torch', 'monai'} & set(sys.modules):\n"
        "        sys.exit(f'{name} imports {heavy}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *fast], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_public_method_of_more_than_four_statements_is_explained() -> None:
    """Modules, classes and functions always are: ruff's D rules see to that."""
    mute = []
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
        methods = (m for node in classes for m in node.body if isinstance(m, ast.FunctionDef))
        for method in methods:
            long = sum(isinstance(inner, ast.stmt) for inner in ast.walk(method)) > 5
            if long and not method.name.startswith("_") and not ast.get_docstring(method):
                mute.append(f"{name_of(path)}: {method.name}")
    assert mute == []


def test_no_source_names_a_path_of_one_machine() -> None:
    found = []
    for path in [*SOURCES, ROOT / "noxfile.py"]:
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        texts = [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        absolute = [text for text in texts if re.match(r"(/[A-Za-z]\w*/|[A-Za-z]:\\\w)", text)]
        found += [f"{name_of(path)}: {text}" for text in absolute if not text.startswith(SYSTEM)]
    assert found == []


def test_no_text_names_a_path_of_one_machine() -> None:
    of_one = re.compile(r"(?<![\w.~$}])/(?:home|Users|root|tmp|mnt|opt|srv)/\w\S*")
    texts = {name_of(path): path.read_text(encoding="utf-8") for path in TEXTS}
    assert [f"{name}: {p}" for name, text in texts.items() for p in of_one.findall(text)] == []
