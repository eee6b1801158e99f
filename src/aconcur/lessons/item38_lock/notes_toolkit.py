"""The same with aconcur: the count is inside its lock."""

import anyio

from aconcur.lock import Guarded


async def sensor():
    await anyio.sleep(0)
    return 1


async def worker(count):
    async with count as cell:
        cell.value += await sensor()


async def count(workers):
    count = Guarded(0)
    async with anyio.create_task_group() as tasks:
        for _ in range(workers):
            tasks.start_soon(worker, count)
    return await count.update(int)
