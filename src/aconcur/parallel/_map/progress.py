"""The display of ``progress=True``: a bar by rich in a terminal, otherwise lines on stderr."""

from __future__ import annotations

__all__ = ("ProgressDisplay",)

import sys
import time
from importlib.util import find_spec
from typing import Any, Final, final

# Seconds between two lines where stderr is not a terminal.
_EVERY: Final = 5.0


@final
class ProgressDisplay:
    """Shows how many items are done.

    Args:
        name: the function's.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._began = self._printed = time.monotonic()
        self._done: int = 0
        self._total: int | None = None
        self._bar: Any = None
        self._task: Any = None
        if sys.stderr.isatty() and find_spec("rich") is not None:
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(name, total=None)
            self._bar.start()

    def __call__(self, done: int, total: int | None) -> None:
        self._done, self._total = done, total
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
        elif time.monotonic() - self._printed >= _EVERY:
            self._print()

    def close(self) -> None:
        """Erase the bar and print the last line."""
        if self._bar is not None:
            self._bar.stop()
        self._print()

    def _print(self) -> None:
        self._printed = time.monotonic()
        of = "" if self._total is None else f" of {self._total}"
        seconds = self._printed - self._began
        line = f"{self._name}: {self._done}{of} done in {seconds:.1f} s"
        print(line, file=sys.stderr)  # noqa: T201 - it was asked for
