"""Compress frames in several threads at once, and write them in order."""

from __future__ import annotations

__all__ = ("Encoder", "FrameWriter")

from collections.abc import Callable
from threading import Lock
from typing import Protocol

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from aconcur._core.cpus import usable_cpus
from aconcur.life._model.grid import Grid


class FrameWriter(Protocol):
    """A writer of one animation format."""

    def pack(self, grid: Grid) -> bytes:
        """Return the bytes of a frame. May be called from several threads at once."""
        ...

    def add(self, frame: bytes) -> None:
        """Write a frame; frames come in order, one at a time."""

    def close(self) -> None:
        """Write the end of the file."""


class Encoder:
    """Packs and writes the frames of an animation, with one thread for each processor.

    Args:
        writer: packs and writes a frame.
        tasks: the group in which it works. It is cancelled if a frame fails; :attr:`error` is then
            the reason.
        on_frame: called with the number of frames written, after each frame.
    """

    def __init__(
        self, writer: FrameWriter, tasks: TaskGroup, on_frame: Callable[[int], object] | None
    ) -> None:
        self.error: Exception | None = None
        self._writer, self._tasks, self._on_frame = writer, tasks, on_frame
        self._threads = usable_cpus()
        self._free_threads = anyio.Semaphore(self._threads)
        self._writing = Lock()
        self._packed: dict[int, bytes] = {}
        self._accepted = self._written = self._reported = 0

    async def add(self, grid: Grid) -> None:
        """Accept the next frame as soon as a thread is free for it."""
        await self._free_threads.acquire()
        self._tasks.start_soon(self._encode, self._accepted, grid)
        self._accepted += 1

    async def drain(self) -> None:
        """Wait until every frame is written. No frame may be added afterwards."""
        for _ in range(self._threads):
            await self._free_threads.acquire()

    async def _encode(self, number: int, grid: Grid) -> None:
        try:
            await anyio.to_thread.run_sync(self._work, number, grid)
            while self._reported < self._written:
                self._reported += 1
                self._free_threads.release()
                if self._on_frame is not None:
                    self._on_frame(self._reported)
        except Exception as error:  # noqa: BLE001 - raised by animate()
            self.error = self.error or error
            self._tasks.cancel_scope.cancel()

    def _work(self, number: int, grid: Grid) -> None:
        frame = self._writer.pack(grid)
        with self._writing:
            self._packed[number] = frame
            while self._written in self._packed:
                self._writer.add(self._packed.pop(self._written))
                self._written += 1
