"""Compile a rule to a circuit of bit operations, which computes the next state of many cells.

The sum T of a 3 × 3 block, 0 to 9, includes the cell itself. So T and the cell determine its next
state: a dead cell is born if T is in B, and a live cell survives if T - 1 is in S.

An engine adds the three cells of each row; the sum of three rows has the binary digits t0, t1, t2
and t3. The circuit from these digits and the cell to the next state is searched for each rule. The
search splits the truth table by one input after the other, by Shannon's expansion (``x ? hi : lo``)
or Davio's (``lo ^ x & (lo ^ hi)``), and keeps the split with the fewest gates. Combinations that
cannot occur, such as T = 0 for a live cell, may take either value ("don't care").
"""

from __future__ import annotations

__all__ = ("Circuit", "Gate", "circuit")

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from aconcur.life._model.rule import Rule


class Gate(NamedTuple):
    """One operation on two operands."""

    name: str
    op: str
    """``&``, ``|`` or ``^``."""
    a: str
    b: str


class Circuit(NamedTuple):
    """Gates in an order in which they can be computed, and the name of the next state.

    The inputs are all zeros "0", all ones "1", the cell "c", and the sums of three cells in the
    row above, the cell's own row and the row below: "n0" + 2 × "n1", "s0" + 2 × "s1", "d0" + 2 ×
    "d1".
    """

    gates: tuple[Gate, ...]
    result: str


# The adder of three row sums: each digit follows the gates that it needs. Of the three carries of
# weight four, only v and z can be set at once, in sums of 8 and 9.
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
    # h (the sum is at least 4) can be used instead of t2, and costs the same.
    ("e", "|", "v", "z"),
    ("h", "|", "e", "q"),
)
INPUTS: Final = ("0", "1", "c", "n0", "n1", "s0", "s1", "d0", "d1")

# A truth table has a bit for each of 32 cases; case number t0 + 2 t1 + 4 t2 + 8 t3 + 16 c.
DIGITS: Final = ("t0", "t1", "t2", "t3", "c")
ALL: Final = 2**32 - 1
WHERE_SET: Final = tuple(
    sum(1 << case for case in range(32) if case >> index & 1) for index in range(5)
)

# Pairs of inputs, by index, in which the first may be replaced by its xor with the second. The
# pairs that most often save a gate come first.
SUMS: Final = ((0, 2), (1, 0), (0, 4), (1, 2), (2, 4))
# Stop searching at this many gates, plus one for each form tried so far: a form takes some ms.
ENOUGH: Final = 16

# The index of an input or a gate.
Node: TypeAlias = int


class Table(NamedTuple):
    """The cases in which a function is 1, and in which it is 0; elsewhere it may be either."""

    on: int
    off: int

    def half(self, index: int, high: bool) -> Table:
        """Return the function with this input fixed to 1, or to 0."""
        where, by = WHERE_SET[index], 1 << index
        if high:
            on, off = self.on & where, self.off & where
            return Table(on | on >> by, off | off >> by)
        on, off = self.on & ~where, self.off & ~where
        return Table(on | on << by, off | off << by)


class _Net:
    """A network of gates in which equal gates are shared, so that costs are sets of gates."""

    def __init__(self) -> None:
        self.names = list(INPUTS)
        self.parts: list[tuple[str, Node, Node] | None] = [None] * len(INPUTS)
        # For each node a bit set of the gates that it needs, itself included.
        self.needs = [0] * len(INPUTS)
        self.known: dict[tuple[str, Node, Node], Node] = {}
        for name, op, a, b in ADDER:
            self.names[self.gate(op, self.names.index(a), self.names.index(b))] = name

    def gate(self, op: str, a: Node, b: Node) -> Node:
        """Return the node of an operation, simplified if an operand is a constant (node 0 or 1)."""
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
        """Return the number of gates that a node needs, with shared gates counted once."""
        return self.needs[node].bit_count()

    def circuit(self, result: Node) -> Circuit:
        """Return the gates that the result needs, in order."""
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
    """Yield sets of inputs to split by, and the rule's truth table in terms of them."""
    digits = [net.names.index(digit) for digit in DIGITS]
    by_h = [*digits[:2], net.names.index("h"), *digits[3:]]
    forms = [(digits, table), (by_h, _add(table, 2, 3))]
    sums = [
        ([*inputs[:a], net.gate("^", inputs[a], inputs[b]), *inputs[a + 1 :]], _add(cases, a, b))
        for a, b in SUMS
        for inputs, cases in forms
    ]
    # The second form gives the best circuit for Conway's rule.
    yield from (forms[0], sums[0], forms[1], *sums[1:])


def _table(rule: Rule) -> Table:
    on = off = 0
    # A live cell is counted in its own sum.
    for alive in (False, True):
        for neighbours in range(9):
            case = 1 << (neighbours + 17 * alive)
            if rule.lives(alive, neighbours):
                on |= case
            else:
                off |= case
    return Table(on, off)


def _add(table: Table, a: int, b: int) -> Table:
    """Return the truth table after input a is replaced by its xor with input b."""
    by = 1 << a
    moved = WHERE_SET[b]
    up, down = moved & ~WHERE_SET[a], moved & WHERE_SET[a]
    on, off = ((each & ~moved) | (each & up) << by | (each & down) >> by for each in table)
    return Table(on, off)


class _Search:
    """Search for the cheapest node of a truth table, by given inputs."""

    def __init__(self, net: _Net, inputs: list[Node]) -> None:
        self.net, self.inputs = net, inputs
        self.memo: dict[Table, Node] = {}

    def find(self, table: Table) -> Node:
        """Return the node with the fewest gates among those tried."""
        if not table.on:
            return 0
        if not table.off:
            return 1
        known = self.memo.get(table)
        if known is None:
            known = self.memo[table] = min(self.ways(table), key=self.net.cost)
        return known

    def ways(self, table: Table) -> Iterator[Node]:
        """Yield nodes that compute the table, each split by another input first."""
        for index, x in enumerate(self.inputs):
            low, high = table.half(index, False), table.half(index, True)
            if low == high:
                continue
            if not (low.on & high.off or low.off & high.on):
                yield self.find(Table(low.on | high.on, low.off | high.off))
                return
            yield from self.split(x, low, high)

    def split(self, x: Node, low: Table, high: Table) -> Iterator[Node]:
        """Yield nodes that are split by x first."""
        gate, find = self.net.gate, self.find
        if not low.on:
            yield gate("&", x, find(high))
        if not high.off:
            yield gate("|", x, find(low))
        if not high.on:
            yield gate("&", gate("^", 1, x), find(low))
        if not low.off:
            yield gate("|", gate("^", 1, x), find(high))
        # Davio: free cases of one half take the value of the other, so that the halves differ less.
        differ, same = low.on & high.off | low.off & high.on, low.on & high.on | low.off & high.off
        free_low, free_high = ALL & ~(low.on | low.off), ALL & ~(high.on | high.off)
        same |= free_low & (high.on | high.off)
        first = Table(low.on | high.on & free_low, low.off | high.off & free_low)
        yield gate("^", find(first), gate("&", x, find(Table(differ, same))))
        # The same from the other half, as x | d is 1 wherever x is.
        last = Table(high.off | low.off & free_high, high.on | low.on & free_high)
        same = low.on & high.on | low.off & high.off | free_high & (low.on | low.off)
        yield gate("^", find(last), gate("|", x, find(Table(same, differ))))
        lower = find(low)
        yield gate("^", lower, gate("&", x, gate("^", lower, find(high))))
