"""Well-known patterns, from the RLE files in the folder ``patterns``."""

from __future__ import annotations

__all__ = ("classic", "classics")

import re
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

from aconcur.life._errors import UnknownPatternError
from aconcur.life._formats.rle import read_rle
from aconcur.life._model.pattern import Pattern

_FOLDER = files("aconcur.life") / "patterns"


@cache
def classics() -> tuple[str, ...]:
    """Return the names for :func:`classic`, in alphabetical order."""
    names = (file.name for file in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".rle") for name in names if name.endswith(".rle")))


def classic(name: str) -> Pattern:
    """Return a well-known pattern: ``classic("gosper-glider-gun")``.

    Args:
        name: one of :func:`classics`, in any case, with or without spaces, hyphens and apostrophes.

    Raises:
        UnknownPatternError: there is no pattern of that name; the message lists similar names.
    """
    for known in classics():
        if _bare(known) == _bare(name):
            return read_rle((_FOLDER / f"{known}.rle").read_bytes(), source=f"{known}.rle")
    raise UnknownPatternError(name, get_close_matches(name.lower(), classics(), 5) or classics())


def _bare(name: str) -> str:
    return re.sub(r"[\s_'-]+", "", name).lower()
