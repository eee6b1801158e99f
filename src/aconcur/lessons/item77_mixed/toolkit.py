"""Stages that run either form: in threads or in tasks.

On asyncio and trio. To move on, only the function and the
option `via` change.
"""

from __future__ import annotations

__all__ = ("from_above", "run")

import anyio
import anyio.to_thread

from aconcur.lessons.alone import alone
from aconcur.lessons.item77_mixed.original import THREADS
from aconcur.lessons.item77_mixed.work import (
    lookup,
    lookup_async,
    words,
)
from aconcur.pipeline import THREADS as IN_THREADS
from aconcur.pipeline import stage


async def from_above(inputs: list[str]) -> list[int]:
    """Look all words up by the old function.

    **Cancelled**: lookups that run have ended.
    """
    old = stage(lookup, workers=THREADS, via=IN_THREADS)
    return await old.collect(inputs)


async def run(inputs: list[str]) -> list[int]:
    """Look all words up by the new function.

    **Cancelled**: all lookups have ended.
    """
    new = stage(lookup_async, workers=len(inputs) or 1)
    return await new.collect(inputs)


async def main(size: int) -> None:
    """Look some words up."""
    with words(size, seed=77) as (inputs,):
        print(f"{size} words, sum {sum(await run(inputs))}")


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=100, unit="words"
    ) as size:
        anyio.run(main, size)
