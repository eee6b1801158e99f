"""Pipes that hold more than the default 64 KiB, within the limit that Linux sets each user."""

from __future__ import annotations

__all__ = ("DEFAULT_SIZE", "PipeBudget", "new_pipe")

import os
import sys
from threading import BoundedSemaphore
from typing import Final, final

if sys.platform == "linux":
    from fcntl import F_SETPIPE_SZ, fcntl

DEFAULT_SIZE: Final = 1 << 16
"""Bytes that a pipe of Linux holds by default (pipe(7))."""

# The most that an unprivileged process may ask for (pipe(7): pipe-max-size).
_LARGE: Final = 1 << 20

# An unprivileged user has 64 pipes of that size in all (pipe(7): pipe-user-pages-soft). Beyond
# them even a new pipe of default size shrinks to 8 KiB. Taking a quarter of them is a guess.
_AVAILABLE: Final = BoundedSemaphore(16)


def new_pipe() -> tuple[int, int]:
    """Return the reading and the writing end of a new pipe. Children do not inherit them."""
    return os.pipe()


@final
class PipeBudget:
    """Counts the pipes that one piece of work has enlarged, until :meth:`release`."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count: int = 0

    def enlarge(self, fd: int) -> int:
        """Enlarge a pipe to 1 MiB if the system and our share allow it; return its size in bytes.

        Cost: about 2 µs. Where the system has no F_SETPIPE_SZ, the pipe stays as it is.
        """
        if sys.platform != "linux" or not _AVAILABLE.acquire(blocking=False):
            return DEFAULT_SIZE
        try:
            size = fcntl(fd, F_SETPIPE_SZ, _LARGE)
        except OSError:  # EPERM: this user has too many large pipes
            _AVAILABLE.release()
            return DEFAULT_SIZE
        self._count += 1
        return size

    def release(self) -> None:
        """Return the share of this work: its pipes are closed, or about to be."""
        while self._count:
            self._count -= 1
            _AVAILABLE.release()
