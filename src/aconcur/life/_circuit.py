"""A rule as bit operations: the next state of as many cells as a word, or an integer, has bits.

Rule: a cell is one of the nine that are counted, so the sum T of a 3 × 3 block, 0 to 9, and the
cell itself tell all: the cell lives next if T is in B (dead) or T - 1 is in S (alive).

An engine adds the three cells of each row; the sum of three rows has the binary digits t0, t1, t2
and t3. From these the next state is worked out by a circuit that is searched for each rule. The
search splits the truth table by one digit after the other, in the way of Shannon (``x ? hi : lo``)
or of Davio (``lo ^ x & (lo ^ hi)``), and keeps what takes the fewest gates; sums above 9 are free
to be anything.
"""

from __future__ import annotations

__all__ = ("Circuit", "Gate", "circuit")

from collections.abc import Iterator
from functools import lru_cache
from itertools import permutations
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


ADDER: Final = (
    Gate("ns", "^", "n0", "s0"),
    Gate("t0", "^", "ns", "d0"),
    # The carry of weight two, and the four bits of that weight.
    Gate("ka", "&", "n0", "s0"),
    Gate("kb", "&", "ns", "d0"),
    Gate("k", "|", "ka", "kb"),
    Gate("u", "^", "n1", "s1"),
    Gate("w", "^", "d1", "k"),
    Gate("t1", "^", "u", "w"),
    # The carries of weight four.
    Gate("v", "&", "n1", "s1"),
    Gate("z", "&", "d1", "k"),
    Gate("q", "&", "u", "w"),
    Gate("y", "^", "v", "z"),
    Gate("t2", "^", "y", "q"),
)


# The name of an input, or an operation on two expressions.
Expression: TypeAlias = "str | tuple[str, Expression, Expression]"
Gates: TypeAlias = frozenset[Expression]
Found: TypeAlias = tuple[Expression, Gates]
# What stands in a truth table: 0, 1, 2 for the cell, 3 for its opposite; None is free.
Entry: TypeAlias = int | None
Table: TypeAlias = tuple[Entry, ...]

# t3 is rarely needed, so that its gates count.
T3: Final[Expression] = ("|", ("&", "v", "z"), ("&", "y", "q"))
DIGITS: Final[tuple[Expression, ...]] = ("t0", "t1", "t2", T3)


@lru_cache(maxsize=256)
def circuit(rule: Rule) -> Circuit:
    """Return the circuit of a rule; Conway's takes 18 gates, 5 of them after the sum."""
    table = tuple(_entry(rule, total) for total in range(16))
    best = min(_candidates(table), key=lambda found: len(found[1]))
    return _prune(_emit(best[0]))


def _entry(rule: Rule, total: int) -> Entry:
    """Return what becomes of a cell in a block of that sum, as a function of the cell."""
    if total > 9:
        return None
    # A live cell is in the sum itself, a dead one is not.
    dead = total in rule.born if total <= 8 else None
    live = total - 1 in rule.survives if total else None
    dead, live = (live if dead is None else dead), (dead if live is None else live)
    return bool(dead) | (dead != live) << 1


def _candidates(table: Table) -> Iterator[Found]:
    """Search with the digits as they are, and with one replaced by its sum with another."""
    memo: dict[tuple[Table, tuple[Expression, ...]], Found] = {}
    yield _search(table, DIGITS, memo)
    for a, b in permutations(range(4), 2):
        digits = list(DIGITS)
        digits[a] = _gate("^", DIGITS[a], DIGITS[b])
        changed = tuple(table[t ^ (t >> b & 1) << a] for t in range(16))
        yield _search(changed, tuple(digits), memo)


def _search(
    table: Table,
    digits: tuple[Expression, ...],
    memo: dict[tuple[Table, tuple[Expression, ...]], Found],
) -> Found:
    known = memo.get((table, digits))
    if known is None:
        settled = {entry for entry in table if entry is not None}
        if len(settled) <= 1:
            leaf = ("0", "1", "c", _gate("^", "c", "1"))[settled.pop() if settled else 0]
            known = leaf, _gates(leaf)
        else:
            ways = (
                (way, _gates(way))
                for index in range(len(digits))
                for way in _split(table, digits, index, memo)
            )
            known = min(ways, key=lambda found: len(found[1]))
        memo[table, digits] = known
    return known


def _split(
    table: Table,
    digits: tuple[Expression, ...],
    index: int,
    memo: dict[tuple[Table, tuple[Expression, ...]], Found],
) -> Iterator[Expression]:
    """Yield expressions that ask for this digit first."""
    low = tuple(entry for t, entry in enumerate(table) if not t >> index & 1)
    high = tuple(entry for t, entry in enumerate(table) if t >> index & 1)
    x, rest = digits[index], digits[:index] + digits[index + 1 :]

    def find(part: Table) -> Expression:
        return _search(part, rest, memo)[0]

    either = tuple(b if a is None else a for a, b in zip(low, high, strict=True))
    if all(b in (None, a) for a, b in zip(either, high, strict=True)):
        yield find(either)
        return
    if _can_be(low, 0):
        yield _gate("&", x, find(high))
    if _can_be(high, 1):
        yield _gate("|", x, find(low))
    if _can_be(high, 0):
        yield _gate("&", _gate("^", x, "1"), find(low))
    if _can_be(low, 1):
        yield _gate("|", _gate("^", x, "1"), find(high))
    # Davio: what is free in one half takes the other half's entry, so that they differ less.
    difference = tuple(
        None if b is None else 0 if a is None else a ^ b for a, b in zip(low, high, strict=True)
    )
    yield _gate("^", find(either), _gate("&", x, find(difference)))
    lower = find(low)
    yield _gate("^", lower, _gate("&", x, _gate("^", lower, find(high))))


def _can_be(table: Table, value: int) -> bool:
    return all(entry in (None, value) for entry in table)


def _gate(op: str, a: Expression, b: Expression) -> Expression:
    """Return the operation, or what it comes to with a constant."""
    if a in ("0", "1"):
        a, b = b, a
    if b == "0":
        return "0" if op == "&" else a
    if b == "1" and op != "^":
        return a if op == "&" else "1"
    if a == b:
        return "0" if op == "^" else a
    if b == "1" and isinstance(a, tuple) and a[0] == "^" and a[2] == "1":
        return a[1]
    return op, a, b


@lru_cache(maxsize=1 << 16)
def _gates(expression: Expression) -> Gates:
    """Return the distinct operations in an expression."""
    if isinstance(expression, str):
        return frozenset()
    _, a, b = expression
    return _gates(a) | _gates(b) | {expression}


def _emit(expression: Expression) -> Circuit:
    names: dict[Expression, str] = {}
    gates: list[Gate] = []

    def name(part: Expression) -> str:
        if isinstance(part, str):
            return part
        if part not in names:
            op, a, b = part
            operands = name(a), name(b)
            names[part] = f"g{len(gates)}"
            gates.append(Gate(names[part], op, *operands))
        return names[part]

    result = name(expression)
    return Circuit((*ADDER, *gates), result)


def _prune(whole: Circuit) -> Circuit:
    """Leave out what the result does not need."""
    needed, kept = {whole.result}, list[Gate]()
    for gate in reversed(whole.gates):
        if gate.name in needed:
            needed |= {gate.a, gate.b}
            kept.append(gate)
    return Circuit(tuple(reversed(kept)), whole.result)
