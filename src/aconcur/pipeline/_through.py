"""A command as the function of a stage."""

from __future__ import annotations

__all__ = ("Through",)

from pathlib import PurePath
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from aconcur.process import Runnable


@final
class Through:
    """Sends bytes through a command, one run for each call.

    Args:
        command: what is run.
        timeout: seconds that it may run; None: any.
    """

    def __init__(self, command: Runnable, timeout: float | None) -> None:
        from aconcur.process import Runnable

        if not isinstance(command, Runnable):
            raise TypeError(f"through() needs a Command or a CommandPipe, not {command!r}")
        self._command, self._timeout = command, timeout
        self.name = " | ".join(PurePath(one.args[0]).name for one in command.commands)

    async def __call__(self, item: bytes) -> bytes:
        """Return what the command writes when it reads the item.

        **Cancelled**: the command has ended.

        Raises:
            TypeError: the item is no bytes.
            CommandError: the command failed.
        """
        # The command would take text, a path or a file as well: but as something else.
        if not isinstance(item, bytes | bytearray | memoryview):
            raise TypeError(f"through() needs bytes, not {type(item).__name__}: convert with map()")
        done = await self._command.run(input=item, timeout=self._timeout)
        return done.stdout
