"""Kernels on the tables of ``node_layout`` besides the leap: make nodes, count cells, copy tables.

Importing this module imports numba. Nothing here allocates memory or holds the GIL.
"""

from __future__ import annotations

__all__ = (
    "count_cells",
    "leaf_of",
    "make_empties",
    "mark",
    "mark_roots",
    "move",
    "node_of",
    "rename_roots",
)

import numpy as np

from aconcur.life._engines.njit import Pointer, Word, halves_at, kernel, signed_at, words_at
from aconcur.life._hashlife.node_layout import (
    BOTTOM,
    EMPTIES,
    FRAME,
    LEAF,
    LEAVES,
    LOW,
    NODES,
    NUMBER,
    STACK,
    Tables,
    find_leaf,
    find_node,
    quarters,
    tables,
)


@kernel()
def make_empties(address: Word) -> None:
    """Make the empty square of each level, which are the first nodes."""
    t = tables(address)
    nodes = t.nodes
    for level in range(BOTTOM + 1):
        for k in range(4):
            nodes[level * 4 + k] = 0
    t.head[NODES], t.head[LEAVES] = BOTTOM + 1, 1
    for k in range(4):
        t.leaves[k] = 0
    for level in range(BOTTOM + 1, EMPTIES):
        part = LEAF if level == BOTTOM + 1 else level - 1
        find_node(t.head, nodes, t.node_table, part | (part << 32), part | (part << 32))


@kernel()
def node_of(address: Word, nw: Word, ne: Word, sw: Word, se: Word) -> Word:
    """Return the node with these quarters."""
    t = tables(address)
    return find_node(t.head, t.nodes, t.node_table, nw | (ne << 32), sw | (se << 32))


@kernel()
def leaf_of(address: Word, a: Word, b: Word, c: Word, d: Word) -> Word:
    """Return the leaf with these words."""
    t = tables(address)
    at = t.head[LEAVES] * 4
    t.leaves[at], t.leaves[at + 1], t.leaves[at + 2], t.leaves[at + 3] = a, b, c, d
    return find_leaf(t.head, t.leaves, t.leaf_table)


@kernel()
def bits_in(word: Word) -> Word:
    """Return the number of bits of a word that are set."""
    found = 0
    while word:
        word &= word - np.uint64(1)
        found += 1
    return found


@kernel()
def count_part(nodes: Pointer, leaves: Pointer, part: Word) -> Word:
    if part < EMPTIES:
        return 0
    if part & LEAF:
        at = (part & NUMBER) * 4
        return (
            bits_in(leaves[at])
            + bits_in(leaves[at + 1])
            + bits_in(leaves[at + 2])
            + bits_in(leaves[at + 3])
        )
    known = nodes[part * 4 + 3]
    if known:
        return known
    north, south = nodes[part * 4], nodes[part * 4 + 1]
    found = (
        count_part(nodes, leaves, north & LOW)
        + count_part(nodes, leaves, north >> 32)
        + count_part(nodes, leaves, south & LOW)
        + count_part(nodes, leaves, south >> 32)
    )
    # Two threads may count at once: both store the same number.
    nodes[part * 4 + 3] = found
    return found


@kernel()
def count_cells(nodes: Word, leaves: Word, part: Word) -> Word:
    """Return the population of a square of at most 2³¹ cells a side.

    Args:
        nodes: the address of the nodes.
        leaves: the address of the leaves.
        part: the reference of the square.
    """
    return count_part(signed_at(nodes), words_at(leaves), part)


@kernel(inline="always")
def mark_part(of_nodes: Pointer, of_leaves: Pointer, part: Word) -> None:
    if part & LEAF:
        of_leaves[part & NUMBER] = 1
    else:
        of_nodes[part] = 1


@kernel()
def mark_roots(address: Word, root: Word, of_nodes: Word, of_leaves: Word) -> None:
    """Mark the root, and every node that the stack refers to."""
    t = tables(address)
    nodes, leaves = halves_at(of_nodes), halves_at(of_leaves)
    mark_part(nodes, leaves, root)
    for level in range(t.head[STACK] + 1):
        at = level * FRAME
        mark_part(nodes, leaves, t.frames[at])
        for k in range(13 if t.frames[at + 1] >= 9 else 9):
            mark_part(nodes, leaves, t.frames[at + 2 + k])


@kernel()
def mark(address: Word, of_nodes: Word, of_leaves: Word, first: Word, last: Word) -> None:
    """Mark the quarters of all marked nodes from ``last``, exclusive, down to ``first``."""
    t = tables(address)
    nodes, leaves = halves_at(of_nodes), halves_at(of_leaves)
    for node in range(last - 1, first - 1, -1):
        if nodes[node]:
            for part in quarters(t, node):
                mark_part(nodes, leaves, part)


@kernel(inline="always")
def renamed(of_nodes: Pointer, of_leaves: Pointer, part: Word) -> Word:
    if part & LEAF:
        return np.int64(of_leaves[part & NUMBER]) | LEAF
    return np.int64(of_nodes[part])


@kernel()
def move_leaf(old: Tables, new: Tables, of_leaves: Pointer, i: Word) -> None:
    to = new.head[LEAVES] * 4
    for k in range(4):
        new.leaves[to + k] = old.leaves[i * 4 + k]
    of_leaves[i] = find_leaf(new.head, new.leaves, new.leaf_table) & NUMBER


@kernel()
def move_node(old: Tables, new: Tables, of_nodes: Pointer, of_leaves: Pointer, i: Word) -> None:
    nw, ne, sw, se = quarters(old, i)
    north = renamed(of_nodes, of_leaves, nw) | (renamed(of_nodes, of_leaves, ne) << 32)
    south = renamed(of_nodes, of_leaves, sw) | (renamed(of_nodes, of_leaves, se) << 32)
    to = find_node(new.head, new.nodes, new.node_table, north, south)
    new.nodes[to * 4 + 3] = old.nodes[i * 4 + 3]
    of_nodes[i] = to


@kernel()
def move(
    old_address: Word,
    new_address: Word,
    of_nodes: Word,
    of_leaves: Word,
    what: Word,
    first: Word,
    last: Word,
) -> None:
    """Copy what is marked to other tables: leaves (0), nodes (1), then their memos (2).

    Each mark is replaced by the new number.
    """
    old, new = tables(old_address), tables(new_address)
    nodes, leaves = halves_at(of_nodes), halves_at(of_leaves)
    for i in range(first, last):
        if what == 0:
            if leaves[i]:
                move_leaf(old, new, leaves, i)
        elif nodes[i]:
            if what == 1:
                move_node(old, new, nodes, leaves, i)
            else:
                memo = old.nodes[i * 4 + 2]
                found = renamed(nodes, leaves, memo & LOW) if memo else 0
                if found and (found != LEAF or memo & LOW == LEAF):
                    new.nodes[np.int64(nodes[i]) * 4 + 2] = (memo >> 32 << 32) | found


@kernel()
def rename_roots(address: Word, root: Word, of_nodes: Word, of_leaves: Word) -> Word:
    """Renumber the references on the stack; return the root's new reference."""
    t = tables(address)
    nodes, leaves = halves_at(of_nodes), halves_at(of_leaves)
    for level in range(t.head[STACK] + 1):
        at = level * FRAME
        t.frames[at] = renamed(nodes, leaves, t.frames[at])
        for k in range(13 if t.frames[at + 1] >= 9 else 9):
            t.frames[at + 2 + k] = renamed(nodes, leaves, t.frames[at + 2 + k])
    return renamed(nodes, leaves, root)
