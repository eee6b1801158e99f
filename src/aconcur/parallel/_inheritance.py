"""multiprocessing's objects in the arguments of an initializer: Queue, Lock, Value, Event, ….

They may be pickled only while a process is being started, because their pipes and shared memory are
descriptors that the new process inherits. A pool sends them over its socket instead.
"""

from __future__ import annotations

__all__ = ("collecting_fds", "inheriting")

import copyreg
import os
from collections import ChainMap
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import context
from multiprocessing.reduction import ForkingPickler
from typing import Any, final

from aconcur._pool_worker.inherited import SentFd


@contextmanager
def collecting_fds(fds: list[int]) -> Iterator[None]:
    """Let multiprocessing's objects be pickled; append copies of their descriptors to the list."""
    context.set_spawning_popen(_Spawning(fds))  # type: ignore[arg-type]
    try:
        yield
    finally:
        context.set_spawning_popen(None)


@final
class _Spawning:
    """Has the part of multiprocessing's Popen that pickling uses."""

    def __init__(self, fds: list[int]) -> None:
        self._fds = fds

    def duplicate_for_child(self, fd: int) -> int:
        """Return the position of the descriptor among those that are sent."""
        self._fds.append(os.dup(fd))
        return len(self._fds) - 1

    def DupFd(self, position: int) -> SentFd:  # noqa: N802 - multiprocessing's name
        """Return the object to pickle for a descriptor."""
        return SentFd(position)


def inheriting(base: type[Any]) -> type[Any]:
    """Return a pickler that knows multiprocessing's own reducers as well."""

    class InheritingPickler(base):  # type: ignore[misc]
        def __init__(self, file: Any, protocol: int, *, buffer_callback: Any) -> None:  # noqa: ANN401
            super().__init__(file, protocol, buffer_callback=buffer_callback)
            own = getattr(self, "dispatch_table", copyreg.dispatch_table)
            extra = ForkingPickler._extra_reducers  # type: ignore[attr-defined]  # noqa: SLF001
            self.dispatch_table = ChainMap(extra, own)

    return InheritingPickler
