"""The arrays of the compiled HashLife, and how nodes are read from them.

Entries are only ever added. So a snapshot that keeps the tables can read its nodes at any time,
even while a thread computes in them.
"""

from __future__ import annotations

__all__ = ("BYTES", "TableSquare", "Tables")

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from aconcur.life._hashlife import node_layout as k
from aconcur.life._hashlife.table_kernel import count_cells, make_empties

# A node or leaf takes 32 bytes, and two slots of four bytes in a hash table.
BYTES: Final = 40
# The level of the largest square whose population always fits in a signed word.
_COUNTED: Final = 31


@final
class Tables:
    """The nodes and leaves, and the hash tables in which equal ones are found.

    Args:
        room: the capacity for nodes and for leaves, powers of two.
        shared: arrays that outlive a table (frames, masks, work space), by their index in the head.
        conway: whether the rule is Conway's.
    """

    __slots__ = ("_kept", "address", "head", "leaves", "words")

    def __init__(self, room: tuple[int, int], shared: dict[int, Any], *, conway: bool) -> None:
        nodes, leaves = room
        self.words = memoryview(np.empty(nodes * 4, np.int64).data)
        self.leaves = np.empty(leaves * 4, np.uint64)
        self._kept = shared | {
            k.AT_NODES: np.asarray(self.words),
            k.AT_NODE_TABLE: np.zeros(nodes * 2, np.int32),
            k.AT_LEAVES: self.leaves,
            k.AT_LEAF_TABLE: np.zeros(leaves * 2, np.int32),
        }
        array = np.zeros(k.HEAD, np.int64)
        self.address: int = array.ctypes.data
        self.head = memoryview(array.data)
        for at, kept in self._kept.items():
            self.head[at] = kept.ctypes.data
        self.head[k.NODE_ROOM], self.head[k.LEAF_ROOM] = room
        self.head[k.NODE_SLOTS], self.head[k.LEAF_SLOTS] = nodes * 2 - 1, leaves * 2 - 1
        self.head[k.STACK], self.head[k.CONWAY] = -1, conway
        make_empties(self.address)

    @property
    def room(self) -> tuple[int, int]:
        """The capacity for nodes and for leaves."""
        return self.head[k.NODE_ROOM], self.head[k.LEAF_ROOM]

    @property
    def used(self) -> tuple[int, int]:
        """The number of nodes and of leaves."""
        return self.head[k.NODES], self.head[k.LEAVES]

    def is_full(self) -> bool:
        """Whether one step of a kernel might not find room for its nodes or leaves."""
        return any(used + k.MARGIN > room for used, room in zip(self.used, self.room, strict=True))

    def quarters(self, part: int) -> tuple[int, int, int, int]:
        """Return the references of a node's quarters: nw, ne, sw, se."""
        north, south = self.words[part * 4], self.words[part * 4 + 1]
        return north & k.LOW, north >> 32, south & k.LOW, south >> 32


@final
@dataclass(frozen=True, slots=True)
class TableSquare:
    """A node or leaf, with the tables that it is in."""

    tables: Tables
    part: int
    level: int

    @property
    def population(self) -> int:
        """The number of live cells."""
        return _population(self.tables, self.part, self.level, {})

    @property
    def is_empty(self) -> bool:
        """Whether every cell is dead."""
        return self.part < k.EMPTIES or self.part == k.LEAF

    @property
    def bits(self) -> int:
        """The cells of a leaf: bit ``16 * y + x``."""
        at = (self.part & k.NUMBER) * 4
        return int.from_bytes(self.tables.leaves[at : at + 4].tobytes(), "little")

    @property
    def quarters(self) -> tuple[TableSquare, TableSquare, TableSquare, TableSquare]:
        """North-west, north-east, south-west, south-east."""
        tables, level = self.tables, self.level - 1
        nw, ne, sw, se = tables.quarters(self.part)
        return (
            TableSquare(tables, nw, level),
            TableSquare(tables, ne, level),
            TableSquare(tables, sw, level),
            TableSquare(tables, se, level),
        )


def _population(tables: Tables, part: int, level: int, known: dict[int, int]) -> int:
    if level <= _COUNTED:
        return int(count_cells(tables.head[k.AT_NODES], tables.head[k.AT_LEAVES], part))
    if part not in known:
        quarters = tables.quarters(part) if part >= k.EMPTIES else ()
        known[part] = sum(_population(tables, quarter, level - 1, known) for quarter in quarters)
    return known[part]
