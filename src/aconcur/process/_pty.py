"""Terminals: one made for a command (pty(7)), and our own that commands borrow.

Rule: nothing here awaits.
"""

from __future__ import annotations

__all__ = (
    "OurTerminal",
    "Size",
    "checked_size",
    "has_terminal",
    "on_terminal",
    "open_terminal",
    "our_terminal",
    "resize",
    "session_members",
)

import fcntl
import os
import signal
import struct
import termios
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final, TypeAlias, final

Size: TypeAlias = tuple[int, int]
"""Rows and columns."""

# The size of the hardware terminals, which programs still assume.
_USUAL: Final = (24, 80)
_MOST: Final = 0xFFFF

# A new session gets a terminal by opening it (credentials(7)), which takes code between fork and
# exec: a shell's, since Python's own (preexec_fn) may hang where there are threads.
_TAKE: Final = {True: 'exec <>"$0" >&0 2>&0; exec "$@"', False: 'exec <>"$0" >&0; exec "$@"'}


def on_terminal(args: Sequence[str | bytes], fd: int, *, stderr: bool) -> tuple[str | bytes, ...]:
    """Return the command line that runs the command on a terminal, in a new session.

    Args:
        args: the command.
        fd: the terminal's end for commands.
        stderr: whether stderr goes there too.
    """
    return ("/bin/sh", "-c", _TAKE[stderr], os.ttyname(fd), *args)


def checked_size(pty: bool | Size) -> Size | None:
    """Return the size of the terminal to make; None for none.

    Raises:
        ValueError: no terminal has that size.
    """
    if pty is False:
        return None
    match pty:
        case True:
            return _USUAL
        case (int(rows), int(columns)) if 0 < rows <= _MOST and 0 < columns <= _MOST:
            return rows, columns
        case _:
            raise ValueError(f"pty must be (rows, columns), each from 1 to {_MOST}, not {pty!r}")


def open_terminal(size: Size) -> tuple[int, int]:
    """Return our end, which does not block, and the commands' end of a new terminal."""
    ours, theirs = os.openpty()
    try:
        os.set_blocking(ours, False)
        resize(ours, size)
    except BaseException:
        os.close(ours)
        os.close(theirs)
        raise
    return ours, theirs


@cache
def has_terminal() -> bool:
    """Return whether this process has a controlling terminal, which may stop its children."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def resize(fd: int, size: Size) -> None:
    """Set a terminal's size; its foreground programs get SIGWINCH if it changed."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))


def session_members(session: int) -> list[int]:
    """Return the processes of a session, as far as /proc (proc(5)) tells; else its leader alone.

    A shell that controls jobs gives each a process group of its own, inside of its session.
    """
    found = [session]
    with suppress(OSError):  # there is no /proc, or no descriptor left to read it
        for name in os.listdir("/proc"):  # noqa: PTH208 - quicker by half
            with suppress(ProcessLookupError):
                if name.isdigit() and int(name) != session and os.getsid(int(name)) == session:
                    found.append(int(name))
    return found


@final
class OurTerminal:
    """How our terminal stood before a command borrowed it, to put it back as a shell does."""

    __slots__ = ("_group", "_modes")

    def __init__(self) -> None:
        self._group: int = os.getpgrp()
        self._modes: list[Any] = termios.tcgetattr(0)

    def take_back(self, *, modes: bool) -> None:
        """Let our process group have the terminal again, and reset its modes if asked to.

        A shell that was killed leaves the terminal to a group that is gone; an editor leaves it
        without echo.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            with suppress(OSError, termios.error):  # it has hung up
                if os.tcgetpgrp(0) != self._group:
                    os.tcsetpgrp(0, self._group)
                if modes:
                    termios.tcsetattr(0, termios.TCSADRAIN, self._modes)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def our_terminal() -> OurTerminal | None:
    """Return our stdin's terminal, if it is one and ours to lend: we are in its foreground."""
    try:
        if os.tcgetpgrp(0) != os.getpgrp():
            return None
        return OurTerminal()
    except (OSError, termios.error):
        return None
