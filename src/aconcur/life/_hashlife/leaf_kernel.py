"""Advance leaves of 16 × 16 cells.

Importing this module imports numba.

Four leaves are a square of 32 × 32 cells in sixteen words: word *i* holds rows *i* and *i* + 16, so
that the eastern neighbour of a cell is one bit up and the southern one is in the next word. Cells
at the edges of the square, and where the halves of a word meet, get wrong neighbours. The error
spreads by one cell a generation, and only the middle is kept.
"""

from __future__ import annotations

__all__ = ("WORK", "advance_leaves", "masks_of")

from typing import Any, Final

import numpy as np

from aconcur.life._engines.njit import Pointer, Word, kernel
from aconcur.life._engines.striped_kernel import ONE, add, constants, next_cells
from aconcur.life._model.rule import LIFE, Rule

# Sixteen words and one on either side, for cells and for the two digits of their sums.
WORK: Final = 3 * 18
ONES: Final = 18
TWOS: Final = 36

BYTE, ROW, HALF, FORTY = map(np.uint64, (8, 16, 32, 40))
OF_LIFE: Final = constants(LIFE)


def masks_of(rule: Rule) -> Any:  # noqa: ANN401 - an array
    """Return a rule in the form that :func:`advance_leaves` takes."""
    _, dead, live = constants(rule)
    return np.array((*dead, *live), np.uint64)


@kernel()
def advance_leaves(
    rows: Pointer,
    four: tuple[Word, Word, Word, Word],
    n: Word,
    masks: Pointer,
    conway: bool,
    work: Pointer,
    to: Word,
) -> None:
    """Write the middle of four leaves, n generations later, as leaf ``to``.

    Args:
        rows: the rows of all leaves, 16 bits each.
        four: the numbers of the leaves: north-west, north-east, south-west, south-east.
        n: the number of generations, at most 8.
        masks: the rule, from :func:`masks_of`.
        conway: whether the rule is Conway's, which has a faster path.
        work: WORK words of scratch space.
        to: the number of the leaf to write.
    """
    nw, ne, sw, se = four
    for i in range(16):
        west = np.uint64(rows[nw * 16 + i]) | (np.uint64(rows[sw * 16 + i]) << HALF)
        east = np.uint64(rows[ne * 16 + i]) | (np.uint64(rows[se * 16 + i]) << HALF)
        work[i + 1] = west | (east << ROW)
    for _ in range(n):
        for i in range(1, 17):
            here = work[i]
            work[ONES + i], work[TWOS + i] = add(here << ONE, here, here >> ONE)
        work[ONES], work[TWOS] = work[ONES + 16] << HALF, work[TWOS + 16] << HALF
        work[ONES + 17], work[TWOS + 17] = work[ONES + 1] >> HALF, work[TWOS + 1] >> HALF
        if conway:
            for i in range(1, 17):
                work[i] = next_cells(
                    (work[ONES + i - 1], work[TWOS + i - 1]),
                    (work[ONES + i], work[TWOS + i]),
                    (work[ONES + i + 1], work[TWOS + i + 1]),
                    work[i],
                    OF_LIFE,
                )
        else:
            m = masks
            of_rule = (
                False,
                (m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8]),
                (m[9], m[10], m[11], m[12], m[13], m[14], m[15], m[16], m[17]),
            )
            for i in range(1, 17):
                work[i] = next_cells(
                    (work[ONES + i - 1], work[TWOS + i - 1]),
                    (work[ONES + i], work[TWOS + i]),
                    (work[ONES + i + 1], work[TWOS + i + 1]),
                    work[i],
                    of_rule,
                )
    for i in range(8):
        rows[to * 16 + i] = np.uint16(work[i + 9] >> BYTE)
        rows[to * 16 + i + 8] = np.uint16(work[i + 1] >> FORTY)
