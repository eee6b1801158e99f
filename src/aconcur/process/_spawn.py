"""Start all stages of a pipe in one step: either all run, or all are gone.

Invariants
    1. :func:`spawn` does not await, so no cancellation falls between two stages.
    2. A stage gets its three descriptors, those of ``pass_fds``, and no other. O_NONBLOCK is set
       only on our ends: the two ends of a pipe are two open file descriptions.
    3. All files are opened before the first stage starts, each path once. Each pipe is made just
       before the stage that writes it, and its ends for stages are closed as soon as they have
       started: a start needs four descriptors beyond those that the run keeps.
    4. No error keeps a frame in which the environment of a stage, and with it a secret, is a local
       variable.

Which thread
    Starting a process takes 1 ms and more, and cannot be awaited. For a run that is alone, starting
    inline is the quickest. Beside other runs a worker thread starts it (:func:`start_in_turn`): at
    16 at a time the loop is then 3 ms late (p99) instead of 14, and the whole takes 0.9 of the time
    (CPython 3.11 and 3.13, two busy cores).

Why ``subprocess.Popen``, and not the loop's own way
    uvloop forks the parent's page tables: 46 ms for 2 GiB. ``process_group=`` makes CPython 3.13
    release the GIL while the child starts.
"""

from __future__ import annotations

__all__ = ("Started", "spawn", "start_in_turn")

import errno
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from time import perf_counter, sleep
from typing import Any, Final, final

import anyio
from anyio.lowlevel import RunVar, checkpoint

from aconcur._core.pipe_budget import DEFAULT_SIZE, PipeBudget
from aconcur._core.shielded import run_in_thread_to_end
from aconcur.process._errors import start_error
from aconcur.process._process_group import ProcessGroup
from aconcur.process._pty import Size, on_terminal, open_terminal, our_terminal
from aconcur.process._redirect import (
    Tee,
    Wiring,
    check_output,
    close,
    descriptor_to_read,
    descriptor_to_write,
    open_path,
    path_and_flags,
    read_in_thread,
    read_on,
    take_read_ahead,
)
from aconcur.process._stage import Stage
from aconcur.process._stdin import StageInput

# Seconds. A guess: what a loop may be late before anybody notices.
_SLOW: Final = 0.005
# Threads that start processes. More than two only wait for the kernel's locks.
_THREADS: Final = 2
# Open files: below this limit, starting a process counts beside those that run. A guess.
_MANY_FILES: Final = 256
# Seconds that processes of a start that failed may take to die of SIGKILL, and between two looks.
_DEATH: Final = 1.0
_LOOK: Final = 0.0005

_WIRED: Final[dict[Wiring, int | None]] = {
    Wiring.CAPTURE: subprocess.PIPE,
    Wiring.DISCARD: subprocess.DEVNULL,
    Wiring.INHERIT: None,
    Wiring.PIPE: subprocess.PIPE,
    Wiring.STDOUT: subprocess.STDOUT,
}

# A shell that stops until its limits are set and then becomes the program.
_WAIT_FOR_LIMITS: Final = 'kill -STOP $$; exec "$0" "$@"'


