"""End a program the way a shell expects: a clear line on stderr, the right code, no traceback."""

from __future__ import annotations

__all__ = ("clean_exits",)

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from aconcur.errors import AconcurError

STREAMS = (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w"))


@contextmanager
def clean_exits(program: str) -> Iterator[None]:
    """Run the block; exit with 1 on an error of ours, of the system or of memory, 130 on Ctrl-C.

    SIGTERM ends the block exactly as Ctrl-C does, and exits with 143. A reader of stdout that has
    gone (``| head``) ends the program quietly, with 1. A standard stream that the shell closed
    (``>&-``) leads nowhere. Any other exception is a bug and keeps its traceback.
    """
    _open_missing_streams()
    try:
        with _ended_by_sigterm() as terms:
            yield
            sys.stdout.flush()
    except KeyboardInterrupt:
        said, code = ("terminated", 143) if terms else ("interrupted", 130)
        print(f"{program}: {said}", file=sys.stderr)  # noqa: T201 - stderr is the channel
        sys.exit(code)
    except BrokenPipeError:
        _forget_stdout()
        sys.exit(1)
    except (AconcurError, OSError) as error:
        _forget_stdout()
        sys.exit(f"{program}: {error}")
    except MemoryError:
        _forget_stdout()
        sys.exit(f"{program}: there is not enough memory for this")


def _open_missing_streams() -> None:
    # Python has None for a stream that was closed, and the next file or pipe that is opened would
    # take its number, to be inherited by children as their own stdout.
    for name, number, mode in STREAMS:
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number and not _is_open(number):
                os.dup2(nowhere, number)
                os.close(nowhere)
                nowhere = number
            os.set_inheritable(nowhere, nowhere == number)
            setattr(sys, name, open(nowhere, mode, closefd=False))  # noqa: SIM115


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


def _forget_stdout() -> None:
    # The interpreter flushes stdout once more as it exits: give what is buffered somewhere to go.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
