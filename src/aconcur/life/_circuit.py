"""A rule as bit operations: the next state of as many cells as a word, or an integer, has bits.

Rule: a cell is one of the nine that are counted, so the sum T of a 3 × 3 block, 0 to 9, and the
cell itself tell all: the cell lives next if T is in B (dead) or T - 1 is in S (alive).

An engine adds the three cells of each row; the sum of three rows has the binary digits t0, t1, t2
and t3. From these and the cell the next state is worked out by a circuit that is searched for each
rule. The search splits the truth table by one input after the other, in the way of Shannon (``x ?
hi : lo``) or of Davio (``lo ^ x & (lo ^ hi)``), and keeps what takes the fewest gates; what no
block comes to is free to be anything.
"""

from __future__ import annotations

__all__ = ("Circuit", "Gate", "circuit")

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from aconcur.life._rule import Rule


class Gate(NamedTuple):
    """One operation on two operands."""

    name: str
    op: str
    """``&``, ``|`` or ``^``."""
    a: str
    b: str


class Circuit(NamedTuple):
    """Gates in the order in which they can be computed, and which name is the next state.

    It begins with all zeros "0", all ones "1", the cell "c", and the sums of three cells in the
    row above, the cell's own and the row below: "n0" + 2 × "n1", "s0" + 2 × "s1", "d0" + 2 × "d1".
    """

    gates: tuple[Gate, ...]
    result: str


# How the rows' sums are added: the digits, and before each what it is made of. Of the three
# carries of weight four, v and z alone can meet, in sums of 8 and 9.
ADDER: Final = (
    ("ns", "^", "n0", "s0"),
    ("t0", "^", "ns", "d0"),
    ("ka", "&", "n0", "s0"),
    ("kb", "&", "ns", "d0"),
    ("k", "|", "ka", "kb"),
    ("u", "^", "n1", "s1"),
    ("w", "^", "d1", "k"),
    ("t1", "^", "u", "w"),
    ("v", "&", "n1", "s1"),
    ("z", "&", "d1", "k"),
    ("q", "&", "u", "w"),
    ("y", "^", "v", "z"),
    ("t2", "^", "y", "q"),
    ("t3", "&", "v", "z"),
    # In place of t2, and as cheap: 4 or more.
    ("e", "|", "v", "z"),
    ("h", "|", "e", "q"),
)
INPUTS: Final = ("0", "1", "c", "n0", "n1", "s0", "s1", "d0", "d1")

# A bit for each of the 32 cases: number t0 + 2 t1 + 4 t2 + 8 t3 + 16 c.
DIGITS: Final = ("t0", "t1", "t2", "t3", "c")
ALL: Final = 2**32 - 1
WHERE_SET: Final = tuple(
    sum(1 << case for case in range(32) if case >> index & 1) for index in range(5)
)

# Pairs of inputs of which the first may be asked for by its sum with the second; those that most
# often save a gate come first.
SUMS: Final = ((0, 2), (1, 0), (0, 4), (1, 2), (2, 4))
# A try takes some ms: each of them lets a circuit of one gate more be good enough.
ENOUGH: Final = 16

# The number of an input or a gate.
Node: TypeAlias = int


class Table(NamedTuple):
    """In which cases a function is 1, and in which 0; elsewhere it is free."""

    on: int
    off: int

    def half(self, index: int, high: bool) -> Table:
        """Return the function where that input is 1, or 0, as one that does not ask for it."""
        where, by = WHERE_SET[index], 1 << index
        if high:
            on, off = self.on & where, self.off & where
            return Table(on | on >> by, off | off >> by)
        on, off = self.on & ~where, self.off & ~where
        return Table(on | on << by, off | off << by)


class _Net:
    """Gates, each once. The search keeps the nodes, and their costs as sets of bits."""

    def __init__(self) -> None:
        self.names = list(INPUTS)
        self.parts: list[tuple[str, Node, Node] | None] = [None] * len(INPUTS)
        # Of each node the gates it needs, itself among them: a bit each.
        self.needs = [0] * len(INPUTS)
        self.known: dict[tuple[str, Node, Node], Node] = {}
        for name, op, a, b in ADDER:
            self.names[self.gate(op, self.names.index(a), self.names.index(b))] = name

    def gate(self, op: str, a: Node, b: Node) -> Node:
        """Return the operation, or what it comes to with a constant, which are nodes 0 and 1."""
        if a > b:
            a, b = b, a
        if a == 0:
            return 0 if op == "&" else b
        if a == 1 and op != "^":
            return b if op == "&" else 1
        if a == b:
            return 0 if op == "^" else a
        part = self.parts[b]
        if op == "^" and part is not None and part[0] == "^" and a in part[1:]:
            return part[2] if part[1] == a else part[1]
        found = self.known.setdefault((op, a, b), len(self.names))
        if found == len(self.names):
            self.names.append(f"g{found}")
            self.parts.append((op, a, b))
            self.needs.append(self.needs[a] | self.needs[b] | 1 << found)
        return found

    def cost(self, node: Node) -> int:
        """Return the number of gates that a node needs."""
        return self.needs[node].bit_count()

    def circuit(self, result: Node) -> Circuit:
        """Return what the result needs, in order."""
        needed = self.needs[result]
        gates = [
            Gate(self.names[node], part[0], self.names[part[1]], self.names[part[2]])
            for node, part in enumerate(self.parts)
            if part and needed >> node & 1
        ]
        return Circuit(tuple(gates), self.names[result])


