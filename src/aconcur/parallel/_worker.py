"""One worker process, as its pool knows it."""

from __future__ import annotations

__all__ = ("Worker",)

import mmap
import os
import signal
import socket
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeAlias, final

import anyio

from aconcur._core.shielded import wait_readable, wait_readable_catching_cancel
from aconcur._worker.codec import Encoded
from aconcur._worker.frames import STOP, Frame
from aconcur._worker.work import CANCELLED, CHUNK, FROM, SINCE, UNTIL, Page
from aconcur.parallel._chunk import Chunk, Death
from aconcur.parallel._line import Line
from aconcur.parallel._starting import Child

Heard: TypeAlias = "Callable[[Worker, Frame, Any, Exception | None], None]"

_PAGE: Final = 4096
_NOTHING: Final = Encoded([b"N."], (), 2)  # None


@final
class Worker:
    """A process that runs, or ran.

    Args:
        child: the process.
        sock: to speak with it.
        heard: called with it and what it says.
        limiter: for the threads that carry long messages.
        tasks: how many items it may be given; None: any.
    """

    def __init__(
        self,
        child: Child,
        sock: socket.socket,
        heard: Heard,
        limiter: anyio.CapacityLimiter,
        tasks: int | None,
    ) -> None:
        self.child, self.line = child, Line(sock, partial(heard, self), limiter)
        self.flying = deque[Chunk]()
        self.known: set[int] = set()
        self.tasks = tasks
        self.ready = self.leaving = self.killed = self.timed_out = False
        self._memory, self._page = _new_page(sock)
        self._reaped = False
        self.last = 0, 0

    @property
    def usable(self) -> bool:
        """Whether it may be given work."""
        return not (self.leaving or self.killed)

    def send_nothing(self, kind: int, *, job: int = 0) -> None:
        """Send a frame without a value."""
        self.line.send(kind, _NOTHING, job=job)

    def stop(self) -> None:
        """Let it end after what it has been given."""
        self.leaving = True
        self.send_nothing(STOP)

    def kill(self) -> None:
        """End it now, and what it has started."""
        self.killed = True
        self._signal_group()

    def _signal_group(self) -> None:
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:  # it is too young to have a group of its own
            with suppress(ProcessLookupError):
                os.kill(self.child.pid, signal.SIGKILL)

    # ------------------------------------------------------------------- the page

    def cancel(self, job: int) -> None:
        """Ask it to give up a job's chunk after the item at hand."""
        self._page[CANCELLED] = job

    def under_work(self, chunk: Chunk) -> tuple[int, int]:
        """Return which of the chunk's items it works on: from, to before; the same if none."""
        page = self._page
        return (page[FROM], page[UNTIL]) if page[CHUNK] == chunk.number else (0, 0)

    def since(self, chunk: Chunk) -> int:
        """Return when it began the item at hand, in ns of the monotonic clock; 0: no item."""
        return self._page[SINCE] if self._page[CHUNK] == chunk.number else 0

    # ---------------------------------------------------------------------- the end

    async def ended(self, grace: float | None = None) -> Death:
        """Wait for its end and let it go; kill it after ``grace`` seconds."""
        await wait_readable(self.child.exit_fd, grace)
        return self.let_go()

    async def ended_at_all_costs(self, grace: float) -> BaseException | None:
        """Do as :meth:`ended`, whoever cancels; return the cancellation.

        A second one kills it.
        """
        cancelled = None
        if not self._reaped:
            cancelled = await wait_readable_catching_cancel(self.child.exit_fd, grace)
            self.kill()
            while (again := await wait_readable_catching_cancel(self.child.exit_fd)) is not None:
                cancelled = again
            self.let_go()
        return cancelled

    def let_go(self) -> Death:
        """Reap it and give back all that was held for it; it is killed if it has not ended."""
        self._reaped = True
        if self.flying:
            self.last = self.under_work(self.flying[0])
        self._signal_group()
        death = self.child.reap()
        self.line.close()
        self._page.release()
        self._memory.close()
        return death


def _new_page(sock: socket.socket) -> tuple[mmap.mmap, Page]:
    """Make memory that the worker shares, and send it."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("aconcur")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        os.ftruncate(fd, _PAGE)
        memory = mmap.mmap(fd, _PAGE)
        socket.send_fds(sock, [b"\0"], [fd])
    finally:
        os.close(fd)
    return memory, memoryview(memory).cast("q")
