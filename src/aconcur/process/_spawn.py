"""Start all stages of a pipe as one step: either every stage runs, or none is left.

Laws:
1. Nothing here awaits, so no cancellation falls between two stages.
2. A stage gets its three descriptors and no other. O_NONBLOCK is set on our ends alone: the two
   ends of a pipe are two open file descriptions.
3. A child is reaped last (see ``Group``).
"""

from __future__ import annotations

__all__ = ("spawn", "spawn_on_terminal")

import errno
import io
import os
import shutil
import stat
import subprocess
from collections.abc import AsyncIterable, Iterable

from aconcur._core.pidfd import open_exit_fd
from aconcur._core.pipe_budget import DEFAULT_SIZE, new_pipe
from aconcur.process._errors import start_error
from aconcur.process._stdin import Feed, as_view
from aconcur.process._process_group import Group
from aconcur.process._stage import Stage
from aconcur.process._pty import Size, on_terminal, open_terminal, our_terminal
from aconcur.process._redirect import (
    Append,
    HasFileno,
    Input,
    Output,
    Tee,
    Wiring,
)


def spawn(stages: tuple[Stage, ...], input: Input, output: Output | Wiring) -> Group:  # noqa: A002
    """Start the stages, joined by pipes.

    Args:
        stages: what to start, from the first to the last.
        input: for the first one.
        output: of the last one.

    Raises:
        CommandStartError: the system does not start one of them. Those before it are gone.
        OSError: a file cannot be opened, or no descriptor is free.
        TypeError: an input or output of no known kind.
    """
    # In a group of its own a stage could not read from our terminal, nor hear of its Ctrl-C.
    group = Group(stages, own=not (input is Wiring.INHERIT and _stdin_is_a_terminal()))
    group.terminal = None if group.own else our_terminal()
    lent: list[int] = []
    try:
        reading = _open_input(group, input, lent)
        bulk = not (isinstance(input, bytes | str) and len(input) <= DEFAULT_SIZE)
        for stage in stages[:-1]:
            following, writing = new_pipe()
            lent += (following, writing)
            if bulk:
                group.pipe_budget.enlarge(writing)
            _start(group, stage, reading, writing)
            # The next stage must see the end of its input, and this one that its reader is gone.
            os.close(writing)
            lent.remove(writing)
            reading = following
        _start(group, stages[-1], reading, _open_output(group, output, lent))
    except BaseException:
        group.abort()
        raise
    finally:
        for fd in lent:
            os.close(fd)
    return group


def spawn_on_terminal(stage: Stage, size: Size) -> Group:
    """Start a command on a terminal of its own, which is its stdin, stdout and captured stderr.

    Raises:
        CommandStartError: the system does not start it.
        OSError: no terminal or descriptor is free.
    """
    if (number := _refusal(stage)) != 0:
        raise start_error(OSError(number, ""), 0, stage.shown_args, stage.cwd)
    group = Group((stage,), own=True, pty=True)
    group.stdout, theirs = open_terminal(size)
    try:
        group.stdin = os.dup(group.stdout)
        _start(group, stage, theirs, theirs)
    except BaseException:
        group.abort()
        raise
    finally:
        os.close(theirs)
    return group


def _refusal(stage: Stage) -> int:
    """Return for which error the program cannot be started, 0 for none: the shell raises none."""
    program = os.fsdecode(stage.args[0])
    if "/" in program:
        program = os.path.join(stage.cwd or ".", program)  # noqa: PTH118 - keeps the slash
    if shutil.which(program, path=_path(stage)) or not os.path.isdir(stage.cwd or "."):  # noqa: PTH112
        return 0
    return errno.EACCES if os.path.exists(program) else errno.ENOENT  # noqa: PTH110


def _path(stage: Stage) -> str:
    environment = os.environb if (own := stage.environment()) is None else own
    return os.fsdecode(environment.get(b"PATH", os.fsencode(os.defpath)))


def _stdin_is_a_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False


