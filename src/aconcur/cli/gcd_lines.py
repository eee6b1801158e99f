"""The lines of ``aconcur gcd``, parsed and answered. It imports little: workers wait for it."""

from __future__ import annotations

__all__ = ("Block", "Done", "divisors")

import time
from typing import Final, NamedTuple

# Seconds after which the rest of a block is shared out among all workers; a guess.
_BUDGET: Final = 0.1


class Block(NamedTuple):
    """Consecutive lines."""

    number: int
    """The number of the first one, from 1."""
    lines: bytes


class Done(NamedTuple):
    """The answers to a block."""

    text: str
    """The lines to print."""
    answered: int
    """How many pairs they answer."""
    wrong: list[tuple[int, str]]
    """The numbers of wrong lines, each with the reason."""
    following: int
    """The number of the first line that is left."""
    left: list[str]
    """The lines for which there was no time."""


def divisors(block: Block) -> Done:
    """Compute the lines of a block until its time is up. Runs in a worker.

    A first line of names and empty lines are skipped.
    """
    answers: list[str] = []
    wrong: list[tuple[int, str]] = []
    first, data = block
    # Spreadsheets write a byte order mark before the first line.
    lines = data.decode("utf-8-sig" if first == 1 else "utf-8", "replace").split("\n")
    ends = time.monotonic() + _BUDGET
    for number, text in enumerate(lines, first):
        try:
            a, b = map(int, text.split(","))
        except ValueError:
            text = text.strip()
            if text and not (number == 1 and _is_head(text)):
                wrong.append((number, f"two whole numbers are wanted, not {text:.60}"))
            continue
        if a < 1 or b < 1:
            wrong.append((number, f"both must be at least 1, not {min(a, b)}"))
        else:
            answers.append(f"{a},{b},{_gcd(a, b)}\n")
        if time.monotonic() > ends:
            left = lines[number + 1 - first :]
            return Done("".join(answers), len(answers), wrong, number + 1, left)
    return Done("".join(answers), len(answers), wrong, 0, [])


def _gcd(a: int, b: int) -> int:
    """Return the greatest common divisor by brute force: about 0.05 µs a trial."""
    for divisor in range(min(a, b), 0, -1):
        if a % divisor == 0 and b % divisor == 0:
            return divisor
    raise AssertionError("1 divides every number")


def _is_head(text: str) -> bool:
    return all(field.strip().isidentifier() for field in text.split(","))
