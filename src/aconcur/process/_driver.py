"""Serve every descriptor of a pipe of commands from one task, until its last process has ended.

The states of a run
    *started* (:meth:`Driver.start`) → *driven* (:meth:`Driver.drive`) → *ending*, only if stages
    still run: SIGTERM, ``grace`` seconds, SIGKILL → *reaped* → *closed*. Leaving the block of
    ``async with Driver(…)`` goes through the last three, for whatever reason it is left.

Who calls whom
    ``_run`` (run to the end) and ``_session`` (a block talks with the commands) own a Driver. The
    Driver owns what ``_spawn`` has started: the process group, the input, the output streams. It is
    the only one that waits for them, and they know nothing of it.

How it waits
    All descriptors are in one selector whose own descriptor (epoll(7), kqueue(2)) the event loop
    watches: one wait wakes for any of them, on asyncio, uvloop and trio alike. A stream that the
    block reads by itself is lent (:meth:`Driver.lend`) and comes back when the run ends.

Invariants
    1. Every stage is reaped, every descriptor closed and every process of the group dead when the
       block has been left. Neither a cancel scope nor ``Task.cancel()`` cuts that short; the latter
       is raised when all is done.
    2. SIGTERM comes before the end of the input, unless the input has ended by itself.
    3. While stages are being ended, all they write is read, so that none of them blocks on a full
       pipe before it can handle the signal.
    4. Whenever the loop has run on for 2 ms, the other tasks run. One slow callback is the
       caller's.

Why not the loop's own subprocess transports
    They need a task and a buffer for each stream, copy the data, and end a reader of long lines
    with an error; none of them kills a process group or waits for it (``benchmarks/process.py``).
"""

from __future__ import annotations

__all__ = ("STDERR_KEPT", "Driver", "Options", "OutputStream", "RetryPolicy")

import errno
import logging
import os
import selectors
import signal
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from time import perf_counter
from types import TracebackType
from typing import Final, Literal, Protocol, TypeAlias, final

import anyio

from aconcur._core.pipe_budget import DEFAULT_SIZE, PipeBudget
from aconcur._core.shielded import (
    sleep_catching_cancel,
    wait_readable,
    wait_readable_catching_cancel,
)
from aconcur._core.validation import check_count, check_plain_function, check_seconds
from aconcur.process._errors import CommandNotEnded, CommandStopped
from aconcur.process._process_group import Exit
from aconcur.process._pty import Size, checked_size, has_terminal
from aconcur.process._redirect import (
    CAPTURE,
    Input,
    Output,
    Sink,
    Tee,
    Wiring,
    called_plainly,
    check_output,
    close,
    open_named_pipes,
    sink_of,
)
from aconcur.process._results import Completed, StageEvent, StageResult, TransferProgress
from aconcur.process._spawn import Started, spawn, start_in_turn
from aconcur.process._stage import Stage, render_shell_line
from aconcur.process._stdin import StageInput, as_view

OnProgress: TypeAlias = Callable[[TransferProgress], object]
OnStage: TypeAlias = Callable[[StageEvent], object]

DEFAULT_GRACE: Final = 2.0
"""Seconds from SIGTERM to SIGKILL. A guess: time to remove a temporary file, not to finish work."""

DEFAULT_LINGER: Final = 1.0
"""Seconds without output after which a pipe that only an orphan holds is given up. A guess."""

STDERR_KEPT: Final = 1 << 16
"""Bytes of each captured stderr that are kept: the last ones, where the reason stands."""

# Bytes in one read of a stream that has filled a whole pipe before.
_LARGE_READ: Final = 1 << 18
# Seconds that one stream is read before other streams and tasks get their turn.
_TURN: Final = 0.002
# Seconds between two calls of on_progress. A guess: what an eye can follow.
_TICK: Final = 0.1
# Seconds between two looks whether a stage was stopped: no descriptor tells that.
_STOP_CHECK: Final = 0.5
# Seconds that a process may take to die of SIGKILL. Longer ones hang in the kernel.
_DEATH: Final = 10.0
# Seconds of the first sleep while killed grandchildren die; each is twice the one before.
_FIRST_SLEEP: Final = 0.0005

_log: Final = logging.getLogger("aconcur.process")


