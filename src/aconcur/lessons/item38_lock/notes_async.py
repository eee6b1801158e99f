"""The same on asyncio, line by line.

Between tasks `self.count += offset` loses nothing. It loses
updates as soon as it awaits in its middle.
"""

import asyncio


class Counter(object):
    def __init__(self):
        self.count = 0

    async def increment(self, sensor):
        self.count += await sensor()


class LockingCounter(object):
    def __init__(self):
        self.lock = asyncio.Lock()
        self.count = 0

    async def increment(self, sensor):
        async with self.lock:
            self.count += await sensor()


async def worker(counter):
    await counter.increment(sensor)


async def count(counter, workers):
    async with asyncio.TaskGroup() as tasks:
        for _ in range(workers):
            tasks.create_task(
                worker(counter)
            )
    return counter.count


async def sensor():
    await asyncio.sleep(0)
    return 1
