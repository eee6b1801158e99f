"""Pipes that hold more than the usual 64 KiB, as many as the system lets one user have."""

from __future__ import annotations

__all__ = ("USUAL_SIZE", "Loan", "new_pipe")

import os
import sys
from threading import BoundedSemaphore
from typing import Final, final

if sys.platform == "linux":
    from fcntl import F_SETPIPE_SZ, fcntl

USUAL_SIZE: Final = 1 << 16
"""Bytes that a pipe of Linux holds by default (pipe(7))."""

# What an unprivileged process may ask for at the most (pipe(7): pipe-max-size).
_LARGE: Final = 1 << 20

# An unprivileged user has 64 pipes of that size in all (pipe(7): pipe-user-pages-soft); beyond
# them even a new pipe of usual size shrinks to 8 KiB. A quarter is a guess at our share.
_ALLOWED: Final = BoundedSemaphore(16)


def new_pipe() -> tuple[int, int]:
    """Return a pipe's end to read and its end to write, which no child inherits by itself."""
    return os.pipe()


@final
class Loan:
    """The pipes that one piece of work has made large, until :meth:`give_back`."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count: int = 0

    def enlarge(self, fd: int) -> int:
        """Let the pipe hold 1 MiB if the system and our share of it allow; return its size.

        Cost: about 2 µs. Where the system has no F_SETPIPE_SZ, the pipe stays as it is.
        """
        if sys.platform != "linux" or not _ALLOWED.acquire(blocking=False):
            return USUAL_SIZE
        try:
            size = fcntl(fd, F_SETPIPE_SZ, _LARGE)
        except OSError:  # EPERM: this user has too many; EBADF does not come here
            _ALLOWED.release()
            return USUAL_SIZE
        self._count += 1
        return size

    def give_back(self) -> None:
        """Let others have the share: the pipes are closed, or about to be."""
        while self._count:
            self._count -= 1
            _ALLOWED.release()
