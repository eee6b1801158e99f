"""The work of item 36: commands, their input, their answer.

Rule: nothing here starts a process. The versions do.

Triple DES and MD5 are the exercise, not advice. To keep
data secret use an authenticated cipher with a new nonce
for every message: AES-256-GCM or ChaCha20-Poly1305, from
the package `cryptography` or the program `age`. For a
digest use SHA-256 or BLAKE2: `sha256sum`, `b2sum`, hashlib.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from subprocess import CalledProcessError
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Chains (openssl | md5sum) at work at a time. One chain
# keeps about one core busy. On two cores no limit from 2 to
# 16 was clearly faster than another, so 8 is a guess that
# serves up to eight cores. It costs 16 children and up to
# 60 open files, for a process that may open only 64.
LIMIT: Final = 8

ECHO: Final = ("echo", "Hello from the child!")
SLEEP: Final = ("sleep", "60")

# The salt is fixed only to make all versions give the same
# bytes. Leave -S out in earnest: openssl then draws a salt.
OPENSSL: Final = (
    *("openssl", "enc", "-des3", "-pbkdf2"),
    *("-S", "7468652073616c74"),
    *("-pass", "env:password"),
)

# Not text in UTF-8: an environment carries any bytes but 0.
PASSWORD: Final = b"\xff\xc0 pass \x9d\n\xfeword"


def environment() -> dict[str, str | bytes]:
    """Return openssl's environment: ours and the password.

    Every user of the machine can read an argument with
    `ps`; only the same user and root read an environment.
    """
    return {**os.environ, "password": PASSWORD}


def md5_argv() -> tuple[str, ...]:
    """Return the command that hashes: GNU's, or else BSD's.

    Where there is neither, running it says so.
    """
    for name in ("md5sum", "md5"):
        if shutil.which(name):
            return (name,)
    return ("md5sum",)


def parse_digest(line: bytes) -> str:
    """Return the digest that `md5sum` or `md5` printed.

    Raises:
        ValueError: the line holds none.
    """
    digest = line[:32].decode("ascii", "replace")
    if not re.fullmatch("[0-9a-f]{32}", digest):
        raise ValueError(f"no MD5 digest in {line!r}")
    return digest


def check(argv: Sequence[str], status: int | None) -> None:
    """Return if a command ended well.

    Raises:
        subprocess.CalledProcessError: it did not.
    """
    if status != 0:
        raise CalledProcessError(
            -1 if status is None else status, list(argv)
        )


@contextmanager
def many_inputs(
    size: int, seed: int
) -> Iterator[tuple[list[bytes]]]:
    """Yield `size` inputs of 64 KiB."""
    random = Random(seed)
    yield (
        [random.randbytes(64 * KIB) for _ in range(size)],
    )


@contextmanager
def big_input(
    size: int, seed: int
) -> Iterator[tuple[list[bytes]]]:
    """Yield one input of `size` MiB."""
    yield ([Random(seed).randbytes(size * MIB)],)
