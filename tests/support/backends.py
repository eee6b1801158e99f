"""The three loops that every asynchronous test runs on."""

from __future__ import annotations

__all__ = ("BACKENDS", "Backend", "on_asyncio", "on_one_loop")

from typing import Any, TypeAlias

import pytest

Backend: TypeAlias = tuple[str, dict[str, Any]]

BACKENDS: dict[str, Backend] = {
    "asyncio": ("asyncio", {"debug": True}),
    "uvloop": ("asyncio", {"debug": True, "use_uvloop": True}),
    "trio": ("trio", {}),
}

# For tests of ``Task.cancel()`` and ``asyncio.timeout``, which trio does not have.
on_asyncio = pytest.mark.parametrize(
    "anyio_backend",
    [BACKENDS["asyncio"], BACKENDS["uvloop"]],
    ids=["asyncio", "uvloop"],
    indirect=True,
)

# For tests of what happens in other processes, which know nothing of the loop.
on_one_loop = pytest.mark.parametrize(
    "anyio_backend", [BACKENDS["asyncio"]], ids=["asyncio"], indirect=True
)
