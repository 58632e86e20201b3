"""Each change of mutants.toml breaks the specification, and makes the test that it names fail.

`nox -s mutants` tries thousands of such changes, see docs/testing.md; these few are the worst.
"""

from __future__ import annotations

import compileall
import os
import shutil
import tomllib
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest
from bench_forms import ROOT
from forked import ended

MUTANTS = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))["mutant"]
COPIED = ("benchmark", "baselines", "reference_results", "tests")
# a misspelt test or a syntax error is neither
PASSED, FAILED = pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages and their tests; who changes a file there puts it back."""
    folder = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    # a compiled file serves as long as its source is the same, whatever the clock says
    compileall.compile_dir(folder, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    return folder


def outcome(copy: Path, tests: list[str]) -> tuple[int, str]:
    """Run tests in a process that imports the copy, unmeasured; pytest's exit code and output."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("COV", "PYTEST"))}
    variables = inherited | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    # where hypothesis is imported already, its assertions are not rewritten, and pytest warns
    words = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]
    code, out, err = ended("pytest", [*words, *tests], copy, variables)
    return code, out + err


def test_without_a_change_the_named_tests_pass_in_the_copy(copy: Path) -> None:
    """So that none of them fails below for want of a file."""
    code, printed = outcome(copy, sorted({mutant["test"] for mutant in MUTANTS}))
    assert code == PASSED, printed


def test_each_file_and_test_that_the_mutation_run_leaves_out_exists() -> None:
    """pytest passes over a name that is not there, and the run would do more than it says."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    options = settings["tool"]["mutmut"]["pytest_add_cli_args"]
    left_out = [option.partition("=")[2] for option in options if option.startswith("--")]
    assert left_out
    for file, _, test in (name.partition("::") for name in left_out):
        paths = list(ROOT.glob(file))
        assert paths, file
        assert not test or f"def {test}(" in paths[0].read_text(encoding="utf-8"), test


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant["breaks"])
def test_the_suite_notices_that(mutant: dict[str, str], copy: Path) -> None:
    file = copy / mutant["file"]
    text = file.read_text(encoding="utf-8")
    assert text.count(mutant["old"]) == 1, (
        f"{mutant['file']} must hold `old` exactly once: {mutant['old']!r}"
    )
    try:
        file.write_text(text.replace(mutant["old"], mutant["new"]), encoding="utf-8")
        code, printed = outcome(copy, [mutant["test"]])
    finally:
        file.write_text(text, encoding="utf-8")
    assert code != PASSED, (
        f"{mutant['test']} does not notice: {mutant['new']!r} for {mutant['old']!r}"
    )
    assert code == FAILED, f"pytest ended with {code}, not with a failed test:\n{printed}"
