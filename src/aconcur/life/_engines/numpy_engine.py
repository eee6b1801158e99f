"""An engine on numpy: 64 cells a word, a block of rows at a time so that its sums stay in cache.

All views and buffers are made in advance; a generation is a fixed list of ufunc calls that
allocates nothing.
"""

from __future__ import annotations

__all__ = ("Numpy",)

from collections.abc import Callable
from typing import Any, Final, TypeAlias, final

from aconcur.life._engines.base import check_count
from aconcur.life._engines.circuit import Circuit, circuit
from aconcur.life._engines.stripes import StripedCells, Stripes, Words
from aconcur.life._model.arrays import import_numpy
from aconcur.life._model.grid import Grid
from aconcur.life._model.rule import LIFE, Rule

# Bytes of one operand. Measured with 2 MiB of level 2 cache; about eleven operands are in use.
BLOCK: Final = 128 * 1024

Ufunc: TypeAlias = Callable[..., object]
Call: TypeAlias = tuple[Ufunc, Any, Any, Any]
"""A ufunc, its two operands, and the array for its result."""


@final
class Numpy:
    """The engine on numpy. Any rule, on a torus or in a box.

    A generation takes about 25 operations on ``height * width`` bits. numpy releases the GIL inside
    of each call, but the calls are too short for two threads to gain from it; ``nogil`` is False.

    Args:
        grid: the first generation.
        rule: the rule.
        torus: whether opposite edges meet; else dead cells surround the field.

    Raises:
        MissingRequirementError: numpy is not installed.
    """

    __slots__ = ("_calls", "_stripes", "_torus", "_words")

    nogil: Final = False

    def __init__(self, grid: Grid, rule: Rule = LIFE, *, torus: bool = True) -> None:
        np = import_numpy()
        stripes = self._stripes = Stripes(grid.height, grid.width)
        self._torus = torus
        packed = stripes.pack(grid)
        # One spare word at both ends, so that every word has a left and a right neighbour.
        flat = np.zeros(packed.size + 2, np.uint64)
        self._words: Words = flat[1:-1].reshape(packed.shape)
        self._words[...] = packed
        self._calls = _Program(flat, stripes, circuit(rule), torus).calls

    @property
    def population(self) -> int:
        """The number of live cells."""
        return self._stripes.population(self._words[1:-1, 1:-1])

    def step(self, n: int = 1, /) -> None:
        """Advance by ``n`` generations."""
        check_count(n)
        words, torus, calls = self._words, self._torus, self._calls
        left, right, first, last = words[:, 0], words[:, -1], words[:, 1], words[:, -2]
        for _ in range(n):
            # Ghost columns first: the ghost rows then copy the corners with the rest of a row.
            if torus:
                left[...] = last
                right[...] = first
            else:
                left.fill(0)
                right.fill(0)
            for ufunc, a, b, out in calls:
                ufunc(a, b, out)

    def state(self) -> bytes:
        """Return the words as bytes; equal generations have equal states."""
        return self._words[1:-1, 1:-1].tobytes()

    def snapshot(self) -> Grid:
        """Return this generation; copies the words, which are laid out at the first read."""
        return Grid.from_source(StripedCells(self._stripes, self._words[1:-1, 1:-1].copy()))


