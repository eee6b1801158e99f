"""The leap, with an explicit stack instead of recursion.

Importing this module imports numba. Nothing here allocates memory or holds the GIL. An unfinished
leap stays on the stack, so that it can be interrupted after any step, and continued in larger
tables.
"""

from __future__ import annotations

__all__ = ("begin", "leap")

import numpy as np

from aconcur.life._engines.njit import Word, kernel
from aconcur.life._hashlife.leaf_kernel import advance_leaves
from aconcur.life._hashlife.node_layout import (
    BOTTOM,
    CONWAY,
    DONE,
    EMPTIES,
    FRAME,
    FULL,
    HIGHEST,
    LATE,
    LEAF,
    LEAF_ROOM,
    LEAVES,
    LEVEL,
    LOW,
    MARGIN,
    NODE_ROOM,
    NODES,
    NUMBER,
    ROOT,
    STACK,
    TOO_LARGE,
    Tables,
    find_leaf,
    join,
    quarters,
    tables,
)


@kernel()
def push(t: Tables, node: Word) -> None:
    """Push a frame for a node, with its nine overlapping squares of half the side."""
    sp = t.head[STACK] + 1
    t.head[STACK] = sp
    at = sp * FRAME
    frames = t.frames
    nw, ne, sw, se = quarters(t, node)
    _, nw_ne, nw_sw, nw_se = quarters(t, nw)
    ne_nw, _, ne_sw, ne_se = quarters(t, ne)
    sw_nw, sw_ne, _, sw_se = quarters(t, sw)
    se_nw, se_ne, se_sw, _ = quarters(t, se)
    frames[at] = node
    frames[at + 1] = 0
    frames[at + 2] = nw
    frames[at + 3] = join(t, nw_ne, ne_nw, nw_se, ne_sw)
    frames[at + 4] = ne
    frames[at + 5] = join(t, nw_sw, nw_se, sw_nw, sw_ne)
    frames[at + 6] = join(t, nw_se, ne_sw, sw_ne, se_nw)
    frames[at + 7] = join(t, ne_sw, ne_se, se_nw, se_ne)
    frames[at + 8] = sw
    frames[at + 9] = join(t, sw_ne, se_nw, sw_se, se_sw)
    frames[at + 10] = se


@kernel(inline="always")
def advance_four(t: Tables, nw: Word, ne: Word, sw: Word, se: Word, n: Word) -> Word:
    four = (nw & NUMBER, ne & NUMBER, sw & NUMBER, se & NUMBER)
    advance_leaves(t.rows, four, n, t.masks, t.head[CONWAY] != 0, t.work, t.head[LEAVES])
    return find_leaf(t.head, t.leaves, t.leaf_table)


@kernel()
def middle(t: Tables, level: Word, nw: Word, ne: Word, sw: Word, se: Word) -> Word:
    """Return the middle of four squares of a level."""
    if level == BOTTOM:
        return advance_four(t, nw, ne, sw, se, 0)
    nodes = t.nodes
    return join(
        t,
        nodes[nw * 4 + 1] >> 32,
        nodes[ne * 4 + 1] & LOW,
        nodes[sw * 4] >> 32,
        nodes[se * 4] & LOW,
    )


@kernel()
def leap(address: Word, j: Word, budget: Word) -> Word:
    """Continue the leap on the stack for ``budget`` steps of less than a microsecond each.

    Returns:
        DONE, and the root is the result; LATE after ``budget`` steps; FULL if there is no room.
    """
    t = tables(address)
    head, nodes, frames = t.head, t.nodes, t.frames
    node_room, leaf_room = head[NODE_ROOM] - MARGIN, head[LEAF_ROOM] - MARGIN
    while head[STACK] >= 0:
        if budget < 0:
            return LATE
        if head[NODES] > node_room or head[LEAVES] > leaf_room:
            return FULL
        budget -= 1
        sp = head[STACK]
        level = head[LEVEL] - sp
        at = sp * FRAME
        c = at + 2
        # The longest leap of a node takes two steps of half the length; a shorter one takes only
        # the first, and then the middles of the parts.
        full = j >= level - 2
        i = min(j, level - 3)
        known = (i + 1) << 32
        due = frames[at + 1]
        end = 13 if full else 9
        deeper = False
        while due < end:
            part = frames[c + due]
            if part < EMPTIES:
                found = part - 1 if level > BOTTOM + 2 else np.int64(LEAF)
            else:
                memo = nodes[part * 4 + 2]
                found = memo & LOW
                if memo - found != known:
                    if level > BOTTOM + 2:
                        frames[at + 1] = due
                        push(t, part)
                        deeper = True
                        break
                    nw, ne, sw, se = quarters(t, part)
                    found = advance_four(t, nw, ne, sw, se, 1 << i)
                    nodes[part * 4 + 2] = known | found
                    budget -= 1
            frames[c + due] = found
            due += 1
            if due == 9:
                for k in range(4):
                    a = c + k + (k >> 1)
                    nw, ne, sw, se = frames[a], frames[a + 1], frames[a + 3], frames[a + 4]
                    if full:
                        frames[c + 9 + k] = join(t, nw, ne, sw, se)
                    else:
                        frames[c + 9 + k] = middle(t, level - 2, nw, ne, sw, se)
        if deeper:
            continue
        found = join(t, frames[c + 9], frames[c + 10], frames[c + 11], frames[c + 12])
        nodes[frames[at] * 4 + 2] = ((min(j, level - 2) + 1) << 32) | found
        head[ROOT] = found
        head[STACK] = sp - 1
    return DONE


@kernel(inline="always")
def is_empty(part: Word) -> Word:
    return part < EMPTIES or part == LEAF


@kernel()
def is_central(t: Tables, node: Word) -> bool:
    """Return whether no live cell can leave the middle half in one leap."""
    nw, ne, sw, se = quarters(t, node)
    for _ in range(2):
        a, b, c, nw = quarters(t, nw)
        if not (is_empty(a) and is_empty(b) and is_empty(c)):
            return False
        a, b, ne, c = quarters(t, ne)
        if not (is_empty(a) and is_empty(b) and is_empty(c)):
            return False
        a, sw, b, c = quarters(t, sw)
        if not (is_empty(a) and is_empty(b) and is_empty(c)):
            return False
        se, a, b, c = quarters(t, se)
        if not (is_empty(a) and is_empty(b) and is_empty(c)):
            return False
    return True


@kernel()
def begin(address: Word, j: Word) -> Word:
    """Grow the root until no live cell can leave its middle in this leap, and push it.

    Returns:
        DONE; FULL if there is no room for nodes; TOO_LARGE if the plane has no higher level.
    """
    t = tables(address)
    head = t.head
    while head[LEVEL] < max(j, BOTTOM) + 3 or not is_central(t, head[ROOT]):
        if head[NODES] > head[NODE_ROOM] - MARGIN:
            return FULL
        if head[LEVEL] >= HIGHEST:
            return TOO_LARGE
        none = head[LEVEL] - 1
        nw, ne, sw, se = quarters(t, head[ROOT])
        head[ROOT] = join(
            t,
            join(t, none, none, none, nw),
            join(t, none, none, ne, none),
            join(t, none, sw, none, none),
            join(t, se, none, none, none),
        )
        head[LEVEL] += 1
    if head[NODES] > head[NODE_ROOM] - MARGIN:
        return FULL
    head[STACK] = -1
    push(t, head[ROOT])
    return DONE
