"""Show generations in the terminal while they are lived, and do what keys and signals say."""

from __future__ import annotations

__all__ = ("play",)

import signal
from typing import Final

import anyio

from aconcur.cli.life_player import Player
from aconcur.cli.terminal import Terminal, open_terminal
from aconcur.life import EngineName, Pattern
from aconcur.life._engines import plan
from aconcur.life._pace import Driver

_SIGNALS: Final = (signal.SIGWINCH, signal.SIGTSTP)


async def play(pattern: Pattern, engine: EngineName, stop: int | None) -> None:
    """Let a pattern live in the terminal until somebody presses q.

    Args:
        pattern: the first generation, its rule and where it lives.
        engine: what lives it.
        stop: the last generation; None for no end.
    """
    found = plan(pattern, engine=engine)
    driver = Driver(found.make, slow=found.takes_long, compilation=found.compilation)
    first = (await driver.engine()).snapshot()
    where = f"{found.topology} {first.height}×{first.width} " if pattern.bounds else ""
    title = f"{pattern.name or 'pattern'} · {where}{found.rule}"
    with open_terminal() as terminal:
        player = Player(title, first, terminal.size)
        await _Show(player, driver, terminal, stop).run()


class _Show:
    """The three that work at once: one draws and lives, one hears keys, one hears signals."""

    def __init__(
        self, player: Player, driver: Driver, terminal: Terminal, stop: int | None
    ) -> None:
        self._player, self._driver, self._terminal, self._stop = player, driver, terminal, stop
        self._changed = anyio.Event()
        self._living: anyio.CancelScope | None = None

    async def run(self) -> None:
        failed: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hear_keys)
            tasks.start_soon(self._hear_signals)
            try:
                await self._perform()
            except Exception as error:  # noqa: BLE001 - raised as it is, in no group
                failed = error
            tasks.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def _perform(self) -> None:
        due = anyio.current_time()
        while not self._player.quit:
            self._changed = anyio.Event()
            await self._terminal.show(self._player.picture())
            if not self._player.generations:
                await self._changed.wait()
                due = anyio.current_time()
                continue
            with anyio.move_on_after(due + self._player.seconds - anyio.current_time()):
                await self._changed.wait()
            if not self._changed.is_set():
                # A picture that comes late does not hurry those after it.
                due = max(due + self._player.seconds, anyio.current_time() - self._player.seconds)
                await self._live()

    async def _live(self) -> None:
        number = self._driver.number + self._player.generations
        if self._stop is not None:
            number = min(number, self._stop)
        with anyio.CancelScope() as self._living:
            await self._driver.live_until(number)
        self._living = None
        engine = await self._driver.engine()
        self._player.meet(self._driver.number, engine.snapshot())
        self._player.ended = self._driver.number == self._stop

    def _change(self) -> None:
        self._changed.set()
        if self._living is not None:
            self._living.cancel()

    async def _hear_keys(self) -> None:
        async for key in self._terminal.keys():
            self._player.press(key)
            self._change()
        self._player.quit = True
        self._change()

    async def _hear_signals(self) -> None:
        with anyio.open_signal_receiver(*_SIGNALS) as signals:
            async for number in signals:
                if number == signal.SIGTSTP:
                    self._terminal.stop()
                self._player.resize(self._terminal.size)
                self._change()
