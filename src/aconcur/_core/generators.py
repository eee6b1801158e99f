"""Generators that need no event loop to close them, and the end of those given to us."""

from __future__ import annotations

__all__ = ("close_iterator", "start_unhooked")

import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from typing import TypeVar

import anyio

T = TypeVar("T")


def start_unhooked(generator: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Run a generator to its first ``yield``, without the event loop's hooks; return it.

    The generator must start with a bare ``yield`` and must not await while it closes. It is then
    closed the moment that the last reference goes. With the loop's hooks, which a generator takes
    when it is first iterated (PEP 525), asyncio would close it later in a separate task, and trio
    would warn.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        with suppress(StopIteration):
            generator.__anext__().__await__().__next__()
    finally:
        sys.set_asyncgen_hooks(*hooks)
    return generator


async def close_iterator(iterator: object) -> None:
    """Close a generator, sync or async, or an async iterator that can be closed.

    **Cancelled**: it is closed all the same.
    """
    if isinstance(iterator, Generator):
        iterator.close()
    elif (aclose := getattr(iterator, "aclose", None)) is not None:
        with anyio.CancelScope(shield=True):
            await aclose()