class RetryPolicy(Protocol):
    """When a failed run is made again: :class:`aconcur.pipeline.Retry` is one."""

    def next_delay(self, error: Exception, failed: int, /, *, elapsed: float = 0.0) -> float | None:
        """Return the seconds to wait before the next attempt, or None if there is to be none.

        Args:
            error: of the last attempt.
            failed: how many attempts have failed, from 1.
            elapsed: seconds since the first one failed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The arguments of a run. They are documented at ``Runnable.run`` and ``Runnable.open``."""

    input: Input = None
    output: Output | Literal[Wiring.PIPE] = CAPTURE
    check: bool = True
    timeout: float | None = None
    grace: float = DEFAULT_GRACE
    linger: float | None = DEFAULT_LINGER
    max_output: int | None = None
    on_progress: OnProgress | None = None
    on_start: OnStage | None = None
    on_end: OnStage | None = None
    until_last: bool = False
    pty: bool | Size = False
    retry: RetryPolicy | None = None

    @property
    def size(self) -> Size | None:
        """The size of the terminal to make; None for none."""
        return checked_size(self.pty)

    def __post_init__(self) -> None:
        # The defaults, by far the most frequent, need no check.
        if self.grace is not DEFAULT_GRACE:
            check_seconds("grace", self.grace)
        if self.timeout is not None:
            check_seconds("timeout", _left(self.timeout), also=" or None")
        if self.linger is not None and self.linger is not DEFAULT_LINGER:
            check_seconds("linger", self.linger, also=" or None")
        for name in ("on_progress", "on_start", "on_end"):
            if getattr(self, name) is not None:
                check_plain_function(name, getattr(self, name))
        if not isinstance(self.output, Wiring):
            check_output("output", self.output)
        if self.max_output is not None:
            check_count("max_output", self.max_output, 0, " bytes")
            if self.output is Wiring.PIPE or sink_of(self.output, len) is None:
                raise ValueError(
                    "max_output limits what is captured or given to a function, not "
                    f"{self.output!r}"
                )
        if self.retry is not None and not hasattr(self.retry, "next_delay"):
            raise TypeError(
                f"retry must be a Retry of aconcur.pipeline or None, not {self.retry!r}"
            )
        if self.pty is not False:
            given = not (self.input is None or self.input is self.output is Wiring.PIPE)
            if checked_size(self.pty) and (given or self.output is not Wiring.PIPE):
                raise ValueError("pty= makes a terminal the input and the output: give neither")


def _left(timeout: float) -> float:
    """Return 0 for a timeout below 0: a caller may have computed it from a deadline."""
    return 0 if isinstance(timeout, int | float) and timeout < 0 else timeout


@final
class OutputStream:
    """A pipe that a stage writes and that this process reads."""

    __slots__ = (
        "_budget",
        "_read_size",
        "fd",
        "heard",
        "name",
        "received",
        "sink",
        "stage",
        "tail",
        "terminal",
    )

    def __init__(
        self,
        fd: int,
        stage: int,
        name: Literal["stdout", "stderr"],
        budget: PipeBudget,
        *,
        sink: Sink | None = None,
        keep_tail: bool = False,
        terminal: bool = False,
    ) -> None:
        self.fd: int = fd
        """-1 when closed."""
        self.stage: int = stage
        self.name: Literal["stdout", "stderr"] = name
        self.sink: Sink | None = sink
        """Gets each piece."""
        self.tail: bytearray | None = bytearray() if keep_tail else None
        """The last bytes, at least ``STDERR_KEPT`` if there were as many."""
        self.received: int = 0
        """Bytes read."""
        self.terminal: bool = terminal
        self.heard: float = perf_counter()
        """When data came last."""
        self._budget: PipeBudget = budget
        self._read_size: int = DEFAULT_SIZE

    def read(self) -> bytes | None:
        """Read what has come: None if nothing has yet, ``b""`` at the end."""
        try:
            data = os.read(self.fd, self._read_size)
        except BlockingIOError:
            return None
        except OSError as error:
            if not self.terminal or error.errno != errno.EIO:  # its last user has gone
                raise
            return b""
        self.heard = perf_counter()
        self.received += len(data)
        if len(data) == self._read_size == DEFAULT_SIZE:
            self._read_size = _LARGE_READ
            self._budget.enlarge(self.fd)
        if self.tail is not None:
            self.tail += data
            if len(self.tail) > 2 * STDERR_KEPT:
                del self.tail[:-STDERR_KEPT]
        return data


