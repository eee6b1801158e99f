"""The job: look a word up, which takes a while.

It exists twice, as code that moves exists for a time: the
old form blocks, the new one awaits.
"""

from __future__ import annotations

__all__ = ("lookup", "lookup_async", "words")

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

WAIT = 0.005  # seconds: about an answer of a database


def meaning(word: str) -> int:
    """Return the number that stands for a word."""
    return sum(map(ord, word))


def lookup(word: str) -> int:
    """Block for a while; return the word's number."""
    time.sleep(WAIT)
    return meaning(word)


async def lookup_async(word: str) -> int:
    """Wait for a while; return the same."""
    await anyio.sleep(WAIT)
    return meaning(word)


@contextmanager
def words(
    size: int, seed: int
) -> Iterator[tuple[list[str]]]:
    """Give `size` words."""
    draw = random.Random(seed)
    yield (
        [
            "".join(draw.choices("abcdefgh", k=8))
            for _ in range(size)
        ],
    )
