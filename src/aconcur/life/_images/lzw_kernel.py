"""LZW, the compression of GIF, for two colours: the table of phrases is a binary tree.

Source: the GIF89a specification (CompuServe 1990), appendix F.

Importing this module imports numba. The kernel runs without the GIL.
"""

from __future__ import annotations

__all__ = ("pack",)

from typing import Any

import numpy as np

from aconcur.life._engines.njit import kernel

CLEAR, END, FIRST, FULL = map(np.uint64, (4, 5, 6, 4096))
SIZE, LONGEST = np.uint64(3), np.uint64(12)  # the bits of a code: at first, at most
# A phrase is twice its code, so that phrase + pixel is an index in the tree. NOTHING is the empty
# phrase; the first pixel extends it to phrase 0 or 2.
NOTHING = FULL + FULL
ONE, WORD, ALL_ONES = np.uint64(1), np.uint64(32), np.uint64(2**32 - 1)


@kernel(inline="always")
def put(out: Any, at: int, bits: Any, held: Any, code: Any, size: Any) -> Any:  # noqa: ANN401
    """Append a code, lowest bit first; return the next index and the bits not yet written."""
    bits |= code << held
    held += size
    if held < WORD:
        return at, bits, held
    out[at] = np.uint32(bits & ALL_ONES)
    return at + 1, bits >> WORD, held - WORD


@kernel()
def compress(pixels: Any, tree: Any, out: Any) -> int:  # noqa: ANN401
    """Write the codes to ``out``; return their size in bytes."""
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
    """Return the data blocks of an image, without the code size before and the empty block after.

    Args:
        cells: a uint8 array of 0 and 1, height × width.
        scale: the width and height of a cell in pixels.
    """
    pixels = cells.repeat(scale, 0).repeat(scale, 1) if scale > 1 else cells
    tree = np.zeros(int(NOTHING) + 2, np.uint16)
    tree[-1] = 2
    # A code has at most 12 bits, and each time that the table is full adds one code.
    out = np.empty(pixels.size * 3 // 8 + 16, np.uint32)
    return _in_blocks(out.view(np.uint8)[: compress(pixels.ravel(), tree, out)])


def _in_blocks(data: Any) -> bytes:  # noqa: ANN401
    """Split data into blocks of at most 255 bytes, each after its length."""
    whole, rest = divmod(len(data), 255)
    blocks = np.empty((whole, 256), np.uint8)
    blocks[:, 0] = 255
    blocks[:, 1:] = data[: whole * 255].reshape(whole, 255)
    last = bytes((rest,)) + data[whole * 255 :].tobytes() if rest else b""
    return blocks.tobytes() + last
