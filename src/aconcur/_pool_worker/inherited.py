"""Descriptors that a pool sends with its initializer: the pipes of multiprocessing's queues."""

from __future__ import annotations

__all__ = ("SentFd", "receive")

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_RECEIVED: Final[list[int]] = []


def receive(fds: list[int]) -> None:
    """Store the descriptors that came with the page."""
    _RECEIVED[:] = fds


class SentFd:
    """Stands for a descriptor in a pickle. multiprocessing calls :meth:`detach` to get it.

    Args:
        index: its position among the descriptors that are sent.
    """

    def __init__(self, index: int) -> None:
        self._index = index

    def __reduce__(self) -> tuple[Any, ...]:
        return SentFd, (self._index,)

    def detach(self) -> int:
        """Return the descriptor; the caller closes it."""
        return os.dup(_RECEIVED[self._index])
