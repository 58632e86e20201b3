"""Pages whose tables come from records: `python -m benchmark.judge.pages PAGE ...` fills them in anew.

Between `<!-- table: SECTION N -->` and `<!-- end -->` of a page stands the N-th table (from 1) of
a section of the shipped records' judgement, and after `<!-- answers -->` its three answers.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from benchmark.collect import collect, reproduction_folder
from benchmark.errors import SpecError
from benchmark.judge.reference import load_reference, load_tolerances
from benchmark.judge.sections import SECTIONS, Judgement

PLACE = re.compile(r"(<!-- (answers|table: (\w+) (\d+)) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(page: str, found: Judgement) -> str:
    """Return a page with every marked place filled in; `SpecError` for a table that is not there."""

    def content(place: re.Match[str]) -> str:
        section, number = place[3], place[4]
        if section is None:
            text = "```\n" + "\n".join(found.answers()) + "\n```"
        else:
            tables = SECTIONS[section](found) if section in SECTIONS else ()
            if not 0 < int(number) <= len(tables):
                raise SpecError(f"there is no table {number} in section {section!r}; it has {len(tables)}")
            text = tables[int(number) - 1].render("markdown")
        return f"{place[1]}{text}\n{place[5]}"

    return PLACE.sub(content, page)


def shipped() -> Judgement:
    """The judgement of the records shipped with this package."""
    return Judgement(collect(reproduction_folder()), load_reference(), load_tolerances())


if __name__ == "__main__":
    judgement = shipped()
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(fill(path.read_text(encoding="utf-8"), judgement), encoding="utf-8")