@final
class Driver:
    """Runs one pipe of commands inside an ``async with`` block."""

    def __init__(self, stages: tuple[Stage, ...], options: Options) -> None:
        self.stages: tuple[Stage, ...] = stages
        self.options: Options = options
        self.stdout: OutputStream | None = None
        """What the last stage writes, if this process reads it."""
        self.stderrs: dict[int, OutputStream] = {}
        """What each stage writes to stderr, if this process reads it."""
        self.excess: bool = False
        """Whether there was more output than ``max_output``; that ended the run."""
        self.held: set[str] = set()
        """The names of the streams that an orphan held longer than ``linger``."""
        self._started: Started | None = None
        self._selector: selectors.DefaultSelector = selectors.DefaultSelector()
        self._feeding: StageInput | None = None
        self._watched: StageInput | None = None
        # Its value shares its buffer: joining 100 MiB of pieces would hold the loop for 0.2 s.
        self._kept: BytesIO = BytesIO()
        self._driven: set[OutputStream] = set()
        self._lent: set[OutputStream] = set()
        self._running: int = 0
        self._closed: bool = False
        self._last_is_over: bool = False
        self._kill_at: float | None = None
        self._error: Exception | None = None
        self._began = self._heard = self._ticked = self._looked = perf_counter()
        self._seconds: float = 0.0
        self._final: TransferProgress | None = None

    async def __aenter__(self) -> Driver:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            # GeneratorExit: the event loop was given up (a second Ctrl-C). There is nothing to
            # await any more.
            if kind is not GeneratorExit and self._started is not None:
                await self._finish(self._started)  # noqa: ASYNC102 - shielded there
        finally:
            self.abandon()

    # Starting

    async def start(self) -> None:
        """Start the stages.

        **Cancelled**: none of them is left.

        Raises:
            CommandStartError: the system does not start one of them. The others are gone.
            OSError: a file cannot be opened, or no descriptor is free.
            TypeError: an input or output of an unknown kind.
        """
        options = self.options
        outputs: list[object] = [options.output]
        for stage in self.stages:
            outputs.append(stage.stderr)  # noqa: PERF401 - a step of every run
        size = options.size if options.pty else None
        pipes = await open_named_pipes(options.input, outputs)
        try:
            started = await start_in_turn(
                partial(spawn, self.stages, options.input, options.output, size, pipes)
            )
        finally:
            for fd in pipes.values():
                close(fd)
        try:
            for place, fd in enumerate(started.group.exit_fds):
                self._selector.register(fd, selectors.EVENT_READ, partial(self._on_exit, place))
        except BaseException:
            started.abort()  # their ends would not be noticed
            raise
        self._started, self._running = started, len(started.group.pids)
        self._began = self._heard = self._ticked = self._looked = perf_counter()
        self._take_streams(started)
        if started.stdin is not None and started.stdin.is_feeding:
            self._feeding = started.stdin
            self._feed()
        if options.on_start is not None or _log.isEnabledFor(logging.DEBUG):
            for place, pid in enumerate(started.group.pids):
                self._tell(options.on_start, "started", StageEvent(place, self._line(place), pid))

    def _take_streams(self, started: Started) -> None:
        """Make a stream of each pipe that this process reads. Some are left to the block."""
        output = self.options.output
        if started.stdout >= 0:
            self.stdout = OutputStream(
                started.stdout,
                len(self.stages) - 1,
                "stdout",
                started.budget,
                sink=sink_of(output, self._kept.write),
                terminal=bool(self.options.pty),
            )
            started.stdout = -1
            if output is Wiring.PIPE:
                self._lent.add(self.stdout)
            else:
                self._drive_stream(self.stdout)
        for place in [*started.stderrs]:
            stderr = self.stages[place].stderr
            self.stderrs[place] = stream = OutputStream(
                started.stderrs.pop(place),
                place,
                "stderr",
                started.budget,
                sink=None if stderr is CAPTURE else sink_of(stderr, len),
                keep_tail=stderr is CAPTURE or stderr is Wiring.PIPE or isinstance(stderr, Tee),
            )
            if stderr is Wiring.PIPE:
                self._lent.add(stream)
            else:
                self._drive_stream(stream)

    # Serving

    async def drive(self) -> None:
        """Serve until no stage runs and all streams have ended, or there is too much output.

        **Cancelled**: all stages run on; leaving the block ends them.

        Raises:
            Exception: the input or an output function raised it.
        """
        source = self._started.source if self._started is not None else None
        if source is None:
            await self._serve()
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pour, source, tasks.cancel_scope)
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001 - raised below, without a group around it
                self._error = error
            tasks.cancel_scope.cancel()
        if self._error is not None:
            raise self._error

    async def _serve(self) -> None:
        while self._running or self._driven:
            patience = self._patience()
            if patience is None:
                await anyio.wait_readable(self._selector.fileno())
            else:
                await wait_readable(self._selector.fileno(), patience)
            self._step()
            if self.excess or self._is_given_up():
                return

    async def _pour(self, source: AsyncIterable[bytes], scope: anyio.CancelScope) -> None:
        """Write an async iterable into the first stage, as its chunks come."""
        stdin = self._stdin
        assert stdin is not None
        try:
            async for chunk in source:
                if not await stdin.write(as_view(chunk)):
                    break
            stdin.close()  # only here: after an error or a cancellation this is not its end
        except Exception as error:  # noqa: BLE001 - raised again by drive(), without a group
            self._error = error
            scope.cancel()
        finally:
            if isinstance(source, AsyncGenerator):
                with anyio.CancelScope(shield=True):
                    await source.aclose()

    def _patience(self) -> float | None:
        """Return for how long nothing need be done unless a descriptor is ready."""
        moments: list[float] = []
        if self._feeding is not None and self._feeding.pause_until is not None:
            moments.append(self._feeding.pause_until)
        if self.options.on_progress is not None:
            moments.append(self._ticked + _TICK)
        if self._kill_at is not None:
            moments.append(self._kill_at)
        if self._running and has_terminal():
            moments.append(self._looked + _STOP_CHECK)
        if not self._running and self.options.linger is not None:
            moments.append(self._heard + self.options.linger)
        return max(0.0, min(moments) - perf_counter()) if moments else None

    def _is_given_up(self) -> bool:
        """Return whether only an orphan holds the streams, and has been silent for ``linger``."""
        linger = self.options.linger
        if self._running or not self._driven or linger is None:
            return False
        if perf_counter() < self._heard + linger:
            return False
        self.held |= {stream.name for stream in self._driven}
        return True

    def _step(self) -> None:
        for key, _ in self._selector.select(0):
            key.data()
        feeding = self._feeding
        pause = feeding.pause_until if feeding is not None else None
        if pause is not None and perf_counter() >= pause:
            self._feed()
        if self._kill_at is not None and perf_counter() >= self._kill_at and self._started:
            self._kill_at = None
            self._started.group.signal(signal.SIGKILL)
        if self._running and has_terminal() and perf_counter() >= self._looked + _STOP_CHECK:
            self._looked = perf_counter()
            self._report_stops()
        if self.options.on_progress is not None and perf_counter() >= self._ticked + _TICK:
            self._ticked = perf_counter()
            self.tell_progress()

    def _report_stops(self) -> None:
        """Look whether stages were stopped. Those that wait for our terminal would do so for ever.

        Raises:
            CommandStopped: a stage of a process group of its own wants the terminal.
        """
        group = self.started.group
        for place, stage in enumerate(self.stages):
            number = group.stop_signal(place)
            if number in {signal.SIGTTIN, signal.SIGTTOU} and group.own:
                raise CommandStopped(stage.shown_args, number)
            if number is not None:
                name = signal.Signals(number).name
                _log.warning("%s was stopped by %s: SIGCONT continues it", self._line(place), name)

    def _feed(self) -> None:
        """Write more of the input, and decide what to wait for until the next time."""
        stdin = self._feeding
        if stdin is None:  # closed by an exit that was ready in the same step
            return
        if stdin.push():
            self._stop_feeding()
            stdin.close()
        elif stdin.pause_until is not None:
            self._unwatch_stdin()
        elif self._watched is None:
            self._selector.register(stdin.fd, selectors.EVENT_WRITE, self._feed)
            self._watched = stdin

    def _stop_feeding(self) -> None:
        self._unwatch_stdin()
        self._feeding = None

    def _unwatch_stdin(self) -> None:
        if self._watched is not None:
            self._selector.unregister(self._watched.fd)
            self._watched = None

    def _on_exit(self, place: int) -> None:
        started = self._started
        assert started is not None
        self._selector.unregister(started.group.exit_fds[place])
        self._running -= 1
        self._heard = perf_counter()
        if self.options.on_end is not None or _log.isEnabledFor(logging.DEBUG):
            self._tell_end(started, place)
        if not self._running:
            self._seconds = self._heard - self._began
            if started.stdin is not None:
                self._stop_feeding()
                self.close_input()
        elif self.options.until_last and place == len(self.stages) - 1:
            self._last_is_over = True
            self._ask_to_end(started)
            self._kill_at = self._heard + self.options.grace

    def _on_readable(self, stream: OutputStream) -> None:
        until = perf_counter() + _TURN
        while True:
            data = stream.read()
            if data is None:
                return
            if not data:
                self._end_stream(stream)
                return
            self._heard = stream.heard
            most = self.options.max_output
            if most is not None and stream is self.stdout and stream.received > most:
                data = data[: len(data) - (stream.received - most)]
                stream.received, self.excess = most, True
            if stream.sink is not None and data:
                stream.sink(data)
            if self.excess or perf_counter() >= until:
                return

    def _drive_stream(self, stream: OutputStream) -> None:
        self._driven.add(stream)
        self._selector.register(stream.fd, selectors.EVENT_READ, partial(self._on_readable, stream))

    def _end_stream(self, stream: OutputStream) -> None:
        self._selector.unregister(stream.fd)
        self._driven.discard(stream)
        if self.options.pty and self._running:
            # A program closes its streams and then exits. If our end of its terminal were closed
            # in between, SIGHUP would kill it.
            self._lent.add(stream)
            return
        close(stream.fd)
        stream.fd = -1

    # For the block of open()

    @property
    def was_started(self) -> bool:
        """Whether :meth:`start` has started the stages."""
        return self._started is not None

    @property
    def started(self) -> Started:
        """The stages that run, and the ends of their pipes."""
        assert self._started is not None
        return self._started

    @property
    def _stdin(self) -> StageInput | None:
        return self._started.stdin if self._started is not None else None

    def lend(self, stream: OutputStream) -> None:
        """Leave a stream to the block, which reads it by itself."""
        if stream in self._driven:
            self._selector.unregister(stream.fd)
            self._driven.discard(stream)
            self._lent.add(stream)

    def take_back(self, stream: OutputStream, sink: Sink | None = None) -> None:
        """Read a stream that was lent from here on, until its end."""
        if stream in self._lent:
            self._lent.discard(stream)
            if stream.fd >= 0:
                anyio.notify_closing(stream.fd)  # wakes a task that waits to read it
                stream.sink = sink
                self._drive_stream(stream)

    def close_input(self) -> None:
        """Let the first stage see the end of the input."""
        stdin = self._stdin
        if stdin is not None and stdin.fd >= 0:
            anyio.notify_closing(stdin.fd)  # wakes a task that waits to write it
            stdin.close()

    # Ending

    async def _finish(self, started: Started) -> None:
        """End the stages that run, reap all, and wait until the whole group is dead."""
        interrupted: BaseException | None = None
        unkillable: frozenset[int] = frozenset()
        with anyio.CancelScope(shield=True):
            if self._running:
                interrupted = await self._end_early(started)
                unkillable = self._still_running(started)
            started.group.reap(unkillable)
            if self.options.on_progress is not None or self.options.output is Wiring.PIPE:
                self._final = self.progress()
            sleep = _FIRST_SLEEP
            while not started.group.is_gone() and sleep < _DEATH / 2:
                interrupted = await sleep_catching_cancel(sleep) or interrupted
                sleep *= 2
                if started.group.is_dead():
                    break
        if unkillable:
            raise CommandNotEnded(
                self.completed(),
                tuple(started.group.pids[place] for place in sorted(unkillable)),
                self.options.grace,
            )
        if interrupted is not None:
            raise interrupted

    async def _end_early(self, started: Started) -> BaseException | None:
        """End the group: SIGTERM, ``grace`` seconds for the stages to go, SIGKILL.

        Streams are served meanwhile, so that a program can say good-bye. stdout is not kept.

        Returns:
            A native cancellation that came meanwhile, to be raised at the end.
        """
        interrupted: BaseException | None = None
        self._stop_feeding()
        self._ask_to_end(started)
        for stream in [*self._lent]:
            self.take_back(stream)
        if self.stdout is not None:
            self.stdout.sink = None
        last = perf_counter() + self.options.grace
        while self._running and (left := last - perf_counter()) > 0:
            interrupted = await self._serve_quietly(left) or interrupted
        started.group.signal(signal.SIGKILL)
        last = perf_counter() + _DEATH
        while any(map(started.group.may_kill, self._still_running(started))):
            if (left := last - perf_counter()) <= 0:
                break
            interrupted = await self._serve_quietly(left) or interrupted
        self._step_quietly()  # reads the last output
        return interrupted

    def _ask_to_end(self, started: Started) -> None:
        group = started.group
        group.signal(signal.SIGTERM)
        if group.session:
            group.signal(signal.SIGHUP)  # ends an interactive shell, which ignores SIGTERM
        group.signal(signal.SIGCONT)  # a stopped process handles SIGTERM when it continues

    async def _serve_quietly(self, seconds: float) -> BaseException | None:
        error = await wait_readable_catching_cancel(self._selector.fileno(), seconds)
        self._step_quietly()
        return error

    def _step_quietly(self) -> None:
        """Serve once; an output function that raises is not called again."""
        try:
            self._step()
        except Exception:  # noqa: BLE001 - the error that ended the run is the one to raise
            for stream in self._driven:
                stream.sink = None

    def _still_running(self, started: Started) -> frozenset[int]:
        return frozenset(
            place for place in range(len(self.stages)) if started.group.exit_of(place) is None
        )

    def abandon(self) -> None:
        """Kill and reap the rest of the group, and close every descriptor, without awaiting.

        The end of every run, and all of it where the event loop has been given up.
        """
        if self._closed:
            return
        self._closed = True
        started = self._started
        if started is not None:
            if not started.group.reaped:
                started.group.reap()
            for stream in [*self._driven, *self._lent]:
                if stream.fd >= 0:
                    close(stream.fd)
                    stream.fd = -1
            self._driven, self._lent = set(), set()
            started.close()
        self._selector.close()

    # Results

    def completed(self) -> Completed:
        """Return how the stages ended, and the captured output. All have ended, or none started."""
        exits: list[Exit | None] = [None] * len(self.stages)
        if self._started is not None:
            exits = [*map(self._started.group.exit_of, range(len(self.stages)))]
        return Completed(
            self._kept.getvalue(),
            tuple(map(self._result, range(len(self.stages)), exits)),
            self._seconds or perf_counter() - self._began,
            bool(self.held),
            "stdout" in self.held,
        )

    def _result(self, place: int, found: Exit | None) -> StageResult:
        stage, found = self.stages[place], found or Exit(None)
        stream = self.stderrs.get(place)
        tail = bytes(stream.tail[-STDERR_KEPT:]) if stream is not None and stream.tail else b""
        code = found.returncode
        upstream = place < len(self.stages) - 1
        return StageResult(
            tuple(map(os.fsdecode, stage.args)),
            code,
            tail,
            stream.received if stream is not None else 0,
            code in stage.ok_codes
            or (upstream and code is not None and (code == -signal.SIGPIPE or self._last_is_over)),
            found.user_seconds,
            found.system_seconds,
            found.max_rss,
        )

    def progress(self) -> TransferProgress:
        """Return how far the run has come, or came."""
        if self._final is not None:
            return self._final
        started = self.started
        sent = started.stdin.sent if started.stdin is not None else 0
        received = self.stdout.received if self.stdout is not None else 0
        reading, writing = started.positions
        return TransferProgress(
            sent or self._small_input() or _position(reading), received or _position(writing)
        )

    def _small_input(self) -> int:
        """Return the size of an input that went into the pipe before the start."""
        data = self.options.input
        data = data.encode() if isinstance(data, str) else data
        return memoryview(data).nbytes if isinstance(data, bytes | bytearray | memoryview) else 0

    def tell_progress(self) -> None:
        """Call ``on_progress``, if there is one."""
        if self.options.on_progress is not None:
            called_plainly(self.options.on_progress)(self.progress())

    def _line(self, place: int) -> str:
        return render_shell_line(self.stages[place : place + 1])

    def _tell_end(self, started: Started, place: int) -> None:
        found = started.group.exit_of(place)
        event = StageEvent(
            place,
            self._line(place),
            started.group.pids[place],
            found.returncode if found is not None else None,
            self._heard - self._began,
        )
        self._tell(self.options.on_end, "ended", event)

    def _tell(self, call: OnStage | None, what: str, event: StageEvent) -> None:
        _log.debug("%s: %s", what, event)
        if call is not None:
            called_plainly(call)(event)


def _position(fd: int) -> int:
    """Return how far a file has been read or written by a process that shares it, or 0."""
    try:
        return os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:  # closed, or a pipe
        return 0