@final
class Started:
    """The stages that run, and our ends of their pipes. A descriptor of -1 is closed."""

    __slots__ = (
        "_lent",
        "_opened",
        "_stages",
        "budget",
        "files",
        "group",
        "on_close",
        "positions",
        "source",
        "stderrs",
        "stdin",
        "stdout",
    )

    def __init__(
        self,
        stages: tuple[Stage, ...],
        group: ProcessGroup,
        named_pipes: Mapping[tuple[str, int], int],
    ) -> None:
        self.group: ProcessGroup = group
        self.stdin: StageInput | None = None
        self.source: AsyncIterable[bytes] | None = None
        """What a task writes into ``stdin`` as it comes."""
        self.stdout: int = -1
        self.stderrs: dict[int, int] = {}
        self.files: list[int] = []
        """Files that the stages use, open until the end so that their positions can be asked."""
        self.positions: tuple[int, int] = (-1, -1)
        """The files whose positions tell how much was read and written."""
        self.budget: PipeBudget = PipeBudget()
        self.on_close: Callable[[], None] | None = None
        self._stages = stages
        self._opened = dict(named_pipes)
        self._lent: list[int] = []
        """The descriptors that only the stages need."""

    def start(self, input: Any, output: Any, size: Size | None) -> None:  # noqa: A002, ANN401
        """Start all stages; if one does not start, leave none."""
        try:
            if size is not None:
                self._start_on_terminal(size)
            else:
                self._start_pipe(input, output)
        except BaseException:
            self.abort()
            raise
        finally:
            self._close_lent()

    def close(self) -> None:
        """Close every descriptor that is left here, and those of the group."""
        if self.stdin is not None:
            self.stdin.abandon()
        for fd in (self.stdout, *self.stderrs.values(), *self.files):
            if fd >= 0:
                close(fd)
        self.stdout, self.stderrs, self.files, self.positions = -1, {}, [], (-1, -1)
        self.budget.release()
        self.group.close()
        if self.on_close is not None:
            self.on_close()
            self.on_close = None

    def abort(self) -> None:
        """Leave nothing of stages that have only begun. Blocks for 1 s at most, mostly 1 ms."""
        self.group.reap()
        last = perf_counter() + _DEATH
        while not self.group.is_gone() and perf_counter() < last and not self.group.is_dead():
            sleep(_LOOK)
        self.close()

    def _start_on_terminal(self, size: Size) -> None:
        [stage] = self._stages
        _check_runnable(stage)
        self.stdout, theirs = open_terminal(size)
        self._lent.append(theirs)
        self.stdin = StageInput(os.dup(self.stdout), pty=True)
        stderr = stage.stderr
        errors = subprocess.STDOUT if stderr is Wiring.CAPTURE else self._target("stderr", stderr)
        if errors == subprocess.PIPE:
            self.stderrs[0], errors = self._output_pipe()
        merged = errors == subprocess.STDOUT
        self._start(stage, on_terminal(stage.args, theirs, stderr=merged), theirs, theirs, errors)

    def _start_pipe(self, input: Any, output: Any) -> None:  # noqa: A002, ANN401
        reading = self._open_input(input)
        last = self._target("output", output)
        errors = [self._target("stderr", stage.stderr) for stage in self._stages]
        self.positions = self._if_file(reading), self._if_file(last)
        bulk = not (isinstance(input, bytes | str) and len(input) <= DEFAULT_SIZE)
        for place, (stage, stderr) in enumerate(zip(self._stages, errors, strict=True)):
            following = -1
            writing: int | None
            if place < len(self._stages) - 1:
                following, writing = os.pipe()
                self._lent += (following, writing)
                if bulk:
                    self.budget.enlarge(writing)
            elif last == subprocess.PIPE:
                self.stdout, writing = self._output_pipe()
            else:
                writing = last
            if stderr == subprocess.PIPE:
                self.stderrs[place], stderr = self._output_pipe()
            self._start(stage, stage.args, reading, writing, stderr)
            # The next stage must see the end of its input, and this one that its reader is gone.
            self._close_lent(but=following)
            reading = following

    def _if_file(self, fd: int | None) -> int:
        """Return the descriptor of a file that a stage gets as it is; else a negative number."""
        return -1 if fd is None or fd in self._lent else fd

    def _close_lent(self, but: int = -1) -> None:
        """Close what only stages need that have started."""
        for fd in self._lent:
            if fd != but:
                close(fd)
        self._lent = [but] if but >= 0 else []

    def _open_input(self, input: Any) -> int | None:  # noqa: A002, ANN401
        """Return the descriptor that the first stage reads; None for our own stdin."""
        if input is Wiring.INHERIT:
            return None
        if isinstance(input, str):
            input = input.encode()  # noqa: A001
        if input is None:
            self._lent.append(os.open(os.devnull, os.O_RDONLY))
        elif isinstance(input, bytes | bytearray | memoryview):
            self._open_input_of_bytes(input)
        elif input is Wiring.PIPE:
            self.stdin = self._input_pipe()
        elif (named := path_and_flags(input, write=False)) is not None:
            return self._open(*named)
        elif (fd := descriptor_to_read(input)) is not None:
            if not (data := take_read_ahead(input)):
                return fd
            self.source, self.stdin = read_on(data, fd), self._input_pipe()
        elif isinstance(input, AsyncIterable):
            self.source, self.stdin = input, self._input_pipe()
        elif hasattr(input, "read") and hasattr(input, "fileno") and not hasattr(input, "getvalue"):
            self.source, self.stdin = read_in_thread(input), self._input_pipe()
        elif isinstance(input, Iterable):
            self.stdin = self._input_pipe()
            self.stdin.feed(input)
        else:
            raise TypeError(
                "input must be bytes, str, a path, an open file, an iterable or async iterable of "
                f"bytes, INHERIT or None, not {type(input).__name__}"
            )
        return self._lent[-1]

    def _open_input_of_bytes(self, data: bytes | bytearray | memoryview) -> None:
        # A small input fits into the pipe before a stage reads: most need no feeding at all.
        if len(data) <= DEFAULT_SIZE and isinstance(data, bytes):
            reading, writing = os.pipe()
            self._lent.append(reading)
            try:
                if data:
                    os.write(writing, data)
            finally:
                close(writing)
        else:
            self.stdin = self._input_pipe()
            self.stdin.feed([data])

    def _input_pipe(self) -> StageInput:
        reading, writing = os.pipe()
        self._lent.append(reading)
        _unblock(writing)
        return StageInput(writing, capacity=self.budget.enlarge(writing))

    def _target(self, name: str, value: Any) -> int | None:  # noqa: ANN401
        """Return where an output goes, as ``Popen`` takes it: files are opened, pipes are not."""
        if isinstance(value, Wiring):
            return _WIRED[value]
        fd = self._file_to_write(name, value)
        return subprocess.PIPE if fd is None else fd

    def _output_pipe(self) -> tuple[int, int]:
        reading, writing = os.pipe()
        self._lent.append(writing)
        _unblock(reading)
        return reading, writing

    def _file_to_write(self, name: str, output: Any) -> int | None:  # noqa: ANN401
        """Return the descriptor of a file that a stage writes by itself; None for a pipe."""
        if isinstance(output, Tee):
            return None
        if (named := path_and_flags(output, write=True)) is not None:
            return self._open(*named)
        check_output(name, output)
        return descriptor_to_write(output)

    def _open(self, path: str | os.PathLike[str], flags: int) -> int:
        key = os.fspath(path), flags
        if key not in self._opened:
            self._opened[key] = open_path(path, flags)
            self.files.append(self._opened[key])
        return self._opened[key]

    def _start(
        self,
        stage: Stage,
        args: tuple[str | bytes, ...],
        stdin: int | None,
        stdout: int | None,
        stderr: int | None,
    ) -> None:
        """Start one stage and add it to the group."""
        group = self.group
        place = len(group.pids)
        if limited := bool(stage.rlimits) or stage.nice is not None:
            _check_runnable(stage)
            args = ("/bin/sh", "-c", _WAIT_FOR_LIMITS, *args)
        session = stage.start_new_session or group.session
        leader = session or group.needs_leaders
        while True:
            group.prepare(leader=leader)
            failure, process = _popen(
                stage,
                args,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                process_group=(0 if leader else group.id) if group.own and not session else None,
                start_new_session=session,
                pass_fds=stage.pass_fds,
            )
            # Another part of the program has reaped the leader: its group is no more.
            if leader or not isinstance(failure, PermissionError) or not group.has_vanished():
                break
            leader = True
        if process is not None:
            group.add(process, leader=leader)
            if limited:
                _set_limits(stage, process.pid)
        # Outside of the handler: the system's error would carry frames that hold the environment.
        elif isinstance(failure, OSError):
            raise start_error(failure, place, stage)
        elif failure is not None:
            raise failure


