"""What commands print for a person who watches: one line on stderr, and pages of a known width."""

from __future__ import annotations

__all__ = ("PAGE_WIDTH", "StatusLine", "page_width", "rich_draws_on")

import os
import shutil
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, TextIO, final

if TYPE_CHECKING:  # rich is an extra, and takes longer to import than all the rest
    from rich.console import Console

PAGE_WIDTH: Final = 100
"""Columns of a page that goes to a file or a pipe."""

# Seconds between two drawings: faster than the eye needs, and far slower than the work.
_EVERY: Final = 0.1


def page_width() -> int:
    """Return the columns of the terminal, or 100 without one."""
    return shutil.get_terminal_size((PAGE_WIDTH, 24)).columns


def rich_draws_on(stream: TextIO) -> bool:
    """Return whether the stream is a terminal that rich can draw on, and rich is installed."""
    return stream.isatty() and os.environ.get("TERM") != "dumb" and find_spec("rich") is not None


@final
class StatusLine:
    """One line on stderr that says how far the work is; the next one replaces it.

    Draws at most ten times a second, and nothing at all unless stderr is a terminal and rich is
    installed. Call :meth:`clear` before anything else is printed on the terminal.
    """

    def __init__(self) -> None:
        self._console: Console | None = _new_console() if rich_draws_on(sys.stderr) else None
        self._shown = False
        self._due = 0.0

    def show(self, text: str) -> None:
        """Show the text in place of the last one, unless that one is very fresh."""
        if self._console is None or time.monotonic() < self._due:
            return
        self.clear()
        self._console.print(text, end="\r", overflow="ellipsis", no_wrap=True)
        self._shown = True
        self._due = time.monotonic() + _EVERY

    def clear(self) -> None:
        """Erase the line."""
        if self._console is not None and self._shown:
            from rich.control import Control
            from rich.segment import ControlType

            self._console.control(Control((ControlType.ERASE_IN_LINE, 2)))
            self._shown = False


def _new_console() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False)
