"""The inner loop of the striped engine for numba, compiled to machine code for each rule.

Rule: importing this imports numba, so that only engines do, when they are made.

The rule is closed over as constants. So the compiler folds it away, and numba's cache on disk keeps
one kernel for each rule: the first use of a rule takes one to two seconds, the next run 0.1.
"""

from __future__ import annotations

__all__ = ("ONE", "ZEROS", "add", "constants", "make_kernel", "next_cells", "njit")

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from aconcur.life._rule import LIFE, Rule

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:

    def njit(**_: bool | str) -> Callable[[F], F]: ...
else:
    from numba import njit

Kernel: TypeAlias = Callable[[Any, Any, int, Any, Any, Any, bool], None]

ZEROS, ONES, ONE = np.uint64(0), np.uint64(2**64 - 1), np.uint64(1)


@njit(inline="always")
def pick(digit: Any, low: Any, high: Any) -> Any:  # noqa: ANN401
    """Return ``high`` where the digit is 1, ``low`` where it is 0."""
    return low ^ (digit & (low ^ high))


@njit(inline="always")
def add(left: Any, middle: Any, right: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return the ones and the twos of the sum of three cells.

    In a form that takes one operation more, and on AVX-512, which knows operations on three
    operands, one less.
    """
    return left ^ middle ^ right, (left & right) | (middle & (left | right))


@njit(inline="always")
def next_cells(
    north: tuple[Any, Any],
    here: tuple[Any, Any],
    south: tuple[Any, Any],
    c: Any,  # noqa: ANN401
    rule: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Return the next state of 64 cells ``c`` from the sums of three in three rows."""
    conway, dead, live = rule
    # Two full adders, and what they carry: the sum is t0 + 2 t1 + 4 t2 + 8 t3.
    t0, twos = add(north[0], here[0], south[0])
    more, fours = add(north[1], here[1], south[1])
    t1, carry = more ^ twos, more & twos
    t2 = fours ^ carry
    if conway:
        # _circuit finds this, too; here it costs no compile time.
        return (t0 ^ t2) & (t1 ^ (t2 & (t1 | c)))
    of01 = pick(t0, dead[0] & ~c, (dead[1] & ~c) | (live[0] & c))
    of23 = pick(t0, (dead[2] & ~c) | (live[1] & c), (dead[3] & ~c) | (live[2] & c))
    of45 = pick(t0, (dead[4] & ~c) | (live[3] & c), (dead[5] & ~c) | (live[4] & c))
    of67 = pick(t0, (dead[6] & ~c) | (live[5] & c), (dead[7] & ~c) | (live[6] & c))
    of89 = pick(t0, (dead[8] & ~c) | (live[7] & c), live[8])
    low = pick(t2, pick(t1, of01, of23), pick(t1, of45, of67))
    return pick(fours & carry, low, of89)


@njit(inline="always")
def row_sum(row: Any, x: int) -> tuple[Any, Any]:  # noqa: ANN401
    """Return the sum of three cells in a row."""
    return add(row[x - 1], row[x], row[x + 1])


def constants(rule: Rule) -> tuple[bool, tuple[Any, ...], tuple[Any, ...]]:
    """Return what becomes of a dead and of a live cell in a block of 3 × 3, T of them alive."""
    return (
        rule == LIFE,
        tuple(ONES if total in rule.born else ZEROS for total in range(9)),
        tuple(ONES if total - 1 in rule.survives else ZEROS for total in range(1, 10)),
    )


@njit(nogil=True, cache=True)
def _fill_ghosts(words: Any, wrap: Any, full: Any, long: Any, torus: bool) -> None:  # noqa: ANN401
    """Repeat, one bit on, the row of the neighbouring stripe; then the columns across the edge."""
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
            # The row above comes from the stripe before: long or short is what that one is.
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

    It lives n generations without the GIL; the last one is in ``words`` if n is even, else in
    ``other``.
    """
    of_rule = constants(rule)

    @njit(nogil=True, cache=True, boundscheck=False)
    def kernel(
        words: Any,  # noqa: ANN401
        other: Any,  # noqa: ANN401
        n: int,
        wrap: Any,  # noqa: ANN401
        full: Any,  # noqa: ANN401
        long: Any,  # noqa: ANN401
        torus: bool,
    ) -> None:
        rows, width = words.shape[0] - 2, words.shape[1] - 2
        # Sums of a row serve three rows while they are in registers: four rows at a time took
        # three quarters of the time of one at a time.
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

    chosen: Kernel = kernel
    return chosen
