"""The same on asyncio, line by line."""

import asyncio
from collections import deque


class MyQueue(object):
    def __init__(self):
        self.items = deque()

    def put(self, item):
        self.items.append(item)

    def get(self):
        return self.items.popleft()


class Worker(object):
    def __init__(self, func, in_queue, out_queue):
        self.func = func
        self.in_queue = in_queue
        self.out_queue = out_queue
        self.polled_count = 0
        self.work_done = 0

    async def run(self):
        while True:
            self.polled_count += 1
            try:
                item = self.in_queue.get()
            except IndexError:
                await asyncio.sleep(0.01)
            else:
                result = \
                    await self.func(item)
                self.out_queue.put(result)
                self.work_done += 1


class ClosableQueue(asyncio.Queue):
    SENTINEL = object()

    async def close(self):
        await self.put(self.SENTINEL)

    async def __aiter__(self):
        while True:
            item = await self.get()
            try:
                if item is self.SENTINEL:
                    return
                yield item
            finally:
                self.task_done()


class StoppableWorker(object):
    def __init__(self, func, in_queue, out_queue):
        self.func = func
        self.in_queue = in_queue
        self.out_queue = out_queue

    async def run(self):
        async for item in self.in_queue:
            result = await self.func(item)
            await self.out_queue.put(result)
