"""Computed text held to stored text: words exactly, numbers as far as two processors agree."""

from __future__ import annotations

import re
from decimal import Decimal

NUMBER = re.compile(r"(?<![\w.])([-+]?\d+(?:\.\d+)?(?:e[-+]\d+)?)")
MARK = re.compile(r'(?:(?<= id=")|(?<=url\(#)|(?<=href="#))[^")]+')  # of an SVG; some are hashes
SVG_POINTS = Decimal("0.01")  # 1/7200 of an inch


def apart(stored: str, computed: str, least: Decimal = Decimal(0)) -> list[str]:
    """What differs; nothing where the words are the same and each number lies as near as it must.

    A number with decimals may be off by one unit of the last digit printed, or by `least` where
    that is more; a whole number by `least`. How wide the columns of a table are does not count.
    """
    ours, theirs = (NUMBER.split(_narrow(text)) for text in (stored, computed))
    if ours[::2] != theirs[::2]:
        pairs = enumerate(zip(ours[::2], theirs[::2], strict=False))
        i = next((i for i, (a, b) in pairs if a != b), min(len(ours), len(theirs)) // 2)
        return [" -> ".join(repr("".join(words[2 * i : 2 * i + 9])) for words in (ours, theirs))]
    return [
        f"{a} -> {b}, after {before[-40:]!r}"
        for before, a, b in zip(ours[::2], ours[1::2], theirs[1::2], strict=False)
        if abs(Decimal(a) - Decimal(b)) > max(least, min(_unit(a), _unit(b)))
    ]


def svg_apart(stored: str, computed: str) -> list[str]:
    """What differs between drawings: structure and text, coordinates by more than `SVG_POINTS`."""
    return apart(_numbered(stored), _numbered(computed), SVG_POINTS)


def _narrow(text: str) -> str:
    return re.sub(r"[ \t]+", " ", re.sub(r"-{3,}", "---", text))


def _unit(number: str) -> Decimal:
    """One of the last digit printed; nothing for a whole number, which was counted."""
    exponent = Decimal(number).as_tuple().exponent
    assert isinstance(exponent, int)
    return Decimal(1).scaleb(exponent) if re.search(r"[.e]", number) else Decimal(0)


def _numbered(svg: str) -> str:
    """The marks of an SVG by their order."""
    names: dict[str, str] = {}
    return MARK.sub(lambda match: names.setdefault(match[0], f"mark {len(names)}"), svg)
