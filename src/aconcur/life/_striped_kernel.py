"""The inner loop of the striped engine for numba, compiled to machine code for each rule.

Rule: importing this imports numba, so that only engines do, when they are made.

The rule is closed over as constants. So the compiler folds it away, and numba's cache on disk keeps
one kernel for each rule: the first use of a rule takes one to two seconds, the next run 0.1.
"""

from __future__ import annotations

__all__ = ("make_kernel",)

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
def _pick(digit: Any, low: Any, high: Any) -> Any:  # noqa: ANN401
    return low ^ (digit & (low ^ high))


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
    conway = rule == LIFE
    # What becomes of a dead and of a live cell in a block of 3 × 3 cells of which T are alive.
    dead = [ONES if total in rule.born else ZEROS for total in range(9)]
    live = [ONES if total - 1 in rule.survives else ZEROS for total in range(1, 10)]
    b0, b1, b2, b3, b4, b5, b6, b7, b8 = dead
    s0, s1, s2, s3, s4, s5, s6, s7, s8 = live

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
        for _ in range(n):
            _fill_ghosts(words, wrap, full, long, torus)
            for r in range(1, rows + 1):
                above, here, below, out = words[r - 1], words[r], words[r + 1], other[r]
                for x in range(1, width + 1):
                    # Nine loads, and no sums kept from row to row: measured the fastest.
                    a = above[x - 1] ^ above[x + 1]
                    n1 = (above[x - 1] & above[x + 1]) | (a & above[x])
                    n0 = a ^ above[x]
                    a = here[x - 1] ^ here[x + 1]
                    c1 = (here[x - 1] & here[x + 1]) | (a & here[x])
                    c0 = a ^ here[x]
                    a = below[x - 1] ^ below[x + 1]
                    d1 = (below[x - 1] & below[x + 1]) | (a & below[x])
                    d0 = a ^ below[x]
                    c = here[x]
                    a = n0 ^ c0
                    t0 = a ^ d0
                    k = (n0 & c0) | (a & d0)
                    u = n1 ^ c1
                    w = d1 ^ k
                    t1 = u ^ w
                    v = n1 & c1
                    z = d1 & k
                    q = u & w
                    t2 = v ^ z ^ q
                    if conway:
                        # _circuit finds this, too; here it costs no compile time.
                        out[x] = (t0 ^ t2) & (t1 ^ (t2 & (t1 | c)))
                    else:
                        of01 = _pick(t0, b0 & ~c, (b1 & ~c) | (s0 & c))
                        of23 = _pick(t0, (b2 & ~c) | (s1 & c), (b3 & ~c) | (s2 & c))
                        of45 = _pick(t0, (b4 & ~c) | (s3 & c), (b5 & ~c) | (s4 & c))
                        of67 = _pick(t0, (b6 & ~c) | (s5 & c), (b7 & ~c) | (s6 & c))
                        of89 = _pick(t0, (b8 & ~c) | (s7 & c), s8)
                        low = _pick(t2, _pick(t1, of01, of23), _pick(t1, of45, of67))
                        out[x] = _pick((v & z) | ((v ^ z) & q), low, of89) & full
            words, other = other, words

    chosen: Kernel = kernel
    return chosen
