"""GIF's compression of two colours for numba: the table of phrases is a tree of two branches.

Source: the GIF89a specification (CompuServe 1990), appendix F.

Rule: importing this imports numba, as :mod:`._striped_kernel` does. The kernel never holds the GIL.
"""

from __future__ import annotations

__all__ = ("pack",)

from typing import Any

import numpy as np

from aconcur.life._striped_kernel import njit

CLEAR, END, FIRST, FULL = map(np.uint64, (4, 5, 6, 4096))
SIZE, LONGEST = np.uint64(3), np.uint64(12)  # bits of a code
# Phrases are twice their codes, so that a pixel and a phrase make a place in the tree. This one is
# none: the first pixel makes phrases 0 and 2 of it.
NOTHING = FULL + FULL
ONE, WORD, ALL_ONES = np.uint64(1), np.uint64(32), np.uint64(2**32 - 1)


@njit(inline="always")
def put(out: Any, at: int, bits: Any, held: Any, code: Any, size: Any) -> Any:  # noqa: ANN401
    """Append a code, lowest bit first; return where the next one goes, and what is held back."""
    bits |= code << held
    held += size
    if held < WORD:
        return at, bits, held
    out[at] = np.uint32(bits & ALL_ONES)
    return at + 1, bits >> WORD, held - WORD


@njit(nogil=True, cache=True, boundscheck=False)
def kernel(pixels: Any, tree: Any, out: Any) -> int:  # noqa: ANN401
    """Write the codes to ``out``; return how many bytes they take."""
    at, bits, held = 0, CLEAR, SIZE
    codes, size, phrase = FIRST, SIZE, NOTHING
    for cell in pixels:
        pixel = np.uint64(cell)
        place = phrase | pixel
        longer = np.uint64(tree[place])
        if longer or phrase == NOTHING:
            phrase = longer
            continue
        at, bits, held = put(out, at, bits, held, phrase >> ONE, size)
        phrase = pixel << ONE
        if codes < FULL:
            tree[place] = codes << ONE
            if codes >> size:
                size += ONE
            codes += ONE
        else:
            at, bits, held = put(out, at, bits, held, CLEAR, size)
            tree[:NOTHING] = 0
            codes, size = FIRST, SIZE
    at, bits, held = put(out, at, bits, held, phrase >> ONE, size)
    if codes >> size and size < LONGEST:
        size += ONE
    at, bits, held = put(out, at, bits, held, END, size)
    out[at] = np.uint32(bits)
    size_in_bytes: int = 4 * at + (int(held) + 7) // 8
    return size_in_bytes


def pack(cells: Any, scale: int) -> bytes:  # noqa: ANN401
    """Return the data of an image, from behind the size of its codes to before the empty block.

    Args:
        cells: 0 and 1, height × width, of uint8.
        scale: so many pixels each way are a cell.
    """
    pixels = cells.repeat(scale, 0).repeat(scale, 1) if scale > 1 else cells
    tree = np.zeros(int(NOTHING) + 2, np.uint16)
    tree[-1] = 2
    # A code is 12 bits at most, and there is one more for each time that the table is full.
    out = np.empty(pixels.size * 3 // 8 + 16, np.uint32)
    return _in_blocks(out.view(np.uint8)[: kernel(pixels.ravel(), tree, out)])


def _in_blocks(data: Any) -> bytes:  # noqa: ANN401
    """Cut data into blocks of at most 255 bytes, each behind its length."""
    whole, rest = divmod(len(data), 255)
    blocks = np.empty((whole, 256), np.uint8)
    blocks[:, 0] = 255
    blocks[:, 1:] = data[: whole * 255].reshape(whole, 255)
    last = bytes((rest,)) + data[whole * 255 :].tobytes() if rest else b""
    return blocks.tobytes() + last
