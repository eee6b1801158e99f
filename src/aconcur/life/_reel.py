"""Frames of an animation: packed by several threads at once, written in their order."""

from __future__ import annotations

__all__ = ("Film", "Reel")

from collections.abc import Callable
from threading import Lock
from typing import Protocol

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from aconcur._core.cpus import usable_cpus
from aconcur.life._grid import Grid


class Film(Protocol):
    """A file that takes frames one by one."""

    def pack(self, grid: Grid) -> bytes:
        """Return a frame; threads may pack several at once."""
        ...

    def add(self, frame: bytes) -> None:
        """Write a frame."""

    def close(self) -> None:
        """Write the end."""


class Reel:
    """What packs and writes the frames of a film, as many at once as there are processors.

    Args:
        film: what takes the frames.
        tasks: where it works. Cancelled when a frame fails, which is then the :attr:`error`.
        on_frame: is called with the number of frames written, after each.
    """

    def __init__(
        self, film: Film, tasks: TaskGroup, on_frame: Callable[[int], object] | None
    ) -> None:
        self.error: Exception | None = None
        self._film, self._tasks, self._on_frame = film, tasks, on_frame
        self._at_once = usable_cpus()
        self._room = anyio.Semaphore(self._at_once)
        self._writing = Lock()
        self._packed: dict[int, bytes] = {}
        self._begun = self._written = self._heard = 0

    async def add(self, grid: Grid) -> None:
        """Begin with a frame, or wait until one of those before it is written."""
        await self._room.acquire()
        self._tasks.start_soon(self._take, self._begun, grid)
        self._begun += 1

    async def drain(self) -> None:
        """Wait until every frame is written; none is added afterwards."""
        for _ in range(self._at_once):
            await self._room.acquire()

    async def _take(self, number: int, grid: Grid) -> None:
        try:
            await anyio.to_thread.run_sync(self._work, number, grid)
            while self._heard < self._written:
                self._heard += 1
                self._room.release()
                if self._on_frame is not None:
                    self._on_frame(self._heard)
        except Exception as error:  # noqa: BLE001 - raised by who waits for the frames
            self.error = self.error or error
            self._tasks.cancel_scope.cancel()

    def _work(self, number: int, grid: Grid) -> None:
        frame = self._film.pack(grid)
        with self._writing:
            self._packed[number] = frame
            while self._written in self._packed:
                self._film.add(self._packed.pop(self._written))
                self._written += 1
