"""Split one integer into rows of bits, and join rows into one, in linear time.

Shifting a large integer row by row would take quadratic time.
"""

from __future__ import annotations

__all__ = ("join_rows", "ones", "split_rows")

from collections.abc import Iterable, Iterator
from itertools import islice


def split_rows(bits: int, height: int, width: int) -> Iterator[int]:
    """Yield each row of a grid's bits: bit ``x`` of row ``y`` is bit ``y * width + x``."""
    # Eight rows begin on a byte, whatever the width.
    packed, mask = bits.to_bytes((height * width + 7) // 8, "little"), (1 << width) - 1
    for y in range(0, height, 8):
        eight = int.from_bytes(packed[y // 8 * width : (y // 8 + 1) * width], "little")
        for _ in range(min(8, height - y)):
            yield eight & mask
            eight >>= width


def join_rows(rows: Iterable[int], width: int) -> int:
    """Return the integer that :func:`split_rows` would split into these rows."""
    packed, each = bytearray(), iter(rows)
    while eight := list(islice(each, 8)):
        bits = 0
        for row in reversed(eight):
            bits = bits << width | row
        packed += bits.to_bytes(width, "little")
    return int.from_bytes(packed, "little")


def ones(row: int) -> Iterator[int]:
    """Yield the index of each bit that is set, from the lowest."""
    digits = bin(row)[:1:-1]
    found = digits.find("1")
    while found >= 0:
        yield found
        found = digits.find("1", found + 1)
