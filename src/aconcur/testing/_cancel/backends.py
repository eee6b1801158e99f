"""Which back-ends there are, how each can cancel, and what drives it.

Rule: trio and uvloop are imported only when somebody asks for them.
"""

from __future__ import annotations

__all__ = ("Backend", "checked_ways", "driver")

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.util import find_spec
from typing import Final, Literal, TypeAlias

from aconcur.errors import MissingRequirementError
from aconcur.testing._cancel.asyncio_driver import run_on_asyncio
from aconcur.testing._cancel.plan import How, Outcome
from aconcur.testing._cancel.virtual import SkippedTime

Backend: TypeAlias = Literal["asyncio", "uvloop", "trio"]

_WAYS: Final[dict[str, tuple[How, ...]]] = {
    "asyncio": ("scope", "native"),
    "uvloop": ("scope", "native"),
    "trio": ("scope",),
}


def checked_ways(
    backend: str, how: How | None, twice: int, grace: float, limit: float, max_steps: int
) -> tuple[How, ...]:
    """Return the ways to sweep, or raise the ValueError of the first argument that cannot be."""
    if backend not in _WAYS:
        raise ValueError(f"backend must be one of {', '.join(_WAYS)}, not {backend!r}")
    ways = _WAYS[backend]
    if how is not None and how not in ways:
        raise ValueError(f"how must be one of {', '.join(ways)} or None on {backend}, not {how!r}")
    if twice < 0:
        raise ValueError(f"twice must be False, True or a number of cancel points, not {twice}")
    if grace < 0:
        raise ValueError(f"grace must be at least 0 seconds, not {grace}")
    if limit <= grace:
        raise ValueError(f"limit must be more than grace={grace} seconds, not {limit}")
    if max_steps < 1:
        raise ValueError(f"max_steps must be at least 1, not {max_steps}")
    return ways if how is None else (how,)


def driver(
    scenario: Callable[[], Awaitable[object]],
    backend: Backend,
    limit: float,
    after: Callable[[], Awaitable[object]] | None,
    skipped: SkippedTime,
) -> Callable[..., Outcome]:
    """Return what runs ``scenario()`` once, given a ``plan`` and the ``captured``."""
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop
    if backend != "asyncio" and find_spec(backend) is None:
        raise MissingRequirementError(backend, f"pip install {backend}")
    if backend == "trio":
        from aconcur.testing._cancel.trio_driver import run_on_trio

        return partial(run_on_trio, scenario, limit=limit, after=after, skipped=skipped)
    if backend == "uvloop":
        import uvloop

        new_loop = uvloop.new_event_loop
    return partial(
        run_on_asyncio, scenario, limit=limit, new_loop=new_loop, after=after, skipped=skipped
    )
