"""Patterns that everybody knows, from the RLE files in the folder ``patterns``."""

from __future__ import annotations

__all__ = ("classic", "classics")

import re
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

from aconcur.life._errors import UnknownPatternError
from aconcur.life._pattern import Pattern
from aconcur.life._rle import read_rle

_FOLDER = files("aconcur.life") / "patterns"


@cache
def classics() -> tuple[str, ...]:
    """Return the names that :func:`classic` knows, in alphabetical order."""
    names = (file.name for file in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".rle") for name in names if name.endswith(".rle")))


def classic(name: str) -> Pattern:
    """Return a well-known pattern: ``classic("gosper-glider-gun")``.

    Args:
        name: one of :func:`classics`; capitals, spaces, hyphens and apostrophes are free.

    Raises:
        UnknownPatternError: there is none of that name; names those that are like it.
    """
    for known in classics():
        if _bare(known) == _bare(name):
            return read_rle((_FOLDER / f"{known}.rle").read_bytes(), source=f"{known}.rle")
    raise UnknownPatternError(name, get_close_matches(name.lower(), classics(), 5) or classics())


def _bare(name: str) -> str:
    return re.sub(r"[\s_'-]+", "", name).lower()