@lru_cache(maxsize=256)
def circuit(rule: Rule) -> Circuit:
    """Return the circuit of a rule; Conway's takes 18 gates, 5 of them after the sum."""
    net, found = _Net(), list[Node]()
    for inputs, cases in _forms(net, _table(rule)):
        found.append(_Search(net, inputs).find(cases))
        best = min(found, key=net.cost)
        if net.cost(best) <= ENOUGH + len(found):
            break
    return net.circuit(best)


def _forms(net: _Net, table: Table) -> Iterator[tuple[list[Node], Table]]:
    """Yield inputs to ask for, and the rule in terms of them."""
    digits = [net.names.index(digit) for digit in DIGITS]
    by_h = [*digits[:2], net.names.index("h"), *digits[3:]]
    forms = [(digits, table), (by_h, _add(table, 2, 3))]
    sums = [
        ([*inputs[:a], net.gate("^", inputs[a], inputs[b]), *inputs[a + 1 :]], _add(cases, a, b))
        for a, b in SUMS
        for inputs, cases in forms
    ]
    # Conway's rule needs the second.
    yield from (forms[0], sums[0], forms[1], *sums[1:])


def _table(rule: Rule) -> Table:
    on = off = 0
    # A live cell is in the sum itself, a dead one is not.
    for alive in (False, True):
        for neighbours in range(9):
            case = 1 << (neighbours + 17 * alive)
            if rule.lives(alive, neighbours):
                on |= case
            else:
                off |= case
    return Table(on, off)


def _add(table: Table, a: int, b: int) -> Table:
    """Return the table of inputs of which a is replaced by its sum with b."""
    by = 1 << a
    moved = WHERE_SET[b]
    up, down = moved & ~WHERE_SET[a], moved & WHERE_SET[a]
    on, off = ((each & ~moved) | (each & up) << by | (each & down) >> by for each in table)
    return Table(on, off)


class _Search:
    """Finds gates for a table, by given inputs."""

    def __init__(self, net: _Net, inputs: list[Node]) -> None:
        self.net, self.inputs = net, inputs
        self.memo: dict[Table, Node] = {}

    def find(self, table: Table) -> Node:
        """Return the node that takes the fewest gates of those tried."""
        if not table.on:
            return 0
        if not table.off:
            return 1
        known = self.memo.get(table)
        if known is None:
            known = self.memo[table] = min(self.ways(table), key=self.net.cost)
        return known

    def ways(self, table: Table) -> Iterator[Node]:
        """Yield nodes that do, each asking for another input first."""
        for index, x in enumerate(self.inputs):
            low, high = table.half(index, False), table.half(index, True)
            if low == high:
                continue
            if not (low.on & high.off or low.off & high.on):
                yield self.find(Table(low.on | high.on, low.off | high.off))
                return
            yield from self.split(x, low, high)

    def split(self, x: Node, low: Table, high: Table) -> Iterator[Node]:
        """Yield nodes that ask for x first."""
        gate, find = self.net.gate, self.find
        if not low.on:
            yield gate("&", x, find(high))
        if not high.off:
            yield gate("|", x, find(low))
        if not high.on:
            yield gate("&", gate("^", 1, x), find(low))
        if not low.off:
            yield gate("|", gate("^", 1, x), find(high))
        # Davio: what is free in one half takes the other half's entry, so that they differ less.
        differ, same = low.on & high.off | low.off & high.on, low.on & high.on | low.off & high.off
        free_low, free_high = ALL & ~(low.on | low.off), ALL & ~(high.on | high.off)
        same |= free_low & (high.on | high.off)
        first = Table(low.on | high.on & free_low, low.off | high.off & free_low)
        yield gate("^", find(first), gate("&", x, find(Table(differ, same))))
        # The same from the other half: x | d is 1 where x is.
        last = Table(high.off | low.off & free_high, high.on | low.on & free_high)
        same = low.on & high.on | low.off & high.off | free_high & (low.on | low.off)
        yield gate("^", find(last), gate("|", x, find(Table(same, differ))))
        lower = find(low)
        yield gate("^", lower, gate("&", x, gate("^", lower, find(high))))
