"""One HTML file from what was judged and plotted: it opens from disk and asks no network. Pure.

Text from runs (arms' names, notes, captions) is escaped by the template, JSON inside a script
element too. The page's own policy forbids every request, and every script but its own, whose hash
it names.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache, partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from benchmark import __version__
from benchmark.report.figure import FORMS
from benchmark.report.page.contents import Content, placed
from benchmark.report.page.html_table import SIGNS, css_class, html_table

STRICT_JSON = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}


def render(content: Content) -> str:
    """Return the whole page. The same content gives the same text.

    Raises `ValueError` where the gallery holds NaN or infinity, which JSON cannot: give null.
    """
    script, style = _text("page.js"), _text("page.css")
    tables = [table for part in content.parts for table in part.tables]
    page = _template().render(
        content=content,
        html_tables={table: html_table(table, f"table-{n}") for n, table in enumerate(tables, 1)},
        placed=partial(placed, drawings=content.drawings),
        css_class=css_class,
        signs=SIGNS,
        forms=FORMS,
        style=Markup(style),
        script=Markup(script),
        policy=policy(script),
        version=__version__,
    )
    return page.rstrip() + "\n"


def policy(script: str) -> str:
    """The page's Content-Security-Policy: its own pictures, one script, nothing from elsewhere.

    Styles must be free: every mark of a drawing carries its own.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _text(name: str) -> str:
    return files("benchmark.report.page").joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    tidy: dict[str, Any] = {
        "trim_blocks": True,
        "lstrip_blocks": True,
        "undefined": StrictUndefined,
    }
    environment = Environment(loader=FunctionLoader(_text), autoescape=True, **tidy)
    environment.policies["json.dumps_kwargs"] = STRICT_JSON
    return environment.get_template("page.html.j2")
