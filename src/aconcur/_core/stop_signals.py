"""SIGTERM and SIGHUP as a request to stop, in place of sudden death.

Callers
    ``aconcur.run`` and ``program_exit.clean_exit`` each open :func:`stop_signals`; the outer one
    installs the handlers. While an event loop runs under ``aconcur.run``, a *stopper* is set, which
    cancels its main function. Without one a signal does what Ctrl-C does: an event loop that other
    code runs then cancels its main task, and plain code gets KeyboardInterrupt.

Why a handler of ``signal.signal``, and not one of the loop
    trio has none that cancels, and ``loop.add_signal_handler`` of asyncio replaces the handler of
    the whole process for the time of one loop. Both loops are woken by the wake-up descriptor that
    they install for Ctrl-C.
"""

from __future__ import annotations

__all__ = ("EXIT_CODES", "set_stopper", "stop_signals")

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

EXIT_CODES: Final = {
    number: 128 + number
    # Windows has no SIGHUP.
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))
}
"""The exit code of a program that such a signal ended: 128 and its number, as shells tell it."""

_received: list[int] = []
_stoppers: list[Callable[[], object]] = []
_installed: bool = False


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Handle SIGTERM and SIGHUP inside the block; yield the list of those that have come.

    A signal that has another handler, or is ignored (``nohup``), stays as it is, and outside the
    main thread nothing is done: only there can a handler be installed.
    """
    global _installed
    if threading.current_thread() is not threading.main_thread():
        yield []
        return
    if _installed:
        yield _received
        return
    ours = [number for number in EXIT_CODES if signal.getsignal(number) is signal.SIG_DFL]
    with _ctrl_c_handled():
        _received.clear()
        _installed = True
        for number in ours:
            signal.signal(number, _stop)
        try:
            yield _received
        finally:
            for number in ours:
                signal.signal(number, signal.SIG_DFL)
            _installed = False


@contextmanager
def set_stopper(stop: Callable[[], object]) -> Iterator[None]:
    """Call ``stop`` for a signal that comes while the block runs, or came just before.

    It is called in the main thread, between any two instructions.
    """
    _stoppers.append(stop)
    try:
        if _received:
            stop()
        yield
    finally:
        _stoppers.remove(stop)


def _stop(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    if _stoppers:
        with suppress(RuntimeError):  # the loop has just ended
            _stoppers[-1]()
        return
    # Event loops install a SIGINT handler that cancels the main task: call that one.
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    if not callable(on_ctrl_c):
        raise KeyboardInterrupt
    on_ctrl_c(signal.SIGINT, frame)


@contextmanager
def _ctrl_c_handled() -> Iterator[None]:
    """If Ctrl-C is ignored, block it instead, so that a handler can still be installed.

    Shells start background jobs of a script with SIGINT ignored. An event loop then installs no
    handler, and SIGTERM could only raise KeyboardInterrupt in the middle of an arbitrary task.
    """
    mask = getattr(signal, "pthread_sigmask", None)  # not on Windows, whose shells ignore nothing
    if mask is None or signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    before = mask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # discards a pending SIGINT
        mask(signal.SIG_SETMASK, before)