def spawn(
    stages: tuple[Stage, ...],
    input: Any,  # noqa: A002, ANN401 - an Input or Wiring.PIPE
    output: Any,  # noqa: ANN401 - an Output or Wiring.PIPE
    size: Size | None,
    named_pipes: Mapping[tuple[str, int], int],
) -> Started:
    """Start the stages, joined by pipes.

    Args:
        stages: the commands, from the first to the last.
        input: for the first one.
        output: of the last one.
        size: of the terminal that is the command's stdin, stdout and stderr; None for pipes.
        named_pipes: the descriptors of those that were opened before, by path and flags.

    Raises:
        CommandStartError: the system does not start one of them. Those before it are gone.
        OSError: a file cannot be opened, or no descriptor is free.
        TypeError: an input or output of an unknown kind.
    """
    # In a group of its own a stage could not read from our terminal, nor get its Ctrl-C.
    own = not (input is Wiring.INHERIT and _stdin_is_a_terminal())
    terminal = None if own else our_terminal()
    group = ProcessGroup(own=own, session=size is not None, terminal=terminal)
    started = Started(stages, group, named_pipes)
    started.start(input, output, size)
    return started


def _unblock(fd: int) -> None:
    """Let reads and writes of one of our ends return at once, or close it if that fails."""
    try:
        os.set_blocking(fd, False)
    except BaseException:
        close(fd)
        raise


