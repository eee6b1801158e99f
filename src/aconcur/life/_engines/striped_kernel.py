"""The inner loop of the engine on numba, compiled for each rule.

Importing this module imports numba, so only an engine imports it, when it is made.

The rule enters as constants of a closure, so that the compiler folds it into the code, and numba's
cache on disk keeps one kernel for each rule: the first use of a rule takes one to two seconds, the
next run of the program 0.1 s.
"""

from __future__ import annotations

__all__ = ("ONE", "ZEROS", "add", "constants", "make_kernel", "next_cells")

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from aconcur.life._engines.njit import kernel
from aconcur.life._model.rule import LIFE, Rule

Kernel: TypeAlias = Callable[[Any, Any, int, Any, Any, Any, bool], None]

ZEROS, ONES, ONE = np.uint64(0), np.uint64(2**64 - 1), np.uint64(1)


@kernel(inline="always")
def pick(digit: Any, low: Any, high: Any) -> Any:  # noqa: ANN401
    """Return ``high`` where the digit is 1, ``low`` where it is 0."""
    return low ^ (digit & (low ^ high))


@kernel(inline="always")
def add(left: Any, middle: Any, right: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return the ones and the twos of the sum of three cells.

    Written with one operation more than necessary: AVX-512 has operations on three operands, with
    which this form takes one less.
    """
    return left ^ middle ^ right, (left & right) | (middle & (left | right))


@kernel(inline="always")
def next_cells(
    north: tuple[Any, Any],
    here: tuple[Any, Any],
    south: tuple[Any, Any],
    c: Any,  # noqa: ANN401
    rule: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Return the next state of 64 cells ``c``, from the sums of three cells in three rows."""
    conway, dead, live = rule
    # Two full adders; the sum is t0 + 2 t1 + 4 t2 + 8 t3.
    t0, twos = add(north[0], here[0], south[0])
    more, fours = add(north[1], here[1], south[1])
    t1, carry = more ^ twos, more & twos
    t2 = fours ^ carry
    if conway:
        # The circuit search finds the same expression; written out, it compiles faster.
        return (t0 ^ t2) & (t1 ^ (t2 & (t1 | c)))
    of01 = pick(t0, dead[0] & ~c, (dead[1] & ~c) | (live[0] & c))
    of23 = pick(t0, (dead[2] & ~c) | (live[1] & c), (dead[3] & ~c) | (live[2] & c))
    of45 = pick(t0, (dead[4] & ~c) | (live[3] & c), (dead[5] & ~c) | (live[4] & c))
    of67 = pick(t0, (dead[6] & ~c) | (live[5] & c), (dead[7] & ~c) | (live[6] & c))
    of89 = pick(t0, (dead[8] & ~c) | (live[7] & c), live[8])
    low = pick(t2, pick(t1, of01, of23), pick(t1, of45, of67))
    return pick(fours & carry, low, of89)


@kernel(inline="always")
def row_sum(row: Any, x: int) -> tuple[Any, Any]:  # noqa: ANN401
    """Return the sum of three cells in a row."""
    return add(row[x - 1], row[x], row[x + 1])


def constants(rule: Rule) -> tuple[bool, tuple[Any, ...], tuple[Any, ...]]:
    """Return whether the rule is Conway's, and two tables indexed by the sum of a 3 × 3 block.

    The first table holds the next state of a dead cell for sums 0 to 8, the second that of a live
    cell for sums 1 to 9: all ones or all zeros.
    """
    return (
        rule == LIFE,
        tuple(ONES if total in rule.born else ZEROS for total in range(9)),
        tuple(ONES if total - 1 in rule.survives else ZEROS for total in range(1, 10)),
    )


@kernel()
def _fill_ghosts(words: Any, wrap: Any, full: Any, long: Any, torus: bool) -> None:  # noqa: ANN401
    """Fill the ghost rows from the neighbouring stripes, one bit further, then the columns."""
    rows, width = words.shape[0] - 2, words.shape[1] - 2
    for x in range(1, width + 1):
        last, first = words[rows, x], words[1, x]
        above, below = last << ONE, first >> ONE
        if torus:
            above |= last >> wrap
            below |= first << wrap
        if long != full:
            last, first = words[rows - 1, x], words[2, x]
            short_above, short_below = last << ONE, first >> ONE
            if torus:
                short_above |= last >> wrap
                short_below |= first << wrap
            # The row above belongs to the stripe before, whose length decides.
            before = (long << ONE) | (long >> wrap)
            above = (above & before) | (short_above & ~before)
            below = (below & long) | (short_below & ~long)
        words[0, x] = above & full
        words[rows + 1, x] = below & full
    for r in range(rows + 2):
        words[r, 0] = words[r, width] if torus else ZEROS
        words[r, width + 1] = words[r, 1] if torus else ZEROS


@lru_cache(maxsize=64)
def make_kernel(rule: Rule) -> Kernel:
    """Return ``kernel(words, other, n, wrap, full, long, torus)``; compiled at its first call.

    The kernel computes n generations without the GIL. The last one is in ``words`` if n is even,
    else in ``other``.
    """
    of_rule = constants(rule)

    @kernel()
    def advance(
        words: Any,  # noqa: ANN401
        other: Any,  # noqa: ANN401
        n: int,
        wrap: Any,  # noqa: ANN401
        full: Any,  # noqa: ANN401
        long: Any,  # noqa: ANN401
        torus: bool,
    ) -> None:
        rows, width = words.shape[0] - 2, words.shape[1] - 2
        # The sums of a row serve three rows while they are in registers. Measured: four rows
        # at a time take three quarters of the time of one row at a time.
        fours = rows - rows % 4
        for _ in range(n):
            _fill_ghosts(words, wrap, full, long, torus)
            for r in range(1, fours + 1, 4):
                a, b, c, d = words[r - 1], words[r], words[r + 1], words[r + 2]
                e, f = words[r + 3], words[r + 4]
                out_b, out_c, out_d, out_e = other[r], other[r + 1], other[r + 2], other[r + 3]
                for x in range(1, width + 1):
                    in_a, in_b, in_c = row_sum(a, x), row_sum(b, x), row_sum(c, x)
                    in_d, in_e, in_f = row_sum(d, x), row_sum(e, x), row_sum(f, x)
                    out_b[x] = full & next_cells(in_a, in_b, in_c, b[x], of_rule)
                    out_c[x] = full & next_cells(in_b, in_c, in_d, c[x], of_rule)
                    out_d[x] = full & next_cells(in_c, in_d, in_e, d[x], of_rule)
                    out_e[x] = full & next_cells(in_d, in_e, in_f, e[x], of_rule)
            for r in range(fours + 1, rows + 1):
                a, b, c, out_b = words[r - 1], words[r], words[r + 1], other[r]
                for x in range(1, width + 1):
                    in_a, in_b, in_c = row_sum(a, x), row_sum(b, x), row_sum(c, x)
                    out_b[x] = full & next_cells(in_a, in_b, in_c, b[x], of_rule)
            words, other = other, words

    compiled: Kernel = advance
    return compiled
