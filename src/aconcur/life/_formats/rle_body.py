"""The cells of an RLE file: counts, ``b`` dead, ``o`` alive, ``$`` end of row, ``!`` end.

The two fast readers, with numpy and without, only notice that a text is wrong. :func:`explain` then
reads it again, slowly, and says what is wrong and where.
"""

from __future__ import annotations

__all__ = ("explain", "read_body")

import re
from importlib.util import find_spec
from typing import Any, Final, NoReturn

from aconcur.life._errors import PatternError
from aconcur.life._formats.parsing import place_of, to_int
from aconcur.life._model import row_runs
from aconcur.life._model.arrays import numpy_is_imported
from aconcur.life._model.row_runs import FURTHEST, Runs

_DIGITS: Final = b"0123456789"
_SPACES: Final = b" \t\n\v\f"
_ITEM_END: Final = re.compile(rb"[bo$]")
_ITEM: Final = re.compile(r"(?P<count>[0-9\s]*)(?P<kind>[p-y][A-X]|[^0-9\s]?)")
# Golly reads . and A as dead and alive, as it writes them for rules of more states, and so a letter
# from p to y, unless it begins a state of two letters like pA.
_TO_BO: Final = bytes.maketrans(b".Apqrstuvwxy", b"b" + b"o" * 11)
_TWO_LETTERS: Final = re.compile(rb"[p-y][A-X]")
_CAPITALS: Final = bytes(range(ord("A"), ord("X") + 1))
_NOT_CAPITALS: Final = bytes(set(range(256)).difference(_CAPITALS))
_ALIVE: Final = ord("o")
_ROW: Final = ord("$")
_KINDS: Final = b"bo$"

# The distance between the largest coordinates of a pattern.
_WIDEST: Final = 2 * FURTHEST

# Reading so many characters without numpy takes about as long as importing numpy. Measured.
_WORTH_NUMPY: Final = 1 << 18
# Counts below 10¹⁵ can be summed in floating point exactly enough for the check of the sum.
_MOST_DIGITS: Final = 15


def read_body(text: bytes) -> Runs | None:
    """Return the runs of live cells, or None if something is wrong with the text."""
    if text.translate(None, _NOT_CAPITALS) and _TWO_LETTERS.search(text.partition(b"!")[0]):
        return None
    items, end, _ = text.translate(_TO_BO, _SPACES).partition(b"!")
    if not end or items[-1:].isdigit():
        return None
    return (_read_with_numpy if _use_numpy(len(items)) else _read_in_python)(items)


def _use_numpy(size: int) -> bool:
    if numpy_is_imported():
        return True
    return size >= _WORTH_NUMPY and find_spec("numpy") is not None


def _read_in_python(items: bytes) -> Runs | None:
    kinds = items.translate(None, _DIGITS)
    if kinds.translate(None, _KINDS):
        return None
    y = x = 0
    found: list[tuple[int, int, int]] = []
    for kind, count in zip(kinds, _ITEM_END.split(items), strict=False):
        n = to_int(count) if count else 1
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


def _read_with_numpy(items: bytes) -> Runs | None:
    import numpy as np

    text = np.frombuffer(items, np.uint8)
    at = np.flatnonzero(text - 48 > 9)  # below "0" it wraps around
    kinds = text[at]
    counts = _counts(np, text, at)
    if counts is None or not counts.all() or counts.sum(dtype=np.float64) > _WIDEST:
        return _read_in_python(items)
    if kinds.tobytes().translate(None, _KINDS):
        return None
    ends, alive = np.flatnonzero(kinds == _ROW), np.flatnonzero(kinds == _ALIVE)
    across = counts.copy()
    across[ends] = 0
    # Here columns count on from row to row: subtract the column at which the row begins.
    x = np.cumsum(across) - across
    tops = np.append(0, np.cumsum(counts[ends]))
    begins = np.append(0, x[ends])
    in_rows = np.diff(np.searchsorted(alive, ends), prepend=0, append=len(alive))
    return row_runs.of_arrays(
        np.repeat(tops, in_rows), x[alive] - np.repeat(begins, in_rows), counts[alive]
    )


def _counts(np: Any, text: Any, at: Any) -> Any:  # noqa: ANN401 - numpy and its arrays
    """Return the count before each item, 1 where it is missing, or None if one is too long."""
    # at - 1 is -1 if the first item has no count: the last character, which is not a digit either.
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


def explain(text: str, lines: int, source: str) -> NoReturn:
    """Say why :func:`read_body` refused a text.

    Args:
        text: the text of the cells.
        lines: the number of lines of the file before it.
        source: the file's name.

    Raises:
        PatternError: always.
    """
    y = x = 0
    for item in _ITEM.finditer(text):
        count, kind = re.sub(r"\s", "", item["count"]), item["kind"]
        kind = _KIND_OF.get(kind, kind)
        n = int(count or "1") if len(count) <= len(str(_WIDEST)) else _WIDEST + 1
        y, x = (y + n, 0) if kind == "$" else (y, x + n)
        if why := _why(count, n, kind) or (max(y, x) > _WIDEST and _TOO_FAR):
            digits = re.search(r"\d|$", item["count"])
            of_count = count and kind in ("", "b", "o", "$", "!")
            index = item.start() + digits.start() if of_count and digits else item.start("kind")
            line, column = place_of(text, index)
            raise PatternError(why, line + lines, column, source)
    raise AssertionError("nothing is wrong with this text")


_KIND_OF: Final = {".": "b", **dict.fromkeys("Apqrstuvwxy", "o")}
_TOO_FAR: Final = "the counts add up to more than 2**62"


def _why(count: str, n: int, kind: str) -> str:
    if re.fullmatch("[B-X]|[p-y][A-X]", kind):
        return f"{kind!r} is a state of a rule of more than two states, which is not supported"
    if kind and kind not in "bo$!":
        return f"{kind!r} is not a count, a cell (b, o), the end of a row ($) or of the pattern (!)"
    if not kind:
        return "the pattern ends without !" if not count else "a count of nothing"
    if count and kind == "!":
        return "a count of nothing"
    return "" if n else "a count is at least 1"
