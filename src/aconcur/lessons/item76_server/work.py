"""The protocol: a line is asked, a line is answered.

Rule: nothing here knows of sockets, threads or tasks.
"""

from __future__ import annotations

__all__ = ("Dialogue", "answer", "dialogues")

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

Dialogue: TypeAlias = list[str]
"""The lines that one client asks."""

LINES = 20
HOST = "127.0.0.1"


def answer(line: str) -> str:
    """Return the sum of the numbers in a line.

    A line that holds other words gets an error, in words.
    """
    try:
        return str(sum(map(int, line.split())))
    except ValueError:
        return f"error: not all numbers: {line.strip()!r}"


@contextmanager
def dialogues(
    size: int, seed: int
) -> Iterator[tuple[list[Dialogue]]]:
    """Give the dialogues of `size` clients."""
    draw = random.Random(seed)

    def line() -> str:
        if draw.random() < 0.1:
            return "one two"
        return " ".join(
            str(draw.randint(0, 999)) for _ in range(5)
        )

    yield (
        [
            [line() for _ in range(LINES)]
            for _ in range(size)
        ],
    )
