"""One worker process, as its pool sees it."""

from __future__ import annotations

__all__ = ("REPEAT", "Worker")

import mmap
import os
import select
import signal
import socket
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeAlias, final

import anyio

from aconcur._core.shielded import wait_readable, wait_readable_catching_cancel
from aconcur._pool_worker.codec import FORGET, FUNCTION, NOTHING, STOP, Encoded, Frame
from aconcur._pool_worker.task import (
    CANCELLED,
    CHUNK,
    FROM,
    HEARD,
    INTERRUPTED,
    SINCE,
    UNTIL,
    Page,
)
from aconcur.parallel._map.chunk import Chunk, Death, Owner
from aconcur.parallel._pool.connection import Connection
from aconcur.parallel._pool.launch import Child

OnFrame: TypeAlias = "Callable[[Worker, Frame, Any, Exception | None], None]"

REPEAT: Final = 0.05
"""Seconds after which a task that was interrupted and has not heard it is interrupted again.

They double each time, because the task may have put a handler of its own in place.
"""

_PAGE: Final = 4096


@final
class Worker:
    """A process that runs, or has run.

    Args:
        child: the process.
        sock: the connection to it.
        on_frame: called with this worker and what it sends.
        limiter: limits the threads that carry long messages.
        tasks: how many items it may be given; None: any number.
        fds: descriptors to send with the page.
    """

    def __init__(
        self,
        child: Child,
        sock: socket.socket,
        on_frame: OnFrame,
        limiter: anyio.CapacityLimiter,
        tasks: int | None,
        fds: Sequence[int] = (),
    ) -> None:
        self.child: Child = child
        self.connection: Connection = Connection(sock, partial(on_frame, self), limiter)
        self.in_flight: deque[Chunk] = deque()
        """The chunks that it has; it works on the first."""
        self.coroutines: dict[int, Chunk] = {}
        """The calls and items of coroutine functions that it runs, by their chunks' numbers."""
        self._known = set[int]()  # the maps whose function it has
        self.tasks: int | None = tasks
        """How many more items it may be given."""
        self.usable: bool = True
        """Whether it has not been told to end."""
        self.victim_of: Owner | None = None
        """The map or call whose items are being taken back from it."""
        self.accepts: bool = True
        """Whether it may be given work."""
        self.ready: bool = False
        """Whether its initializer has run."""
        self.leaving: bool = False
        """Whether it was told to end, or its initializer failed."""
        self.interrupted: int = 0
        """The number of the chunk whose task was told to clean up."""
        self.killed: bool = False
        self.timed_out: bool = False
        self.last: tuple[int, int] = 0, 0
        """The items of the first chunk that it worked on when it ended: from, to before."""
        self._memory, self._page = _new_page(sock, fds)
        self._reaped = False
        self._signal_at, self._pause = 0.0, REPEAT

    def __repr__(self) -> str:
        return f"<Worker {self.child.pid}: {len(self.in_flight)} chunks>"

    # ------------------------------------------------------------------- its work

    @property
    def busy(self) -> bool:
        """Whether it has work."""
        return bool(self.in_flight or self.coroutines)

    def assign(self, chunk: Chunk) -> None:
        """Record that the chunk is being sent to it."""
        self.in_flight.append(chunk)
        if self.tasks is not None:
            self.give_credit(-len(chunk.items))

    def learn(self, job: int, function: Encoded) -> None:
        """Send it the function of a map, unless it has that."""
        if job not in self._known:
            self._known.add(job)
            self.connection.send(FUNCTION, function, job)

    def forget(self, job: int) -> None:
        """Let it drop the function of a map that has ended."""
        if job in self._known:
            self._known.discard(job)
            self.connection.send(FORGET, NOTHING, job)

    def give_credit(self, items: int) -> None:
        """Record that it will not do so many of its items."""
        if self.tasks is not None:
            self.tasks += items
            self._update()

    def set_victim_of(self, owner: Owner | None) -> None:
        """Record that the owner's items are being taken back from it, or that this is over."""
        self.victim_of = owner
        self._update()

    def _update(self) -> None:
        self.accepts = self.usable and self.tasks != 0 and self.victim_of is None

    def works_on(self, number: int) -> bool:
        """Return whether the chunk of this number is its first."""
        return bool(self.in_flight) and self.in_flight[0].number == number

    def works_for(self, owner: Owner) -> bool:
        """Return whether it has a chunk of the owner."""
        return any(chunk.owner is owner for chunk in self.in_flight)

    # ------------------------------------------------------------------- the page

    def cancel(self, job: int) -> None:
        """Ask it to give up a job's chunk after the current item; 0: no longer."""
        self._page[CANCELLED] = job
        if not job:
            self._page[INTERRUPTED] = 0

    def _in_work(self, chunk: Chunk) -> tuple[int, int]:
        """Return which of the chunk's items it works on: from, to before; equal if none."""
        page = self._page
        return (page[FROM], page[UNTIL]) if page[CHUNK] == chunk.number else (0, 0)

    def count_begun(self, chunk: Chunk) -> int:
        """Return how many items of the chunk it has begun; 0 if it does not work on the chunk."""
        before = self._in_work(chunk)
        # It may have gone on to the next chunk while the page was read.
        return before[1] if self._in_work(chunk) == before else 0

    def busy_since(self, chunk: Chunk) -> int:
        """Return when it began the current item, in ns of the monotonic clock; 0: no item."""
        return self._page[SINCE] if self._page[CHUNK] == chunk.number else 0

    # ---------------------------------------------------------------------- the end

    def leave(self) -> None:
        """Accept that it ends by itself."""
        self.leaving, self.usable = True, False
        self._update()

    def stop(self) -> None:
        """Let it end after the work that it has."""
        self.leave()
        self.connection.send(STOP, NOTHING)

    def interrupt(self, chunk: Chunk) -> bool:
        """Raise TaskCancelled in the task that works on a chunk; return whether it has heard that.

        To be called again until it has, because a signal may be lost (``_pool_worker.task``).
        """
        if self.interrupted != chunk.number:
            self.interrupted = chunk.number
            self.set_victim_of(chunk.owner)
            self.cancel(chunk.owner.number)
            self._page[INTERRUPTED] = chunk.owner.number
            self._signal_at, self._pause = 0.0, REPEAT
        if self._page[HEARD] == chunk.number:
            return True
        now = time.monotonic()
        # A chunk that is not in work will not be begun.
        if self._page[CHUNK] == chunk.number and now >= self._signal_at:
            self._signal_at, self._pause = now + self._pause, 2 * self._pause
            with suppress(ProcessLookupError):
                os.kill(self.child.pid, signal.SIGTERM)
        return False

    @property
    def is_deaf(self) -> bool:
        """Whether its task was interrupted, has not heard that, and may still hear it."""
        if self._reaped or not self.works_on(self.interrupted):
            return False
        poll = select.poll()
        poll.register(self.child.exit_fd, select.POLLIN)
        return self._page[HEARD] != self.interrupted and not poll.poll(0)

    def kill(self, *, timed_out: bool = False) -> None:
        """End it now, and everything that it started."""
        self.killed, self.usable = True, False
        self._update()
        self.timed_out = self.timed_out or timed_out
        self._signal_group()

    def _signal_group(self) -> None:
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:  # it is too young to lead a group
            with suppress(ProcessLookupError):
                os.kill(self.child.pid, signal.SIGKILL)

    async def hang_up_at_exit(self) -> None:
        """Wait for its end, then make the connection end as well."""
        await wait_readable(self.child.exit_fd)
        self.connection.hang_up()

    async def ended(self, grace: float) -> Death:
        """Wait for its end, at most ``grace`` seconds; kill it then, and reap it."""
        await wait_readable(self.child.exit_fd, grace)
        return self.reap()

    async def ended_despite_cancel(self, grace: float) -> BaseException | None:
        """Do as :meth:`ended` under a shield; return a native cancellation, which kills it."""
        cancelled = None
        if not self._reaped:
            cancelled = await wait_readable_catching_cancel(self.child.exit_fd, grace)
            self.kill()
            while (again := await wait_readable_catching_cancel(self.child.exit_fd)) is not None:
                cancelled = again
            self.reap()
        return cancelled

    def reap(self) -> Death:
        """Kill it if it has not ended, reap it, and close what was opened for it."""
        self._reaped = True
        if self.in_flight:
            self.last = self._in_work(self.in_flight[0])
        self._signal_group()
        death = self.child.reap()
        self.connection.close()
        self._page.release()
        self._memory.close()
        return death


def _new_page(sock: socket.socket, fds: Sequence[int]) -> tuple[mmap.mmap, Page]:
    """Return memory that is shared with the worker, after sending it and the descriptors."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("aconcur")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        os.ftruncate(fd, _PAGE)
        memory = mmap.mmap(fd, _PAGE)
        with suppress(ConnectionError):  # the worker has ended, which its supervisor will notice
            socket.send_fds(sock, [b"\0"], [fd, *fds])
    finally:
        os.close(fd)
    return memory, memoryview(memory).cast("q")
