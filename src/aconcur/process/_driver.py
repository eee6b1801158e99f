"""Serve all descriptors of a pipe of commands from one task, until the last process has ended.

The descriptors are gathered in a selector whose own descriptor (epoll(7), kqueue(2)) the event
loop watches: one wait wakes for any of them, on every loop alike.

Law: whatever happens, :meth:`Driver.end` or the natural end comes before :meth:`Driver.close`.
"""

from __future__ import annotations

__all__ = ("STDERR_KEPT", "Driver")

import os
import selectors
import signal
from collections.abc import AsyncGenerator, Callable
from functools import partial
from time import perf_counter
from typing import Final, TypeAlias, final

import anyio

from aconcur._core.pipe_budget import DEFAULT_SIZE
from aconcur._core.shielded import wait_readable, wait_readable_catching_cancel
from aconcur.process._stdin import as_view
from aconcur.process._process_group import Group
from aconcur.process._results import Completed, Progress, StageResult

Sink: TypeAlias = Callable[[bytes], object]

STDERR_KEPT: Final = 1 << 16
"""Bytes of each stage's stderr that are kept: the last ones, where the reason stands."""

# Bytes in one read of a stream that has filled a whole pipe before.
_LARGE_READ: Final = 1 << 18
# Reads of one stream before the others get their turn.
_READS: Final = 8
# Seconds between two calls of on_progress. A guess: what an eye can follow.
_TICK: Final = 0.1
# Seconds that a killed process may take to go; it is then waited for without an end anyway.
_OFTEN: Final = 1.0


