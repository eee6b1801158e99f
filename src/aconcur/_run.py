"""Run an async function as a program that ends well when it is told to end."""

from __future__ import annotations

__all__ = ("run",)

from collections.abc import Awaitable, Callable
from functools import partial
from signal import Signals
from typing import Any, TypeVar, TypeVarTuple

import anyio

from aconcur._core.stop_signals import EXIT_CODES, set_stopper, stop_signals
from aconcur._core.wait_queue import get_call_soon_threadsafe

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def run(
    main: Callable[[*Ts], Awaitable[T]],
    *args: *Ts,
    backend: str = "asyncio",
    backend_options: dict[str, Any] | None = None,
) -> T:
    """Run ``main(*args)`` in a new event loop; let SIGTERM and SIGHUP cancel it.

    These two lines do the same until a signal comes::

        asyncio.run(main())
        aconcur.run(main)

    ============  ==================================  ==========================================
    signal        ``asyncio.run``, ``anyio.run``      ``aconcur.run``
    ============  ==================================  ==========================================
    SIGINT        cancels ``main``; the second one    the same
    (Ctrl-C)      raises KeyboardInterrupt at once
    SIGTERM       the process dies at once: no        cancels ``main``, waits for its clean-up,
                  ``finally``, no clean-up            then exits with 143
    SIGHUP        the process dies at once            cancels ``main``, then exits with 129
    ============  ==================================  ==========================================

    systemd, docker, Kubernetes and timeout(1) stop a program by SIGTERM; a terminal that is closed
    sends SIGHUP. A signal that is ignored or has a handler already stays as it is. Outside the main
    thread, where Python allows no handler, this is ``anyio.run``.

    Args:
        main: a coroutine function.
        *args: its positional arguments.
        backend: ``"asyncio"`` or ``"trio"``.
        backend_options: as for ``anyio.run``: ``{"use_uvloop": True}``.

    Returns:
        The result of ``main``.

    Raises:
        SystemExit: SIGTERM or SIGHUP came, and ``main`` has ended; with its exit code.
        KeyboardInterrupt: Ctrl-C came.
        Exception: ``main`` raised it, before or after a signal.

    **Cancelled** by a signal: all that ``main`` awaits gets a cancellation, once. Clean-up under
    a shield runs to its end; the service manager's own limit is what ends a program that hangs.

    Cost: 0.1 ms beyond ``anyio.run``.
    """
    with stop_signals() as received:
        result = anyio.run(
            partial(_run_until_stopped, main, args),
            backend=backend,
            backend_options=backend_options,
        )
        if received:
            raise SystemExit(EXIT_CODES[Signals(received[0])])
        return result[0]


async def _run_until_stopped(main: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> list[T]:
    """Return the result in a list; an empty one if a signal has cancelled ``main``."""
    with anyio.CancelScope() as scope:
        call_soon = get_call_soon_threadsafe()
        with set_stopper(partial(call_soon, scope.cancel)):
            return [await main(*args)]
    return []
