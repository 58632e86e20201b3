"""MkDocs hook: README and its neighbours become pages; links out of docs/ lead to copies.

In the repository the same links work as they stand. A link to a folder becomes its text: a site has
no listing of folders.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<path>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")
PICTURE = re.compile(r"(?<=\]\()docs/(?=figures/)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie outside docs/, and every file that a page links to."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    wanted = set()
    for page in files.documentation_pages():
        for link in LINK.finditer(page.content_string):
            wanted.add(_target(page.src_uri, link["path"]))
    for path in sorted(wanted):
        if (ROOT / path).is_file() and _uri(path).startswith("source/"):
            files.append(File.generated(config, _uri(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links of the repository into links of the site."""

    def turned(link: re.Match[str]) -> str:
        path = _target(page.file.src_uri, link["path"])
        if (ROOT / path).is_dir():
            return link["text"]
        uri = posixpath.relpath(_uri(path), posixpath.dirname(page.file.src_uri) or ".")
        return f"[{link['text']}]({uri}{link['anchor'] or ''})"

    return PICTURE.sub("", LINK.sub(turned, markdown))


def _target(page: str, link: str) -> str:
    """The path in the repository that a link of a page names."""
    outside = {uri: source for source, uri in PAGES.items()}
    return posixpath.normpath(
        posixpath.join(posixpath.dirname(outside.get(page, f"docs/{page}")), link)
    )


def _uri(path: str) -> str:
    """Where a file of the repository lies in the site: code as text, which browsers show."""
    if path in PAGES:
        return PAGES[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"source/{path}.txt"
