"""The same with aconcur: a stage in threads."""

from __future__ import annotations

__all__ = ("run",)

import anyio

from aconcur.lessons.alone import alone
from aconcur.lessons.item78_responsive.work import (
    digest,
    passwords,
)
from aconcur.pipeline import THREADS, stage


async def run(inputs: list[str]) -> list[str]:
    """Log all users in, a few at a time.

    **Cancelled**: hashes that run have ended.
    """
    hashing = stage(digest, workers=4, via=THREADS)
    return await hashing.collect(inputs)


async def main(size: int) -> None:
    """Log some users in."""
    with passwords(size, seed=78) as (inputs,):
        print(f"{len(await run(inputs))} users logged in")


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=40, unit="users"
    ) as size:
        anyio.run(main, size)
