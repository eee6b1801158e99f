"""A terminal in full-screen mode: read keys, draw pictures.

However the block of :func:`open_terminal` ends, it restores the terminal: the screen, the cursor
and the handling of keys.
"""

from __future__ import annotations

__all__ = ("Terminal", "keys_in", "open_terminal")

import os
import re
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Final

import anyio
import anyio.to_thread

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[2J"  # alternate screen, hide the cursor, clear
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
# Synchronized update (mode 2026): the terminal shows the whole picture at once. Terminals that do
# not know the mode ignore it.
_FRAME: Final = "\x1b[?2026h\x1b[H{}\x1b[J\x1b[?2026l"

_KEY: Final = re.compile(
    rb"\x1b[\[O](?P<arrow>[ABCD])|\x1b[\[O][0-9;]*[ -~]|(?P<plain>[\x00-\x7f])"
)
_ARROWS: Final = {b"A": "up", b"B": "down", b"C": "right", b"D": "left"}


class Terminal:
    """The terminal. Made by :func:`open_terminal`."""

    def __init__(self, keys: int, screen: int) -> None:
        self._keys, self._screen = keys, screen
        self._before = termios.tcgetattr(keys)
        self._writing = Lock()

    @property
    def size(self) -> tuple[int, int]:
        """The number of rows and columns, at least 1 each."""
        columns, rows = os.get_terminal_size(self._screen)
        return max(rows, 1), max(columns, 1)

    async def show(self, lines: list[str]) -> None:
        """Draw lines from the top of the screen; wait while the terminal accepts no output.

        **Cancelled** while it waits: a thread keeps writing the rest of the picture.
        """
        picture = _FRAME.format("\x1b[K\n".join(lines))
        await anyio.to_thread.run_sync(self._write, picture, abandon_on_cancel=True)

    async def keys(self) -> AsyncIterator[str]:
        """Yield each key that is pressed: a character, or up, down, left, right.

        Ends when the terminal is closed.
        """
        while True:
            await anyio.wait_readable(self._keys)
            try:
                pressed = os.read(self._keys, 1024)
            except OSError:  # EIO: the terminal was closed
                return
            if not pressed:
                return
            for key in keys_in(pressed):
                yield key

    def enter(self) -> None:
        """Switch to full-screen mode."""
        tty.setcbreak(self._keys)
        self._write(_ENTER)

    def leave(self) -> None:
        """Restore the terminal; do nothing if it was closed."""
        with suppress(OSError, termios.error):
            # Resume output that Ctrl-S has stopped: tcsetattr() below waits for pending output.
            termios.tcflow(self._screen, termios.TCOON)
            self._write(_LEAVE)
            termios.tcsetattr(self._keys, termios.TCSADRAIN, self._before)

    def suspend(self) -> None:
        """Stop this process, as Ctrl-Z does; return when the shell resumes it."""
        self.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.enter()

    def _write(self, text: str) -> None:
        data = text.encode()
        # A cancelled show() still finishes its picture before anything else is written.
        with self._writing:
            while data:
                data = data[os.write(self._screen, data) :]


@contextmanager
def open_terminal() -> Iterator[Terminal]:
    """Use the terminal of stdin and stdout in full-screen mode. Ctrl-C still interrupts.

    The picture goes to the alternate screen, so that the previous content is back afterwards.
    """
    sys.stdout.flush()
    terminal = Terminal(sys.stdin.fileno(), sys.stdout.fileno())
    try:
        terminal.enter()
        yield terminal
    finally:
        terminal.leave()


def keys_in(pressed: bytes) -> Iterator[str]:
    """Parse input from a terminal and yield the keys; unknown sequences are dropped."""
    for found in _KEY.finditer(pressed):
        if found["arrow"]:
            yield _ARROWS[found["arrow"]]
        elif found["plain"]:
            yield found["plain"].decode()
