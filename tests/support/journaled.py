"""A program that may be killed at any instant: ``python -m tests.support.journaled FOLDER ITEMS``.

Each result is a line of ``results``, written at once; each call is a line of ``calls``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import anyio.lowlevel

from aconcur.pipeline import SKIP, Journal, stage

FAILS_AT = 7


def main(folder: Path, items: int) -> None:
    calls = os.open(folder / "calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    results = os.open(folder / "results", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def work(item: int) -> int:
        os.write(calls, b"%d\n" % item)
        if item % 100 == FAILS_AT:
            raise ValueError(item)
        await anyio.lowlevel.checkpoint()
        return item

    async def save(item: int) -> int:
        os.write(results, b"%d\n" % item)
        return item

    pipeline = stage(work, workers=4, on_error=SKIP).map(save, workers=2)
    pipeline.run_sync(range(items), journal=Journal(folder / "run.db"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
