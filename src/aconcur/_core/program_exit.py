"""End a program as a shell expects: one clear line on stderr, the right exit code, no traceback."""

from __future__ import annotations

__all__ = ("clean_exit",)

import _thread
import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn, TextIO, final

from aconcur._core.stop_signals import stop_signals
from aconcur.errors import AconcurError

_STREAMS: Final = (
    ("stdin", 0, "r", os.O_WRONLY, "give it something to read"),
    ("stdout", 1, "w", os.O_RDONLY, "send it to a file or a program"),
    ("stderr", 2, "w", os.O_RDWR, ""),
)


# Seconds. Much longer than the rest of the code that swallowed a Ctrl-C.
_REPEAT_AFTER: Final = 0.05

# Windows has no SIGHUP.
_SAID: Final[dict[int, str]] = {
    signal.SIGINT: "interrupted",
    getattr(signal, "SIGHUP", 0): "hung up",
}


@contextmanager
def clean_exit(program: str) -> Iterator[None]:
    """Run the block and turn how it ends into a message on stderr and an exit code.

    AconcurError, OSError and MemoryError exit with 1, Ctrl-C with 130. SIGTERM and SIGHUP cancel
    the main function of ``aconcur.run``, or do what Ctrl-C does, and exit with 143 and 129. Output
    printed before an error is flushed. If the reader of stdout has closed it (``| head``), the
    program exits with 1 and prints nothing. If the shell closed a standard stream (``>&-``),
    messages for stderr are dropped, but writing to stdout or reading from stdin is an error. A
    Ctrl-C that comes while code runs that must not raise comes again after it. Any other exception
    is a bug and keeps its traceback.
    """
    say = _Speaker(program, _open_missing_streams())
    received: list[int] = []
    try:
        with _ctrl_c_repeated(), stop_signals() as received, _flushed(say):
            yield
    except KeyboardInterrupt:
        _exit_by_signal(say, received)
    except SystemExit:
        if received:  # aconcur.run() has ended its main function
            _exit_by_signal(say, received)
        raise
    except BrokenPipeError:
        sys.exit(1)
    except (AconcurError, OSError) as error:
        say(error)
        sys.exit(1)
    except MemoryError:
        say("there is not enough memory for this")
        sys.exit(1)


@contextmanager
def _ctrl_c_repeated() -> Iterator[None]:
    """Repeat a Ctrl-C that was raised where Python ignores exceptions.

    KeyboardInterrupt is raised between any two instructions of the main thread, so also in a
    ``__del__`` or in the callback of a weak reference. There Python prints it and goes on. Every
    import runs such callbacks: a Ctrl-C during a late import would be lost.
    """
    before = sys.unraisablehook
    inside = [True]

    def hook(ignored: sys.UnraisableHookArgs) -> None:
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            before(ignored)
            return
        # Raised at once it would be raised in this hook, and be lost again. threading.Thread takes
        # locks that the interrupted code may hold.
        _thread.start_new_thread(_press_ctrl_c_again, (inside,))

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
        inside.clear()


def _press_ctrl_c_again(inside: list[bool]) -> None:
    time.sleep(_REPEAT_AFTER)
    if not inside:
        return
    if hasattr(signal, "pthread_kill"):
        # Also ends a blocking call of the main thread.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


def _exit_by_signal(say: _Speaker, received: list[int]) -> NoReturn:
    first = received[0] if received else signal.SIGINT
    say(_SAID.get(first, "terminated"))
    sys.exit(128 + first)


@final
class _Speaker:
    """Prints on stderr why the program ends.

    Args:
        program: its name.
        closed: a message for each stream that the shell closed.
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
    """Flush stdout and stderr when the block is left, for whatever reason.

    The interpreter flushes again as it exits, and exits with 120 if that fails.
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
    """Replace each standard stream that was closed; return a message for each.

    Python sets a closed stream to None. The next file or pipe to be opened would get its number,
    and children would inherit that file as their own stdout. stdout is therefore replaced by a
    read-only file and stdin by a write-only one, so that using them fails, in children too.
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


def _forget(stream: TextIO) -> None:
    # The interpreter flushes it once more as it exits: send the buffered data to /dev/null.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path
        os.dup2(nowhere.fileno(), stream.fileno())
