"""Pages whose tables come from records: `python -m benchmark.judge.pages PAGE ...` fills them in anew.

Between `<!-- table: SECTION: TITLE -->` and `<!-- end -->` of a page stands the one table of a section
of the shipped records' judgement whose title starts so, and after `<!-- answers -->` its three answers.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from benchmark.collect import collect, reproduction_folder
from benchmark.errors import SpecError
from benchmark.judge.reference import load_reference, load_tolerances
from benchmark.judge.sections import SECTIONS, Judgement

PLACE = re.compile(r"(<!-- (?:answers|table: (\w+): ([^\n]+)) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(page: str, found: Judgement) -> str:
    """Return a page with every marked place filled in; `SpecError` for a table that is not there."""
    tables = {section: make(found) for section, make in SECTIONS.items()}

    def content(place: re.Match[str]) -> str:
        section, title = place[2], place[3]
        if section is None:
            text = "```\n" + "\n".join(found.answers()) + "\n```"
        else:
            named = [table for table in tables.get(section, ()) if table.title.startswith(title)]
            if len(named) != 1:
                raise SpecError(f"{len(named)} tables of section {section!r} start with {title!r}; there must be one")
            text = named[0].render("markdown")
        return f"{place[1]}{text}\n{place[4]}"

    return PLACE.sub(content, page)


def shipped() -> Judgement:
    """The judgement of the records shipped with this package."""
    return Judgement(collect(reproduction_folder()), load_reference(), load_tolerances())


if __name__ == "__main__":
    judgement = shipped()
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(fill(path.read_text(encoding="utf-8"), judgement), encoding="utf-8")
