"""A program on a terminal of its own: a test presses the keys and reads the pictures."""

from __future__ import annotations

__all__ = ("PseudoTerminal", "open_pseudo_terminal")

import codecs
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PICTURE = re.compile(r"\x1b\[\?2026h\x1b\[H(.*?)\x1b\[J\x1b\[\?2026l", re.DOTALL)
PATIENCE = 60


class PseudoTerminal:
    """The user's side of a terminal."""

    def __init__(
        self,
        leader: int,
        follower: int,
        process: subprocess.Popen[bytes],
        before: list[object],
    ) -> None:
        self._leader, self._follower = leader, follower
        self.process = process
        self.before = before
        """What settings() were when it was new."""
        self.screen = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def settings(self) -> list[object]:
        """Return how the terminal treats keys and output."""
        return termios.tcgetattr(self._follower)

    def press(self, keys: str) -> None:
        """Send keys."""
        os.write(self._leader, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Change the size, of which the program is told by a signal."""
        _set_size(self._leader, rows, columns)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Read until a condition holds."""
        while not condition():
            assert select.select([self._leader], [], [], PATIENCE)[0], self.screen[-2000:]
            self._read()

    def wait_for_text(self, text: str) -> None:
        """Read until a text is on the screen."""
        self.wait_for(lambda: text in self.screen)

    def picture(self) -> list[str]:
        """Return the lines of the last picture that has arrived."""
        found = PICTURE.findall(self.screen)
        return found[-1].split("\x1b[K\r\n") if found else []

    def wait_for_picture(self, text: str) -> list[str]:
        """Read until a new picture has a text in its last line; return that picture."""
        self.screen = ""
        self.wait_for(lambda: any(text in line for line in self.picture()[-1:]))
        return self.picture()

    def wait_for_end(self) -> int:
        """Read until the program has ended; return its status."""
        while self.process.poll() is None:
            if select.select([self._leader], [], [], 0.05)[0]:
                self._read()
        while select.select([self._leader], [], [], 0)[0]:
            self._read()
        return self.process.returncode

    def _read(self) -> None:
        self.screen += self._decoder.decode(os.read(self._leader, 65536))


@contextmanager
def open_pseudo_terminal(
    *arguments: str, rows: int = 12, columns: int = 100, **environment: str
) -> Iterator[PseudoTerminal]:
    """Start a program whose stdin, stdout and stderr are one new terminal; end it if it is left.

    What says something else of the terminal is not in its environment.
    """
    leader, follower = os.openpty()
    _set_size(leader, rows, columns)
    before: list[object] = termios.tcgetattr(follower)
    inherited = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "NO_COLOR", "CI"}}

    def take_the_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    process = subprocess.Popen(
        arguments,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        preexec_fn=take_the_terminal,
        env=inherited | {"TERM": "xterm-256color"} | environment,
    )
    try:
        yield PseudoTerminal(leader, follower, process, before)
    finally:
        process.kill()
        process.wait()
        os.close(follower)
        os.close(leader)


def _set_size(leader: int, rows: int, columns: int) -> None:
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
