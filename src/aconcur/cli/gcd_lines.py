"""The lines of ``aconcur gcd``, read and answered. Imports little: workers wait for it."""

from __future__ import annotations

__all__ = ("Block", "Done", "divisors")

import time
from typing import Final, NamedTuple

from aconcur.lessons.item41_futures.work import gcd

# Seconds after which the rest of a block is shared out among all workers; a guess.
_BUDGET: Final = 0.1


class Block(NamedTuple):
    """Lines that stand together."""

    number: int
    """The first one's, from 1."""
    lines: bytes


class Done(NamedTuple):
    """What became of a block."""

    text: str
    """What to print."""
    answered: int
    """How many pairs that answers."""
    wrong: list[tuple[int, str]]
    """The numbers of wrong lines, and what is wrong with them."""
    following: int
    """The number of the first line that is left."""
    left: list[str]
    """The lines for which there was no time."""


def divisors(block: Block) -> Done:
    """Compute lines, for some time; runs in a worker.

    A first line of names and empty lines are passed over.
    """
    answers: list[str] = []
    wrong: list[tuple[int, str]] = []
    first, data = block
    # A mark of the encoding, as spreadsheets write it, stands before the first line.
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
            answers.append(f"{a},{b},{gcd((a, b))}\n")
        if time.monotonic() > ends:
            left = lines[number + 1 - first :]
            return Done("".join(answers), len(answers), wrong, number + 1, left)
    return Done("".join(answers), len(answers), wrong, 0, [])


def _is_head(text: str) -> bool:
    return all(field.strip().isidentifier() for field in text.split(","))
