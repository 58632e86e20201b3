"""`nox -s mutants`: mutmut changes the source in one place after another; the suite must notice.

mutmut keeps what it learned in the folder mutants/, so a run that was stopped goes on. This script
chooses the mutants, writes the table of docs/testing.md, and each survivor's change to
mutants/survivors/MODULE.md.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import binomtest
from tabulate import tabulate

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "mutants"
PAGE = ROOT / "docs" / "testing.md"
PLACE = re.compile(r"(<!-- mutants -->\n).*?(<!-- end -->)", re.DOTALL)
SEED = 12  # of the sample
# few and quick: makes all mutants and times all tests, so that the others have names
FIRST = "benchmark.training.early_stopping.*"
SURVIVED = ("survived", "no tests", "suspicious")


@dataclass(frozen=True)
class Module:
    """The mutants of one source file. states: what came of each, None where not tried yet."""

    name: str
    states: dict[str, str | None]

    @property
    def survivors(self) -> list[str]:
        return [name for name, state in self.states.items() if state in SURVIVED]

    def sample(self, size: int | None) -> list[str]:
        """The first so many in a fixed order, so a larger sample holds a smaller one; None: all."""
        names = sorted(self.states)
        random.Random(f"{SEED} {self.name}").shuffle(names)
        return names[:size]


def modules() -> list[Module]:
    """Read what mutmut wrote."""
    from mutmut.stats import status_by_exit_code

    tried = []
    for path in sorted(WORK.glob("benchmark/**/*.py.meta")):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        states = {k: None if v is None else status_by_exit_code[v] for k, v in codes.items()}
        name = path.relative_to(WORK / "benchmark").as_posix().removesuffix(".py.meta")
        tried.append(Module(name, states))
    return [module for module in tried if module.states]


def run(names: list[str], children: int) -> None:
    """Try these mutants anew; all that were not tried yet where names is empty."""
    WORK.mkdir(exist_ok=True)  # an import path that is not there when Python starts stays unseen
    settings = {"PYTHONPATH": str(WORK), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    mutmut = Path(sys.executable).with_name("mutmut")
    command = [mutmut, "run", "--max-children", str(children), *names]
    subprocess.run(command, cwd=ROOT, env=os.environ | settings, check=True)


def table(all_modules: list[Module]) -> str:
    """Per module: mutants, how many were tried and survived, and the share that was noticed."""
    rows, noticed_of_all, of_all = [], 0.0, 0
    for module in all_modules:
        tried = sum(state is not None for state in module.states.values())
        if not tried:
            continue
        noticed = tried - len(module.survivors)
        low, high = binomtest(noticed, tried).proportion_ci(method="wilson")
        interval = "" if tried == len(module.states) else f"{low:.0%} to {high:.0%}"
        counts = [len(module.states), tried, len(module.survivors)]
        rows.append([module.name, *counts, f"{noticed / tried:.0%}", interval])
        noticed_of_all += noticed / tried * len(module.states)
        of_all += len(module.states)
    sums = [sum(row[column] for row in rows) for column in (1, 2, 3)]
    share = f"{noticed_of_all / of_all:.0%}" if of_all else ""
    rows.append(["all, by their mutants", *sums, share, ""])
    headers = ["module", "mutants", "tried", "survived", "noticed", "95 % interval"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def write_survivors(all_modules: list[Module]) -> None:
    """Write the change of each survivor to mutants/survivors/MODULE.md."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    for module in all_modules:
        path = WORK / "survivors" / f"{module.name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        changes = []
        for name in module.survivors:
            change = get_diff_for_mutant(name, path=f"benchmark/{module.name}.py").strip()
            changes.append(f"## {name}: {module.states[name]}\n\n```diff\n{change}\n```\n")
        path.write_text("\n".join(changes), encoding="utf-8")


def main() -> None:
    """Try mutants, then write the table and the survivors; with --report, only write."""
    parser = argparse.ArgumentParser(prog="nox -s mutants --", description=main.__doc__)
    add = parser.add_argument
    add("modules", nargs="*", default=["*"], help="such as losses or judge/*; all by default")
    chosen = "N mutants of each module, drawn with a fixed seed"
    add("--sample", type=int, metavar="N", help=chosen)
    again = "try the survivors again, and nothing else"
    add("--again", action="store_true", help=again)
    add("--report", action="store_true", help="try nothing, write what is known")
    children = "processes; one per core by default"
    add("--children", type=int, default=os.cpu_count() or 1, help=children)
    options = parser.parse_args()
    os.chdir(ROOT)  # where mutmut reads its settings
    if not options.report:
        if not (WORK / "mutmut-stats.json").is_file():
            run([FIRST], options.children)
        names = []
        for module in modules():
            if not any(fnmatch.fnmatch(module.name, glob) for glob in options.modules):
                continue
            untried = [n for n in module.sample(options.sample) if module.states[n] is None]
            names += module.survivors if options.again else untried
        if names:
            run(names, options.children)
    known = modules()
    write_survivors(known)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(PLACE.sub(lambda m: f"{m[1]}{table(known)}\n{m[2]}", page), encoding="utf-8")
    print(table(known))


if __name__ == "__main__":
    main()
