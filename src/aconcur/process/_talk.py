"""Serve a pipe of commands beside the block that talks with it."""

from __future__ import annotations

__all__ = ("Talk",)

from typing import final

import anyio

from aconcur.process._driver import Driver
from aconcur.process._stdout import OutputReader
from aconcur.process._results import Completed
from aconcur.process._run import Options
from aconcur.process._stage import Stage
from aconcur.process._redirect import Wiring


@final
class Talk:
    """What a ``Running`` stands on: the driver's task, the output's reader, and how it ends."""

    def __init__(
        self, driver: Driver, stages: tuple[Stage, ...], options: Options, kept: list[bytes]
    ) -> None:
        self.driver: Driver = driver
        self.stages: tuple[Stage, ...] = stages
        self.writable: bool = options.input is Wiring.PIPE or options.size is not None
        self.reader: OutputReader = OutputReader(driver, readable=options.output is Wiring.PIPE)
        self.error: Exception | None = None
        """What an input iterable or an output function raised; it has cancelled the block."""
        self._linger: float | None = options.linger
        self._kept: list[bytes] = kept
        self._waited: bool = False
        self._ended: anyio.Event = anyio.Event()

    async def serve(self, scope: anyio.CancelScope) -> None:
        """Serve all that the block does not; cancel the scope if that fails."""
        try:
            await self.driver.drive()
        except Exception as error:  # noqa: BLE001 - raised where the block ends, without a group
            self.error = error
            scope.cancel()
            return
        self._ended.set()
        if self._linger is not None and await self.reader.give_up(self._linger):
            self.driver.held = True

    def close_input(self) -> None:
        """Let the first stage see the end of the input that the block writes."""
        group = self.driver.group
        if self.writable and group.stdin >= 0:
            anyio.notify_closing(group.stdin)
            group.close_stdin()

    async def wait(self) -> None:
        """Wait for the end of all stages; discard output that nobody reads."""
        self._waited = True
        self.close_input()
        if not self.reader.busy:
            while await self.reader.read():
                pass
        await self._ended.wait()

    async def leave(self) -> bool:
        """Wait for the end, unless the block was left early; return whether it was not."""
        if not (self.reader.at_end or self._waited):
            return False
        self.close_input()
        await self._ended.wait()
        return True

    def completed(self) -> Completed:
        """Return what became of the stages. All have ended."""
        return self.driver.completed(b"".join(self._kept))
