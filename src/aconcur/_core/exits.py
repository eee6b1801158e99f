"""End a program the way a shell expects: a clear line on stderr, the right code, no traceback."""

from __future__ import annotations

__all__ = ("clean_exits",)

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, TextIO, final

from aconcur.errors import AconcurError

_STREAMS: Final = (
    ("stdin", 0, "r", os.O_WRONLY, "give it something to read"),
    ("stdout", 1, "w", os.O_RDONLY, "send it to a file or a program"),
    ("stderr", 2, "w", os.O_RDWR, ""),
)


@contextmanager
def clean_exits(program: str) -> Iterator[None]:
    """Run the block; exit with 1 on an error of ours, of the system or of memory, 130 on Ctrl-C.

    What was printed before an error is printed. SIGTERM ends the block exactly as Ctrl-C does, and
    exits with 143. A reader of stdout that has gone (``| head``) ends the program quietly, with 1.
    Where the shell closed a standard stream (``>&-``), what is said on stderr leads nowhere; data
    for stdout, or wanted from stdin, is an error. Any other exception is a bug and keeps its
    traceback.
    """
    say = _Speaker(program, _open_missing_streams())
    try:
        with _ended_by_sigterm() as terms, _flushed(say):
            yield
    except KeyboardInterrupt:
        said, code = ("terminated", 143) if terms else ("interrupted", 130)
        say(said)
        sys.exit(code)
    except BrokenPipeError:
        sys.exit(1)
    except (AconcurError, OSError) as error:
        say(error)
        sys.exit(1)
    except MemoryError:
        say("there is not enough memory for this")
        sys.exit(1)


@final
class _Speaker:
    """Says on stderr why the program ends.

    Args:
        program: its name.
        closed: what to say of each stream that the shell closed.
    """

    def __init__(self, program: str, closed: list[str]) -> None:
        self._program, self._closed = program, closed

    def __call__(self, said: object) -> None:
        if isinstance(said, OSError) and said.errno == errno.EBADF and self._closed:
            said = "; ".join(self._closed)
        try:
            print(f"{self._program}: {said}", file=sys.stderr, flush=True)  # noqa: T201
        except OSError:
            _forget(sys.stderr)


@contextmanager
def _flushed(say: _Speaker) -> Iterator[None]:
    """Print what is buffered when the block is left, however it is left.

    The interpreter, which flushes once more as it exits, has an exit code of its own if it cannot.
    """
    left_by: BaseException | None = None
    try:
        yield
    except BaseException as error:
        left_by = error
        raise
    finally:
        try:
            sys.stderr.flush()
        except OSError:
            _forget(sys.stderr)
        try:
            sys.stdout.flush()
        except OSError as error:
            _forget(sys.stdout)
            if left_by is None or (isinstance(left_by, SystemExit) and not left_by.code):
                raise
            if isinstance(left_by, AconcurError) and not isinstance(error, BrokenPipeError):
                say(error)


def _open_missing_streams() -> list[str]:
    """Put something in place of each stream that was closed; return what to say who uses it.

    Python has None for it, and the next file or pipe that is opened would take its number, to be
    inherited by children as their own stdout. What can only be read is in stdout's place, and what
    can only be written in stdin's: who needs them is told, in a child too.
    """
    closed = []
    for name, number, mode, flags, remedy in _STREAMS:
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, flags)
            if nowhere != number and not _is_open(number):
                os.dup2(nowhere, number)
                os.close(nowhere)
                nowhere = number
            os.set_inheritable(nowhere, nowhere == number)
            setattr(sys, name, open(nowhere, mode, closefd=False))  # noqa: SIM115
            if remedy:
                closed.append(f"{name} is closed: {remedy}")
    return closed


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


@contextmanager
def _ended_by_sigterm() -> Iterator[list[int]]:
    """Let SIGTERM do what Ctrl-C does; yield the list that notes it."""
    terms: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        terms.append(number)
        # An event loop puts a handler of its own there, which cancels its main task.
        on_ctrl_c = signal.getsignal(signal.SIGINT)
        if not callable(on_ctrl_c):
            raise KeyboardInterrupt
        on_ctrl_c(signal.SIGINT, frame)

    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    ):
        yield terms
        return
    with _ctrl_c_handled():
        signal.signal(signal.SIGTERM, end)
        try:
            yield terms
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _ctrl_c_handled() -> Iterator[None]:
    """Where Ctrl-C is ignored, block it instead, so that it has a handler all the same.

    A script's shell lets its jobs in the background ignore Ctrl-C. An event loop then installs no
    handler, and a KeyboardInterrupt out of nowhere may strike in the middle of any task.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # drops one that came
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _forget(stream: TextIO) -> None:
    # The interpreter flushes it once more as it exits: give what is buffered somewhere to go.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path
        os.dup2(nowhere.fileno(), stream.fileno())
