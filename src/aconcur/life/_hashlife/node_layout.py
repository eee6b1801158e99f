"""The layout of the tables of the compiled HashLife, and the hash tables that find equal nodes.

Importing this module imports numba. Nothing here allocates memory.

A *reference* is a number of 32 bits: that of a node, or LEAF plus that of a leaf (16 × 16 cells). A
node has four words of 64 bits:

=====  =============================================================================
0      its quarters north-west and, in the upper half, north-east
1      its quarters south-west and, in the upper half, south-east
2      its memo: its middle 2 ** j generations later and, in the upper half, j + 1; or 0
3      its population; 0 if it was not counted yet
=====  =============================================================================

Node number n < EMPTIES is the empty square of level n; leaf 0 is empty. A node's quarters have
lower numbers than the node. Within a leap all nodes of a level have the same j, so one memo is
enough.
"""

from __future__ import annotations

__all__ = (
    "AT_FRAMES",
    "AT_LEAF_TABLE",
    "AT_LEAVES",
    "AT_MASKS",
    "AT_NODES",
    "AT_NODE_TABLE",
    "AT_WORK",
    "BOTTOM",
    "CONWAY",
    "DONE",
    "EMPTIES",
    "FRAME",
    "FULL",
    "HEAD",
    "HIGHEST",
    "LATE",
    "LEAF",
    "LEAF_ROOM",
    "LEAF_SLOTS",
    "LEAVES",
    "LEVEL",
    "LOW",
    "MARGIN",
    "NODES",
    "NODE_ROOM",
    "NODE_SLOTS",
    "NUMBER",
    "ROOT",
    "STACK",
    "TOO_LARGE",
    "Tables",
    "find_leaf",
    "find_node",
    "join",
    "quarters",
    "tables",
)

from typing import Final, NamedTuple

import numpy as np

from aconcur.life._engines.njit import (
    Pointer,
    Word,
    halves_at,
    kernel,
    rows_at,
    signed_at,
    words_at,
)

BOTTOM: Final = 4
"""A leaf has 2⁴ cells a side."""
HIGHEST: Final = 250
"""The highest level of a root that can be advanced."""
EMPTIES: Final = 256
"""The number of the first node that is not empty."""
LEAF: Final = 1 << 30
"""Added to a leaf's number in a reference."""
NUMBER: Final = LEAF - 1
LOW: Final = (1 << 32) - 1

MARGIN: Final = 32
"""The most nodes, and leaves, that one step of a kernel makes."""

FRAME: Final = 16
"""Words of a frame on the stack: the node, the next part, nine parts, four results of them."""

(
    NODES,  # the number of nodes
    LEAVES,
    NODE_ROOM,  # the capacity for nodes
    LEAF_ROOM,
    NODE_SLOTS,  # the number of slots of their hash table, less one: a mask
    LEAF_SLOTS,
    STACK,  # the number of the topmost frame, or -1
    ROOT,
    LEVEL,  # of the root
    CONWAY,
    AT_NODES,  # addresses
    AT_NODE_TABLE,
    AT_LEAVES,
    AT_LEAF_TABLE,
    AT_FRAMES,
    AT_MASKS,
    AT_WORK,
) = range(17)
HEAD: Final = 17

DONE, LATE, FULL, TOO_LARGE = range(4)

A, B, MIX = np.int64(-7046029254386353131), np.int64(-4417276706812531889), np.int64(29)
UA, UB, UMIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(29)


class Tables(NamedTuple):
    """The arrays, as pointers."""

    head: Pointer
    nodes: Pointer
    node_table: Pointer
    leaves: Pointer
    rows: Pointer
    leaf_table: Pointer
    frames: Pointer
    masks: Pointer
    work: Pointer


@kernel(inline="always")
def tables(address: Word) -> Tables:
    head = signed_at(address)
    return Tables(
        head,
        signed_at(head[AT_NODES]),
        halves_at(head[AT_NODE_TABLE]),
        words_at(head[AT_LEAVES]),
        rows_at(head[AT_LEAVES]),
        halves_at(head[AT_LEAF_TABLE]),
        signed_at(head[AT_FRAMES]),
        words_at(head[AT_MASKS]),
        words_at(head[AT_WORK]),
    )


@kernel()
def find_node(head: Pointer, nodes: Pointer, table: Pointer, first: Word, second: Word) -> Word:
    """Return the node with these quarters, two to a word; make it if it does not exist."""
    last = head[NODE_SLOTS]
    h = (first * A) ^ (second * B)
    at = ((h ^ (h >> MIX)) * A >> 20) & last
    found = np.int64(table[at])
    while found:
        if nodes[found * 4] == first and nodes[found * 4 + 1] == second:
            return found
        at = (at + 1) & last
        found = np.int64(table[at])
    made = head[NODES]
    head[NODES] = made + 1
    table[at] = made
    nodes[made * 4] = first
    nodes[made * 4 + 1] = second
    nodes[made * 4 + 2] = 0
    nodes[made * 4 + 3] = 0
    return made


@kernel(inline="always")
def join(t: Tables, nw: Word, ne: Word, sw: Word, se: Word) -> Word:
    """Return the node with these quarters."""
    return find_node(t.head, t.nodes, t.node_table, nw | (ne << 32), sw | (se << 32))


@kernel()
def find_leaf(head: Pointer, leaves: Pointer, table: Pointer) -> Word:
    """Return the reference of the leaf whose words were written after the last leaf."""
    made = head[LEAVES]
    a, b, c, d = leaves[made * 4], leaves[made * 4 + 1], leaves[made * 4 + 2], leaves[made * 4 + 3]
    if not (a | b | c | d):
        return np.int64(LEAF)
    last = head[LEAF_SLOTS]
    h = (((a * UA) ^ b) * UA) ^ (((c * UB) ^ d) * UB)
    h = (h ^ (h >> UMIX)) * UA
    at = np.int64(h >> UMIX) & last
    found = np.int64(table[at])
    while found:
        i = found * 4
        if leaves[i] == a and leaves[i + 1] == b and leaves[i + 2] == c and leaves[i + 3] == d:
            return found | LEAF
        at = (at + 1) & last
        found = np.int64(table[at])
    head[LEAVES] = made + 1
    table[at] = made
    return made | LEAF


@kernel(inline="always")
def quarters(t: Tables, node: Word) -> tuple[Word, Word, Word, Word]:
    north, south = t.nodes[node * 4], t.nodes[node * 4 + 1]
    return north & LOW, north >> 32, south & LOW, south >> 32