def _popen(
    stage: Stage,
    args: tuple[str | bytes, ...],
    **how: Any,  # noqa: ANN401
) -> tuple[BaseException | None, subprocess.Popen[bytes] | None]:
    """Start a process; return the exception instead of raising it, without its frames."""
    for name in ("umask", "user", "group", "extra_groups"):
        if (value := getattr(stage, name)) is not None:
            how[name] = value
    # Its __init__ may fail when the process runs: by Ctrl-C, for example. It must not be lost.
    process: subprocess.Popen[bytes] = subprocess.Popen.__new__(subprocess.Popen)
    try:
        process.__init__(args, cwd=stage.cwd, env=stage.environment(), **how)  # type: ignore[misc]
    except BaseException as error:  # noqa: ASYNC103, BLE001 - raised by the caller
        if getattr(process, "pid", None) and process.returncode is None:
            process.kill()
            process.wait()
        return error.with_traceback(None), None  # noqa: ASYNC104
    return None, process


def _set_limits(stage: Stage, pid: int) -> None:
    """Set the limits of a stage whose shell has stopped itself, and let it become the program."""
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if stage.nice is not None:
        os.setpriority(os.PRIO_PROCESS, pid, stage.nice)
    for kind, limits in stage.rlimits:
        resource.prlimit(pid, kind, limits)
    os.kill(pid, signal.SIGCONT)


def _check_runnable(stage: Stage) -> None:
    """Raise the error of a program that cannot be started: the shell in between raises none.

    Raises:
        CommandStartError: it does not exist, or may not be executed.
    """
    program = os.fsdecode(stage.args[0])
    if "/" in program:
        program = os.path.join(stage.cwd or ".", program)  # noqa: PTH118 - keeps the slash
    if shutil.which(program, path=stage.search_path()) or not os.path.isdir(stage.cwd or "."):  # noqa: PTH112
        return
    number = errno.EACCES if os.path.exists(program) else errno.ENOENT  # noqa: PTH110
    raise start_error(OSError(number, ""), 0, stage)


def _stdin_is_a_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False


@final
class _StartLimiter:
    """How one event loop starts processes: inline, or at most two at a time in threads."""

    def __init__(self) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Each start needs descriptors that it gives back: where few are allowed, one at a time.
        threads = _THREADS if files >= _MANY_FILES else 1
        self.turns = anyio.CapacityLimiter(threads)
        self.threads = anyio.CapacityLimiter(threads)
        self.recent = 0.0
        self.alive = 0

    def start(self, start: Callable[[], Started]) -> Started:
        began = perf_counter()
        started = start()
        # The mean of about the last four.
        self.recent += (perf_counter() - began - self.recent) / 4
        return started

    def one_less(self) -> None:
        self.alive -= 1


_limiter: RunVar[_StartLimiter] = RunVar("aconcur.process start limiter")


async def start_in_turn(start: Callable[[], Started]) -> Started:
    """Return the result of ``start()``, called inline or in a worker thread.

    **Cancelled** before the start: nothing was started. After it: the started processes are killed
    and reaped.
    """
    try:
        limiter = _limiter.get()
    except LookupError:
        limiter = _StartLimiter()
        _limiter.set(limiter)
    await checkpoint()
    inline = not limiter.alive and limiter.recent <= _SLOW
    limiter.alive += 1
    try:
        started = limiter.start(start) if inline else await _start_in_a_thread(limiter, start)
    except BaseException:
        limiter.one_less()
        raise
    started.on_close = limiter.one_less
    return started


async def _start_in_a_thread(limiter: _StartLimiter, start: Callable[[], Started]) -> Started:
    done: list[Started] = []
    failures: list[Exception] = []

    def work() -> None:
        try:
            done.append(limiter.start(start))
        except Exception as error:  # noqa: BLE001 - raised below, without a group around it
            failures.append(error)

    try:
        # A run that is cancelled in the queue need not wait: only a start that has begun is waited
        # for.
        async with limiter.turns:
            await run_in_thread_to_end(work, limiter.threads)
    except BaseException:
        for started in done:
            started.abort()
        raise
    if failures:
        raise failures[0]
    return done[0]
