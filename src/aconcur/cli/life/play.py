"""Show a simulation in the terminal, and obey keys and signals."""

from __future__ import annotations

__all__ = ("play",)

import signal
from typing import Final

import anyio

from aconcur.cli.life.player import Player
from aconcur.cli.life.terminal import Terminal, open_terminal
from aconcur.life import EngineName, Pattern, Simulation, simulate

_SIGNALS: Final = (signal.SIGWINCH, signal.SIGTSTP)


async def play(pattern: Pattern, engine: EngineName, stop: int | None) -> None:
    """Show a pattern's generations in the terminal until q is pressed.

    Args:
        pattern: the first generation, its rule and its field.
        engine: the engine's name.
        stop: the last generation, or None for an endless simulation.
    """
    simulation = simulate(pattern, engine=engine)
    first = (await simulation.advance_to(0)).grid
    bounds = pattern.bounds
    where = f"{bounds.topology} {bounds.height}×{bounds.width} " if bounds else ""
    title = f"{pattern.name or 'pattern'} · {where}{pattern.rule}"
    with open_terminal() as terminal:
        player = Player(title, first, terminal.size)
        await _Session(player, simulation, terminal, stop).run()


class _Session:
    """Three tasks at once: one draws and computes, one reads keys, one receives signals."""

    def __init__(
        self, player: Player, simulation: Simulation, terminal: Terminal, stop: int | None
    ) -> None:
        self._player, self._simulation = player, simulation
        self._terminal, self._stop = terminal, stop
        self._changed = anyio.Event()
        self._computing: anyio.CancelScope | None = None

    async def run(self) -> None:
        failed: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read_keys)
            tasks.start_soon(self._receive_signals)
            try:
                await self._draw_until_quit()
            except Exception as error:  # noqa: BLE001 - raised below, outside of the task group
                failed = error
            tasks.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def _draw_until_quit(self) -> None:
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
                # After a late picture the next ones come no faster than usual.
                due = max(due + self._player.seconds, anyio.current_time() - self._player.seconds)
                await self._compute()

    async def _compute(self) -> None:
        number = self._simulation.number + self._player.generations
        if self._stop is not None:
            number = min(number, self._stop)
        with anyio.CancelScope() as self._computing:
            await self._simulation.advance_to(number)
        self._computing = None
        generation = await self._simulation.advance_to(self._simulation.number)
        self._player.show(*generation)
        self._player.ended = generation.number == self._stop

    def _interrupt(self) -> None:
        """Wake the drawing task, also from a computation."""
        self._changed.set()
        if self._computing is not None:
            self._computing.cancel()

    async def _read_keys(self) -> None:
        async for key in self._terminal.keys():
            self._player.press(key)
            self._interrupt()
        self._player.quit = True
        self._interrupt()

    async def _receive_signals(self) -> None:
        with anyio.open_signal_receiver(*_SIGNALS) as signals:
            async for number in signals:
                if number == signal.SIGTSTP:
                    self._terminal.suspend()
                self._player.resize(self._terminal.size)
                self._interrupt()
