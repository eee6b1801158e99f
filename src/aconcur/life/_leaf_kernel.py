"""The leaves of HashLife for numba: 64 × 64 cells, a row a word.

Rule: importing this imports numba, as :mod:`._striped_kernel` does.
"""

from __future__ import annotations

__all__ = ("make_leaf_kernel",)

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from aconcur.life._rule import Rule
from aconcur.life._striped_kernel import ONE, ZEROS, add, constants, next_cells, njit

LeafKernel: TypeAlias = Callable[[Any, int, Any, Any], None]

HALF, LAST = np.uint64(32), np.uint64(63)


@lru_cache(maxsize=64)
def make_leaf_kernel(rule: Rule) -> LeafKernel:
    """Return ``kernel(leaves, n, sums, out)``; compiled at its first call.

    It writes to ``out`` (64 words) the middle of four leaves (256 words: nw, ne, sw, se) after at
    most 32 generations; ``sums`` are 6 × 130 words to work in.
    """
    of_rule = constants(rule)

    @njit(nogil=True, cache=True, boundscheck=False)
    def kernel(leaves: Any, n: int, sums: Any, out: Any) -> None:  # noqa: ANN401
        west, east, west0, west1, east0, east1 = sums
        west[0] = west[129] = east[0] = east[129] = ZEROS
        for y in range(64):
            west[y + 1], east[y + 1] = leaves[y], leaves[y + 64]
            west[y + 65], east[y + 65] = leaves[y + 128], leaves[y + 192]
        for _ in range(n):
            for y in range(130):
                w, e = west[y], east[y]
                west0[y], west1[y] = add(w << ONE, w, (w >> ONE) | (e << LAST))
                east0[y], east1[y] = add((e << ONE) | (w >> LAST), e, e >> ONE)
            for y in range(1, 129):
                west[y] = next_cells(
                    (west0[y - 1], west1[y - 1]),
                    (west0[y], west1[y]),
                    (west0[y + 1], west1[y + 1]),
                    west[y],
                    of_rule,
                )
            for y in range(1, 129):
                east[y] = next_cells(
                    (east0[y - 1], east1[y - 1]),
                    (east0[y], east1[y]),
                    (east0[y + 1], east1[y + 1]),
                    east[y],
                    of_rule,
                )
        for y in range(64):
            out[y] = (west[y + 33] >> HALF) | (east[y + 33] << HALF)

    chosen: LeafKernel = kernel
    return chosen
