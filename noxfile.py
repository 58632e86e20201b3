"""Every job of this project: `nox -l` lists them, `nox -s NAME -- OPTIONS` runs one.

All jobs but lint, docs, mutants and speed share one environment, `.nox/bench`, made from
`constraints.txt` at the first call and reused until that file or `pyproject.toml` changes. Mutants
and speed have their own beside it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["tests"]
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent


def environment(session: nox.Session, name: str = "bench", extras: str = "test,types") -> str:
    """Make or reuse an environment, the shared one by default; return its Python."""
    folder = ROOT / ".nox" / name
    python = str(folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    wanted = hashlib.sha256(
        (ROOT / "pyproject.toml").read_bytes()
        + (ROOT / "constraints.txt").read_bytes()
        + sys.version.encode()
    ).hexdigest()
    stamp = folder / "made-from"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        session.log(f"making the environment {folder.relative_to(ROOT)} (once; a few minutes)")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [
            "install",
            "-q",
            "--disable-pip-version-check",
            "-c",
            "constraints.txt",
            "-e",
            f".[{extras}]",
        ]
        session.run(python, "-m", "pip", *install, external=True)
        stamp.write_text(wanted, encoding="utf-8")
    return python


def benchmark(session: nox.Session, verb: str) -> None:
    """Run one verb of the command line with the words after `--`."""
    session.run(environment(session), "-m", "benchmark", verb, *session.posargs, external=True)


@nox.session(venv_backend="none")
def reproduce(session: nox.Session) -> None:
    """Rerun the thesis's grid on the slices given with --data; without, a demonstration:
    report-quick/index.html.
    """
    benchmark(session, "reproduce")


@nox.session(venv_backend="none", default=False)
def plan(session: nox.Session) -> None:
    """Show the grid that reproduce would run with the same options: states and the time left; runs
    nothing.
    """
    benchmark(session, "plan")


@nox.session(venv_backend="none", default=False)
def compare(session: nox.Session) -> None:
    """Judge your runs, or the records shipped here, against the thesis's printed numbers."""
    benchmark(session, "compare")


@nox.session(venv_backend="none", default=False)
def report(session: nox.Session) -> None:
    """Write one self-contained page and the thesis's figures: report/index.html; --data PATH adds
    pictures.
    """
    benchmark(session, "report")


@nox.session(venv_backend="none", default=False)
def audit(session: nox.Session) -> None:
    """Measure how many test slices of each split have their patient, or a neighbour, in
    training.
    """
    benchmark(session, "audit")


@nox.session(venv_backend="none", default=False)
def score(session: nox.Session) -> None:
    """Judge another tool from a folder of its masks: -- FOLDER --split by-image-1 --data PATH."""
    benchmark(session, "score")


@nox.session(venv_backend="none", default=False)
def pages(session: nox.Session) -> None:
    """Make the tables and figures of README.md and docs/findings.md anew from the records; --data
    PATH: slices too.
    """
    python = environment(session)
    words = ["-m", "benchmark.report.docs_pages", "README.md", "docs/findings.md", *session.posargs]
    session.run(python, *words, external=True)


@nox.session(venv_backend="none", default=False)
def speed(session: nox.Session) -> None:
    """Time our training beside Lightning with TorchIO or MONAI transforms; adds to
    performance/RESULTS.md.
    """
    session.run(
        environment(session, "speed", "speed"), "-m", "performance", *session.posargs, external=True
    )


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run pytest -m "not gpu" in as many processes as there are cores; your options after -- go
    before these.
    """
    words = ["-m", "pytest", "-n", "auto", "--dist", "worksteal", "-m", "not gpu"]
    session.run(environment(session), *words, *session.posargs, external=True)


@nox.session(venv_backend="none", default=False)
def gpu(session: nox.Session) -> None:
    """Run the tests that need a CUDA card; each skips itself with a reason where there is none."""
    session.run(environment(session), "-m", "pytest", "-m", "gpu", *session.posargs, external=True)


@nox.session(venv_backend="none", default=False)
def mutants(session: nox.Session) -> None:
    """Break the source in one place after another; count what tests notice. Some hours, resumable:
    docs/testing.md.
    """
    session.run(
        environment(session, "mutants", "test,mutants"),
        "tests/mutation.py",
        *session.posargs,
        external=True,
    )


@nox.session(default=False)
def lint(session: nox.Session) -> None:
    """Check style with ruff and CITATION.cff against its schema."""
    session.install("-q", "ruff==0.17.6", "cffconvert==2.0.0")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("cffconvert", "--validate")


@nox.session(venv_backend="none", default=False)
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    session.run(environment(session), "-m", "mypy", external=True)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the pages as a site, strictly: site/index.html. The code is read, not imported."""
    extras = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]
    session.install("-q", "-c", "constraints.txt", "ruff==0.17.6", *extras["docs"])
    session.run("mkdocs", "build", "--strict", "-q")