def _start(group: Group, stage: Stage, stdin: int | None, stdout: int | None) -> None:
    """Start one stage; add it to the group."""
    stderr: int | None = None
    lent = -1
    args = stage.args
    if group.pty and stdin is not None:
        args = on_terminal(args, stdin, stderr=stage.stderr in {Wiring.CAPTURE, Wiring.STDOUT})
    if stage.stderr is Wiring.CAPTURE and group.pty:
        stderr = subprocess.STDOUT
    elif stage.stderr is Wiring.CAPTURE:
        reading, lent = new_pipe()
        group.stderrs[len(group.processes)] = reading
        os.set_blocking(reading, False)
        stderr = lent
    elif stage.stderr is Wiring.DISCARD:
        stderr = subprocess.DEVNULL
    elif stage.stderr is Wiring.STDOUT:
        stderr = subprocess.STDOUT
    failure: OSError | None = None
    try:
        # Not loop.subprocess_exec: uvloop forks the parent's page tables, 46 ms for 2 GiB.
        # A process_group makes CPython 3.13 release the GIL while the child starts.
        process = subprocess.Popen(
            args,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=stage.cwd,
            env=stage.environment(),
            process_group=group.id if group.own and not group.pty else None,
            start_new_session=group.pty,
        )
    except OSError as error:
        failure = error
    finally:
        if lent >= 0:
            os.close(lent)
    if failure is not None:
        # Outside of the handler: the system's error would carry frames that hold the environment.
        raise start_error(failure, len(group.processes), stage.shown_args, stage.cwd)
    group.add(process)
    group.exits.append(open_exit_fd(process.pid))


def _open_input(group: Group, input: Input, lent: list[int]) -> int | None:  # noqa: A002
    """Return the descriptor that the first stage reads; None for our own stdin."""
    if input is None:
        lent.append(os.open(os.devnull, os.O_RDONLY))
    elif input is Wiring.INHERIT:
        return None
    elif isinstance(input, str):
        return _open_input(group, input.encode(), lent)
    elif isinstance(input, bytes | bytearray | memoryview):
        _open_feed(group, [as_view(input)], lent, large=len(input) > DEFAULT_SIZE, at_once=True)
    elif input is Wiring.PIPE:
        _open_pipe(group, lent, large=True)
    elif isinstance(input, os.PathLike):
        group.read_from = os.open(input, os.O_RDONLY)
        # Some programs take the error of reading a folder for the end of their input.
        if stat.S_ISDIR(os.fstat(group.read_from).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(input))
        return group.read_from
    elif (fd := _descriptor(input)) is not None:
        group.borrowed_input = fd
        _rewind(input, fd)
        return fd
    elif isinstance(input, AsyncIterable):
        _open_pipe(group, lent, large=True)
        group.source = input
    elif isinstance(input, Iterable):
        _open_feed(group, input, lent, large=True, at_once=False)
    else:
        raise TypeError(
            "input must be bytes, str, a path, an open file, an iterable or async iterable of "
            f"bytes, INHERIT or None, not {type(input).__name__}"
        )
    return lent[0]


def _open_pipe(group: Group, lent: list[int], *, large: bool) -> None:
    reading, group.stdin = new_pipe()
    lent.append(reading)
    os.set_blocking(group.stdin, False)
    if large:
        group.stdin_size = group.pipe_budget.enlarge(group.stdin)


def _open_feed(
    group: Group, chunks: Iterable[object], lent: list[int], *, large: bool, at_once: bool
) -> None:
    _open_pipe(group, lent, large=large)
    group.feed = Feed(chunks, group.stdin_size)
    # What fits is in the pipe before anybody reads: most inputs need no feeding at all.
    if at_once and group.feed.push(group.stdin):
        group.close_stdin()


def _open_output(group: Group, output: Output | Wiring, lent: list[int]) -> int | None:
    """Return the descriptor that the last stage writes; None for our own stdout."""
    if output is Wiring.INHERIT:
        return None
    if output is Wiring.DISCARD:
        return subprocess.DEVNULL
    if isinstance(output, Append):
        group.write_to = os.open(output.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        return group.write_to
    if isinstance(output, os.PathLike):
        group.write_to = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        return group.write_to
    if output in {Wiring.CAPTURE, Wiring.PIPE} or isinstance(output, Tee):
        return _open_stdout(group, lent)
    if (fd := _descriptor(output)) is not None:
        if isinstance(output, io.IOBase):
            output.flush()
        group.borrowed_output = fd
        return fd
    if callable(output):
        return _open_stdout(group, lent)
    raise TypeError(
        "output must be CAPTURE, DISCARD, INHERIT, a path (not a str), Append(path), an open file, "
        f"a function or Tee(function), not {type(output).__name__}"
    )


def _open_stdout(group: Group, lent: list[int]) -> int:
    group.stdout, writing = new_pipe()
    lent.append(writing)
    os.set_blocking(group.stdout, False)
    return writing


def _descriptor(file: object) -> int | None:
    if not hasattr(file, "fileno"):
        return None
    opened: HasFileno = file
    try:
        return opened.fileno()
    except (OSError, ValueError) as error:
        if isinstance(error, io.UnsupportedOperation):  # BytesIO: a mere iterable
            return None
        raise


def _rewind(file: object, fd: int) -> None:
    """Let the program go on where the reader of a buffered file stood."""
    if isinstance(file, io.BufferedReader | io.BufferedRandom) and file.seekable():
        os.lseek(fd, file.tell(), os.SEEK_SET)