@final
class Driver:
    """Runs one group. ``done`` is when no stage runs and every stream that is read has ended."""

    def __init__(
        self,
        *,
        sink: Sink | None,
        max_output: int | None = None,
        linger: float | None = None,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> None:
        self._selector: selectors.DefaultSelector = selectors.DefaultSelector()
        self._sink: Sink | None = sink
        self._max_output: int | None = max_output
        self._linger: float | None = linger
        self._on_progress: Callable[[Progress], object] | None = on_progress
        self._group: Group | None = None
        self._tails: dict[int, bytearray] = {}
        self._sizes: dict[int, int] = {}
        self._streams: int = 0
        self._running: int = 0
        self._read_size: int = DEFAULT_SIZE
        self._began: float = perf_counter()
        self._heard: float = self._began
        self._ticked: float = self._began
        self.sent: int = 0
        self.received: int = 0
        self.excess: bool = False
        """Whether there was more output than ``max_output``; it ended the drive."""
        self.held: bool = False
        """Whether a stream was given up after ``linger``."""
        self._error: Exception | None = None

    @property
    def group(self) -> Group:
        """What is driven."""
        assert self._group is not None
        return self._group

    @property
    def running(self) -> int:
        """How many stages run."""
        return self._running

    def start(self, group: Group, *, read_stdout: bool = True) -> None:
        """Take charge of a group; from here on :meth:`close` closes it."""
        self._group = group
        self._heard = self._ticked = self._began = perf_counter()
        for place, fd in enumerate(group.exits):
            self._watch(fd, partial(self._on_exit, place))
            self._running += 1
        for place, fd in group.stderrs.items():
            self._tails[place], self._sizes[place] = bytearray(), 0
            self._watch(fd, partial(self._on_stderr, place))
            self._streams += 1
        if read_stdout and group.stdout >= 0:
            self._watch(group.stdout, self._on_stdout)
            self._streams += 1
        if group.feed is not None and group.stdin >= 0:
            self._selector.register(group.stdin, selectors.EVENT_WRITE, self._on_stdin)

    async def drive(self) -> None:
        """Serve until all is done, or there is more output than allowed.

        **Cancelled**: everything runs on; call :meth:`end`.

        Raises:
            Exception: whatever the input or a sink raises.
        """
        if self.group.source is None:
            await self._serve()
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pour, tasks.cancel_scope)
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001 - raised below, without a group around it
                self._error = error
            tasks.cancel_scope.cancel()
        if self._error is not None:
            raise self._error

    async def end(self, grace: float) -> None:
        """End the group: SIGTERM, ``grace`` seconds for the stages to go, SIGKILL.

        Streams are served meanwhile, so that a program can say good-bye, but stdout is not kept.
        Neither a scope nor a native cancellation cuts this short; the latter is raised at the end.
        """
        group = self.group
        self._sink, self._max_output = None, None
        self._end_input()
        interrupted: BaseException | None = None
        with anyio.CancelScope(shield=True):
            group.signal(signal.SIGTERM)
            if group.pty:
                group.signal(signal.SIGHUP)  # what ends a shell that talks with somebody
            group.signal(signal.SIGCONT)  # a stopped process heeds SIGTERM when it goes on
            last = perf_counter() + grace
            while self._running and (left := last - perf_counter()) > 0:
                interrupted = await self._serve_at_all_costs(left) or interrupted
            group.signal(signal.SIGKILL)
            while self._running:
                interrupted = await self._serve_at_all_costs(_OFTEN) or interrupted
        if interrupted is not None:
            raise interrupted

    def close(self) -> None:
        """Reap the group, kill what may be left of it, close every descriptor."""
        self._selector.close()
        if self._group is not None:
            self._group.reap()
            self._group.close()

    def completed(self, stdout: bytes) -> Completed:
        """Return what became of the group. All its stages have ended."""
        group = self.group
        last = len(group.stages) - 1
        results: list[StageResult] = []
        for place, stage in enumerate(group.stages):
            status = group.status(place)
            assert status is not None
            results.append(
                StageResult(
                    stage.shown_args,
                    status,
                    bytes(self._tails.get(place, b"")[-STDERR_KEPT:]),
                    self._sizes.get(place, 0),
                    status in stage.ok_codes or (place < last and status == -signal.SIGPIPE),
                )
            )
        return Completed(stdout, tuple(results), perf_counter() - self._began, self.held)

    def progress(self) -> Progress:
        """Return how far it has come."""
        group = self.group
        sent = group.feed.sent if group.feed is not None else self.sent
        for fd in (group.read_from, group.borrowed_input):
            sent = sent or _position(fd)
        received = self.received
        for fd in (group.write_to, group.borrowed_output):
            received = received or _position(fd)
        return Progress(sent, received)

    def tell_progress(self) -> None:
        """Call ``on_progress``, if there is one."""
        if self._on_progress is not None:
            self._on_progress(self.progress())

    async def _serve(self) -> None:
        while self._running or self._streams:
            await wait_readable(self._selector.fileno(), self._patience())
            self._step()
            if self.excess or self._lingered():
                return

    async def _serve_at_all_costs(self, seconds: float) -> BaseException | None:
        error = await wait_readable_catching_cancel(self._selector.fileno(), seconds)
        self._step()
        return error

    def _patience(self) -> float | None:
        """Return for how long nothing need be done unless a descriptor is ready."""
        now = perf_counter()
        moments: list[float] = []
        feed = self._group.feed if self._group is not None else None
        if feed is not None and feed.nap_until is not None:
            moments.append(feed.nap_until)
        if self._on_progress is not None:
            moments.append(self._ticked + _TICK)
        if not self._running and self._linger is not None:
            moments.append(self._heard + self._linger)
        return max(0.0, min(moments) - now) if moments else None

    def _lingered(self) -> bool:
        if self._running or not self._streams or self._linger is None:
            return False
        self.held = perf_counter() >= self._heard + self._linger
        return self.held

    def _step(self) -> None:
        for key, _ in self._selector.select(0):
            key.data()
        feed = self._group.feed if self._group is not None else None
        if feed is not None and feed.nap_until is not None and perf_counter() >= feed.nap_until:
            self._selector.register(self.group.stdin, selectors.EVENT_WRITE, self._on_stdin)
            self._on_stdin()
        if self._on_progress is not None and perf_counter() >= self._ticked + _TICK:
            self._ticked = perf_counter()
            self.tell_progress()

    def _watch(self, fd: int, callback: Callable[[], None]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def _on_exit(self, place: int) -> None:
        self._selector.unregister(self.group.exits[place])
        self._running -= 1
        self._heard = perf_counter()
        if not self._running:
            self._end_input()

    def _on_stdin(self) -> None:
        feed = self.group.feed
        assert feed is not None
        if self.group.stdin < 0:  # closed by an exit that was ready in the same step
            return
        if feed.push(self.group.stdin):
            self._end_input()
        elif feed.nap_until is not None:
            self._selector.unregister(self.group.stdin)

    def _end_input(self) -> None:
        """Close the input, whoever feeds it."""
        group = self.group
        if group.feed is not None and group.stdin >= 0:
            if group.feed.nap_until is None:
                self._selector.unregister(group.stdin)
            group.feed.nap_until = None
            group.close_stdin()
        elif group.pty and group.stdin >= 0:  # where nobody listens writing would succeed
            anyio.notify_closing(group.stdin)
            group.close_stdin()

    def _on_stdout(self) -> None:
        group = self.group
        for _ in range(_READS):
            try:
                data = os.read(group.stdout, self._read_size)
            except BlockingIOError:
                return
            if not data:
                self._end_stream(group.stdout)
                group.stdout = -1
                return
            self._heard = perf_counter()
            if len(data) == self._read_size == DEFAULT_SIZE:
                self._read_size = _LARGE_READ
                group.pipe_budget.enlarge(group.stdout)
            self._take(data)
            if self.excess:
                return

    def _take(self, data: bytes) -> None:
        if self._max_output is not None and self.received + len(data) > self._max_output:
            data = data[: self._max_output - self.received]
            self.excess = True
        self.received += len(data)
        if self._sink is not None and data:
            self._sink(data)

    def _on_stderr(self, place: int) -> None:
        fd = self.group.stderrs[place]
        tail = self._tails[place]
        for _ in range(_READS):
            try:
                data = os.read(fd, DEFAULT_SIZE)
            except BlockingIOError:
                return
            if not data:
                self._end_stream(fd)
                self.group.stderrs[place] = -1
                return
            self._heard = perf_counter()
            self._sizes[place] += len(data)
            tail += data
            if len(tail) > 2 * STDERR_KEPT:
                del tail[:-STDERR_KEPT]

    def _end_stream(self, fd: int) -> None:
        self._selector.unregister(fd)
        os.close(fd)
        self._streams -= 1

    async def _pour(self, scope: anyio.CancelScope) -> None:
        """Write an async iterable into the first stage, as its chunks come."""
        source = self.group.source
        assert source is not None
        try:
            async for chunk in source:
                if not await self.group.write(as_view(chunk)):
                    break
                self.sent += len(chunk)
        except Exception as error:  # noqa: BLE001 - raised again by drive(), without a group
            self._error = error
            scope.cancel()
        finally:
            self.group.close_stdin()
            if isinstance(source, AsyncGenerator):
                with anyio.CancelScope(shield=True):
                    await source.aclose()


def _position(fd: int) -> int:
    """Return how far a file has been read or written by whoever shares it; 0 if nobody can say."""
    try:
        return os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:  # closed, or a pipe
        return 0
