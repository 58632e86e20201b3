"""Every job of this project: `nox -l` lists them, `nox -s NAME -- OPTIONS` runs one.

All jobs but lint, docs, mutants and speed share one environment, `.nox/bench`, made from
`constraints.txt` at the first call and reused until that file or `pyproject.toml` changes. Mutants
and speed have their own beside it. Packages with arms of yours come into it where `BENCH_PLUGINS`
names their folders, separated as in PATH: again whenever it is made anew, and where that list or
one's `pyproject.toml` changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["tests"]
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
job = partial(nox.session, venv_backend="none", default=False)  # nox shares no environment itself


def python(
    session: nox.Session, *arguments: str, name: str = "bench", extras: str = "test,types"
) -> None:
    """Run Python with these arguments in an environment, which is made anew if need be.

    Installing where nothing changed would take every call 14 s (6 s of a core), hence the stamp.
    """
    packages = plugins(session) if name == "bench" else []
    folder = ROOT / ".nox" / name
    executable = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    made_from = b"".join((ROOT / f).read_bytes() for f in ("pyproject.toml", "constraints.txt"))
    wanted = hashlib.sha256(made_from + sys.version.encode()).hexdigest()
    pip = (str(executable), "-m", "pip", "install", "-q", "--disable-pip-version-check")
    install = partial(session.run, *pip, "-c", "constraints.txt", external=True)
    stamp = folder / "made-from"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        session.log(f"making the environment {folder.relative_to(ROOT)} (once; a few minutes)")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install("-e", f".[{extras}]")
        stamp.write_text(wanted, encoding="utf-8")
    about = b"".join(bytes(p) + (p / "pyproject.toml").read_bytes() for p in packages)
    wanted, stamp = hashlib.sha256(about).hexdigest(), folder / "plugins"
    if packages and (not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted):
        session.log(f"installing {', '.join(map(str, packages))} (BENCH_PLUGINS)")
        install(*(word for package in packages for word in ("-e", str(package))))
        stamp.write_text(wanted, encoding="utf-8")
    session.run(str(executable), *arguments, external=True)


def plugins(session: nox.Session) -> list[Path]:
    """The folders of packages that BENCH_PLUGINS names; ends the session where one is none."""
    names = [name for name in os.environ.get("BENCH_PLUGINS", "").split(os.pathsep) if name]
    folders = {name: ROOT / Path(name).expanduser() for name in names}
    for name, folder in folders.items():
        if not (folder / "pyproject.toml").is_file():
            session.error(f"BENCH_PLUGINS: {name}: no pyproject.toml is there; mend the path")
    return list(folders.values())


def benchmark(session: nox.Session, verb: str) -> None:
    """Run one verb of the command line with the options after `--`."""
    python(session, "-m", "benchmark", verb, *session.posargs)


@job(default=True)
def reproduce(session: nox.Session) -> None:
    """Rerun the thesis's grid on the slices given with --data; without, a demonstration:
    report-quick/index.html.
    """
    benchmark(session, "reproduce")


@job()
def plan(session: nox.Session) -> None:
    """Show the grid that reproduce would run with the same options: states and the time left; runs
    nothing.
    """
    benchmark(session, "plan")


@job()
def evidence(session: nox.Session) -> None:
    """Run the plan of the evidence (reference_results/plan.toml) where it stopped; nox -s plan --
    --evidence lists it.
    """
    python(session, "-m", "benchmark", "reproduce", "--evidence", *session.posargs)


@job()
def compare(session: nox.Session) -> None:
    """Judge your runs, or the records shipped here, against the thesis's printed numbers."""
    benchmark(session, "compare")


@job()
def report(session: nox.Session) -> None:
    """Write one self-contained page and the thesis's figures: report/index.html; --data PATH adds
    pictures.
    """
    benchmark(session, "report")


@job()
def arms(session: nox.Session) -> None:
    """List the arms; -- --check my-arm --arm-file my_arm.py tries a network of yours in seconds."""
    benchmark(session, "arms")


@job()
def audit(session: nox.Session) -> None:
    """Measure how many test slices of each split have their patient, or a neighbour, in
    training.
    """
    benchmark(session, "audit")


@job()
def score(session: nox.Session) -> None:
    """Judge another tool from a folder of its masks: -- FOLDER --split by-image-1 --data PATH."""
    benchmark(session, "score")


@job()
def pages(session: nox.Session) -> None:
    """Make the tables and figures of README.md and docs/findings.md, and the shipped model's card,
    anew from the records; --data PATH: slices too.
    """
    pages = ("README.md", "docs/findings.md")
    python(session, "-m", "benchmark.report.docs_pages", *pages, *session.posargs)
    python(session, "-m", "benchmark.exports.model")


@job()
def power(session: nox.Session) -> None:
    """Simulate how often each claim is confirmed or contradicted: reference_results/power.csv."""
    python(session, "-m", "benchmark.judge.claims.power", *session.posargs)


@job()
def speed(session: nox.Session) -> None:
    """Time our training beside Lightning with TorchIO or MONAI transforms; adds to
    performance/RESULTS.md.
    """
    python(session, "-m", "performance", *session.posargs, name="speed", extras="speed")


@job(default=True)
def tests(session: nox.Session) -> None:
    """Run pytest -m "not gpu" in as many processes as there are cores; your options after -- go
    before these.
    """
    usual = ("-n", "auto", "--dist", "worksteal", "-m", "not gpu")
    python(session, "-m", "pytest", *usual, *session.posargs)


@job()
def gpu(session: nox.Session) -> None:
    """Run the tests that need a CUDA card; each skips itself with a reason where there is none."""
    python(session, "-m", "pytest", "-m", "gpu", *session.posargs)


@job()
def mutants(session: nox.Session) -> None:
    """Break the source in one place after another; count what tests notice. Some hours, resumable:
    docs/testing.md.
    """
    python(session, "tests/mutation.py", *session.posargs, name="mutants", extras="test,mutants")


@nox.session(default=False)
def lint(session: nox.Session) -> None:
    """Check style with ruff and CITATION.cff against its schema."""
    session.install("-q", "ruff==0.17.6", "cffconvert==2.0.0", "import-linter==2.17")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-logo", env={"PYTHONPATH": "."})
    session.run("cffconvert", "--validate")


@job()
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    python(session, "-m", "mypy")


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the pages as a site, strictly: site/index.html. The code is read, not imported."""
    extras = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]
    session.install("-q", "-c", "constraints.txt", "ruff==0.17.6", *extras["docs"])
    session.run("mkdocs", "build", "--strict", "-q")
