"""A whole terminal for a program that moves: keys come in, pictures go out.

Rule: however the block ends, the terminal is as it was: its screen, its cursor and its keys.
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

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[2J"  # another screen, no cursor, nothing on it
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
# A terminal that knows it shows all that lies between these at once; others ignore them.
_FRAME: Final = "\x1b[?2026h\x1b[H{}\x1b[J\x1b[?2026l"

_KEY: Final = re.compile(
    rb"\x1b[\[O](?P<arrow>[ABCD])|\x1b[\[O][0-9;]*[ -~]|(?P<plain>[\x00-\x7f])"
)
_ARROWS: Final = {b"A": "up", b"B": "down", b"C": "right", b"D": "left"}


class Terminal:
    """What :func:`open_terminal` yields."""

    def __init__(self, keys: int, screen: int) -> None:
        self._keys, self._screen = keys, screen
        self._before = termios.tcgetattr(keys)
        self._writing = Lock()

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns, at least one of each."""
        columns, rows = os.get_terminal_size(self._screen)
        return max(rows, 1), max(columns, 1)

    async def show(self, lines: list[str]) -> None:
        """Draw lines from the top; wait while the terminal takes nothing more.

        **Cancelled** while it waits: a thread goes on waiting with the rest of the picture, and
        holds up nobody.
        """
        picture = _FRAME.format("\x1b[K\n".join(lines))
        await anyio.to_thread.run_sync(self._write, picture, abandon_on_cancel=True)

    async def keys(self) -> AsyncIterator[str]:
        """Yield keys as they are pressed: characters, and up, down, left, right.

        Ends when the terminal goes away.
        """
        while True:
            await anyio.wait_readable(self._keys)
            try:
                pressed = os.read(self._keys, 1024)
            except OSError:  # EIO: the other end has been closed
                return
            if not pressed:
                return
            for key in keys_in(pressed):
                yield key

    def enter(self) -> None:
        """Take the terminal."""
        tty.setcbreak(self._keys)
        self._write(_ENTER)

    def leave(self) -> None:
        """Give the terminal back as it was; do nothing if it has gone away."""
        with suppress(OSError, termios.error):
            # Output that Ctrl-S has stopped would stop us here as well.
            termios.tcflow(self._screen, termios.TCOON)
            self._write(_LEAVE)
            termios.tcsetattr(self._keys, termios.TCSADRAIN, self._before)

    def stop(self) -> None:
        """Do as other programs do on Ctrl-Z; return when the shell lets us go on."""
        self.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.enter()

    def _write(self, text: str) -> None:
        data = text.encode()
        # A picture whose show() was cancelled is finished before anything else is written.
        with self._writing:
            while data:
                data = data[os.write(self._screen, data) :]


@contextmanager
def open_terminal() -> Iterator[Terminal]:
    """Take the terminal that stdin and stdout are; Ctrl-C still interrupts.

    The other screen of the terminal is used: what stood there before is there again afterwards.
    """
    sys.stdout.flush()
    terminal = Terminal(sys.stdin.fileno(), sys.stdout.fileno())
    try:
        terminal.enter()
        yield terminal
    finally:
        terminal.leave()


def keys_in(pressed: bytes) -> Iterator[str]:
    """Yield the keys in what a terminal sent; keys that nobody knows are left out."""
    for found in _KEY.finditer(pressed):
        if found["arrow"]:
            yield _ARROWS[found["arrow"]]
        elif found["plain"]:
            yield found["plain"].decode()
