"""The job: a slow hash of a password, as at a log-in.

It takes some 5 ms of C code, which releases the GIL.
"""

from __future__ import annotations

__all__ = ("digest", "passwords")

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

ROUNDS = 8_000


def digest(password: str) -> str:
    """Return the hash of a password; blocks for 5 ms."""
    raw = hashlib.pbkdf2_hmac(
        "sha256", password.encode(), b"salt", ROUNDS
    )
    return raw.hex()


@contextmanager
def passwords(
    size: int, seed: int
) -> Iterator[tuple[list[str]]]:
    """Give `size` passwords."""
    draw = random.Random(seed)
    yield (
        [f"{draw.getrandbits(64):x}" for _ in range(size)],
    )