@final
class _Program:
    """The list of calls that compute one generation, on views that are made once."""

    __slots__ = ("_flat", "_np", "_stride", "_stripes", "_torus", "calls")

    def __init__(self, flat: Any, stripes: Stripes, rule: Circuit, torus: bool) -> None:  # noqa: ANN401
        self._np = import_numpy()
        self._flat, self._stripes, self._torus = flat, stripes, torus
        self._stride: int = stripes.width + 2
        self.calls: list[Call] = []
        self._ghost_rows()
        self._blocks(rule)

    def _rows(self, first: int, count: int, offset: int = 0) -> Any:  # noqa: ANN401
        """Return rows of words as one flat view; row 0 is the ghost row above."""
        start = 1 + first * self._stride + offset
        return self._flat[start : start + count * self._stride]

    def _ghost_rows(self) -> None:
        """Fill the ghost rows: a stripe continues in its neighbour, which is one bit further."""
        np, last = self._np, self._stripes.rows
        long, short = (
            np.uint64(self._stripes.long),
            np.uint64(self._stripes.full ^ self._stripes.long),
        )
        above, below = self._rows(0, 1), self._rows(last + 1, 1)
        other = np.empty_like(above)
        if not short:
            self._rotate(self._rows(last, 1), above, np.left_shift, np.right_shift)
            self._rotate(self._rows(1, 1), below, np.right_shift, np.left_shift)
            return
        self.calls += [
            (np.bitwise_and, self._rows(last, 1), long, other),
            (np.bitwise_and, self._rows(last - 1, 1), short, above),
            (np.bitwise_or, other, above, other),
        ]
        self._rotate(other, above, np.left_shift, np.right_shift)
        self._rotate(self._rows(1, 1), below, np.right_shift, np.left_shift)
        self._rotate(self._rows(2, 1), other, np.right_shift, np.left_shift)
        self.calls += [
            (np.bitwise_and, below, long, below),
            (np.bitwise_and, other, short, other),
            (np.bitwise_or, below, other, below),
        ]

    def _rotate(self, row: Any, out: Any, on: Ufunc, back: Ufunc) -> None:  # noqa: ANN401
        """Move each bit by one; on a torus the last bit enters at the other end."""
        np, count = self._np, self._stripes.count
        self.calls.append((on, row, np.uint64(1), out))
        if self._torus:
            wrapped = np.empty_like(row)
            self.calls += [
                (back, row, np.uint64(count - 1), wrapped),
                (np.bitwise_or, out, wrapped, out),
            ]
        self.calls.append((np.bitwise_and, out, np.uint64(self._stripes.full), out))

    def _blocks(self, rule: Circuit) -> None:
        np, stride, rows = self._np, self._stride, self._stripes.rows
        block = max(1, min(rows, BLOCK // (8 * stride)))
        ones, twos, *buffers = (np.empty((block + 2) * stride, np.uint64) for _ in range(3))
        for row in range(0, rows, block):
            count = min(block, rows - row)
            if row:
                # The block before has overwritten these two rows: reuse its sums of them.
                for each in ones, twos:
                    kept = each[block * stride :]
                    self.calls.append((np.bitwise_or, kept, kept, each[: 2 * stride]))
            self._sums(row, 2 if row else 0, count + 2, ones, twos, buffers[0])
            views = {
                "0": np.uint64(0),
                "1": np.uint64(self._stripes.full),
                "c": self._rows(row + 1, count),
            }
            for name, at in (("n", 0), ("s", stride), ("d", 2 * stride)):
                views[f"{name}0"] = ones[at : at + count * stride]
                views[f"{name}1"] = twos[at : at + count * stride]
            self._gates(rule, views, buffers, count * stride)

    def _sums(self, row: int, start: int, end: int, *buffers: Any) -> None:  # noqa: ANN401
        """Add three cells of each row of the block, and of the rows above and below it."""
        np, part = self._np, slice(start * self._stride, end * self._stride)
        ones, twos, spare = (buffer[part] for buffer in buffers)
        left, middle, right = (self._rows(row + start, end - start, by) for by in (-1, 0, 1))
        self.calls += [
            (np.bitwise_xor, left, right, ones),
            (np.bitwise_and, left, right, twos),
            (np.bitwise_and, ones, middle, spare),
            (np.bitwise_or, twos, spare, twos),
            (np.bitwise_xor, ones, middle, ones),
        ]

    def _gates(self, rule: Circuit, views: dict[str, Any], buffers: list[Any], size: int) -> None:
        """Compute the circuit; a buffer is reused after the last gate that reads it."""
        np = self._np
        ufuncs = {"&": np.bitwise_and, "|": np.bitwise_or, "^": np.bitwise_xor}
        last_use = {name: number for number, gate in enumerate(rule.gates) for name in gate[2:]}
        free, held = list(range(len(buffers))), dict[str, int]()
        for number, gate in enumerate(rule.gates):
            a, b = views[gate.a], views[gate.b]
            done = [name for name in held if last_use[name] == number]
            free += map(held.pop, done)
            if gate.name == rule.result:
                out = views["c"]
            else:
                if not free:
                    free.append(len(buffers))
                    buffers.append(np.empty_like(buffers[0]))
                held[gate.name] = free.pop()
                out = buffers[held[gate.name]][:size]
            views[gate.name] = out
            self.calls.append((ufuncs[gate.op], a, b, out))
        if not rule.gates:
            self.calls.append((np.bitwise_or, views[rule.result], views["0"], views["c"]))
