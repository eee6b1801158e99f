"""The cells of an RLE file: counts, ``b`` dead, ``o`` alive, ``$`` end of row, ``!`` end.

Rule: the quick ways only notice that something is wrong; what and where, :func:`blame` says.
"""

from __future__ import annotations

__all__ = ("blame", "read_body")

import re
from importlib.util import find_spec
from typing import Any, Final, NoReturn

from aconcur.life._errors import PatternError
from aconcur.life._formats.parsing import place_of, whole
from aconcur.life._model import row_runs
from aconcur.life._model.arrays import numpy_is_imported
from aconcur.life._model.row_runs import FURTHEST, Runs

_DIGITS: Final = b"0123456789"
_SPACES: Final = b" \t\n\v\f"
_ITEM_END: Final = re.compile(rb"[bo$]")
_ITEM: Final = re.compile(r"(?P<count>[0-9\s]*)(?P<kind>[^0-9\s]?)")
# Golly's words for dead and alive where a rule may have more states.
_TO_BO: Final = bytes.maketrans(b".A", b"bo")
_ALIVE: Final = ord("o")
_ROW: Final = ord("$")
_KINDS: Final = b"bo$"

# From end to end of what patterns reach.
_WIDEST: Final = 2 * FURTHEST

# Reading so many characters without numpy takes about as long as importing numpy.
_WORTH_NUMPY: Final = 1 << 18
# Counts below 10¹⁵ can be summed up in floats without losing what matters here.
_MOST_DIGITS: Final = 15


def read_body(text: bytes) -> Runs | None:
    """Return the runs of live cells, or None if something is wrong with the text."""
    items, end, _ = text.translate(_TO_BO, _SPACES).partition(b"!")
    if not end or items[-1:].isdigit():
        return None
    return (_read_by_numpy if _use_numpy(len(items)) else _read_by_hand)(items)


def _use_numpy(size: int) -> bool:
    if numpy_is_imported():
        return True
    return size >= _WORTH_NUMPY and find_spec("numpy") is not None


def _read_by_hand(items: bytes) -> Runs | None:
    kinds = items.translate(None, _DIGITS)
    if kinds.translate(None, _KINDS):
        return None
    y = x = 0
    found: list[tuple[int, int, int]] = []
    for kind, count in zip(kinds, _ITEM_END.split(items), strict=False):
        n = whole(count) if count else 1
        if kind == _ROW:
            y += n
            x = 0
        else:
            if kind == _ALIVE:
                found.append((y, x, n))
            x += n
        if not n or x > _WIDEST or y > _WIDEST:
            return None
    return row_runs.of_rows(found)


def _read_by_numpy(items: bytes) -> Runs | None:
    import numpy as np

    text = np.frombuffer(items, np.uint8)
    at = np.flatnonzero(text - 48 > 9)  # all that is no digit, for what is below 0 wraps round
    kinds = text[at]
    counts = _counts(np, text, at)
    if counts is None or not counts.all() or counts.sum(dtype=np.float64) > _WIDEST:
        return _read_by_hand(items)
    if kinds.tobytes().translate(None, _KINDS):
        return None
    ends, alive = np.flatnonzero(kinds == _ROW), np.flatnonzero(kinds == _ALIVE)
    across = counts.copy()
    across[ends] = 0
    # Columns go on from row to row; take away where the row begins.
    x = np.cumsum(across) - across
    tops = np.append(0, np.cumsum(counts[ends]))
    begins = np.append(0, x[ends])
    in_rows = np.diff(np.searchsorted(alive, ends), prepend=0, append=len(alive))
    return row_runs.of_arrays(
        np.repeat(tops, in_rows), x[alive] - np.repeat(begins, in_rows), counts[alive]
    )


def _counts(np: Any, text: Any, at: Any) -> Any:  # noqa: ANN401 - numpy and its arrays
    """Return the number before each item, 1 where there is none, or None if one is too long."""
    # The first item may have nothing before it: what is taken instead is the last, no digit either.
    digit = text[at - 1] - 48
    counts = np.where(digit > 9, 1, digit).astype(np.int64)
    digits = np.diff(at, prepend=-1) - 1
    if digits.max(initial=0) > _MOST_DIGITS:
        return None
    value, more = 10, np.flatnonzero(digits > 1)
    for place in range(2, _MOST_DIGITS + 1):
        counts[more] += (text[at[more] - place] - 48).astype(np.int64) * value
        value, more = value * 10, more[digits[more] > place]
    return counts


def blame(text: str, lines: int, source: str) -> NoReturn:
    """Raise what is wrong with a text that :func:`read_body` did not take.

    Args:
        text: what it did not take.
        lines: how many lines of the file stand before it.
        source: the file's name.

    Raises:
        PatternError: always.
    """
    y = x = 0
    for item in _ITEM.finditer(text):
        count, kind = re.sub(r"\s", "", item["count"]), item["kind"].translate({46: "b", 65: "o"})
        n = int(count or "1") if len(count) <= len(str(_WIDEST)) else _WIDEST + 1
        y, x = (y + n, 0) if kind == "$" else (y, x + n)
        if why := _why(count, n, kind) or (max(y, x) > _WIDEST and _TOO_FAR):
            digits = re.search(r"\d|$", item["count"])
            of_count = count and kind in ("", "b", "o", "$", "!")
            index = item.start() + digits.start() if of_count and digits else item.start("kind")
            line, column = place_of(text, index)
            raise PatternError(why, line + lines, column, source)
    raise AssertionError("nothing is wrong with this text")


_TOO_FAR: Final = "the counts add up to more than 2**62"


def _why(count: str, n: int, kind: str) -> str:
    if kind and kind not in "bo$!":
        return f"{kind!r} is no cell (b, o), no end of row ($) or pattern (!), and no count"
    if not kind:
        return "the pattern ends without !" if not count else "a count of nothing"
    if count and kind == "!":
        return "a count of nothing"
    return "" if n else "a count is at least 1"
