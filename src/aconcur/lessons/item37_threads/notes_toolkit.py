"""The same with aconcur and anyio."""

import anyio
from anyio.to_thread import run_sync

from aconcur.lessons.item37_threads.work import (
    factorize,
    slow_systemcall,
)
from aconcur.parallel import open_pool


async def overlap(calls, numbers):
    async with (
        open_pool() as pool,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(calls):
            tasks.start_soon(run_sync, slow_systemcall, 0.1)
        return await pool.map(factorize, numbers).collect()
