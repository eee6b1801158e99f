"""A thread feeds tasks, and is slowed down by them: readings of a sensor, averaged.

``python examples/thread_producer.py [READINGS]``
"""

from __future__ import annotations

import math
import sys

import anyio

from aconcur.pipeline import PipelineReport, Queue, ThreadEnd, stage


def read_sensor(readings: int, end: ThreadEnd[float]) -> None:
    """Read a device whose driver blocks: it runs in a thread and knows nothing of tasks."""
    for number in range(readings):
        end.put(20 + math.sin(number / 10))


async def produce(readings: int, queue: Queue[float]) -> None:
    """Let a thread put into the queue; close it at the end."""
    with queue.producer(), queue.from_thread() as end:
        # Abandoned, the thread ends all the same: put() raises when the block has been left.
        await anyio.to_thread.run_sync(read_sensor, readings, end, abandon_on_cancel=True)


async def average(readings: list[float]) -> float:
    """Work on some readings."""
    await anyio.sleep(0.001)
    return sum(readings) / len(readings)


async def main(readings: int) -> PipelineReport:
    """Print the averages of every 100 readings; the thread waits while 256 are unread."""
    queue = Queue[float](256)
    averages: list[float] = []
    pipeline = stage(float).batch(100, max_wait=1).map(average, workers=4).map(averages.append)
    async with pipeline.open(queue) as run, anyio.create_task_group() as group:
        group.start_soon(produce, readings, queue)
        async for _ in run:
            pass
    print(f"{readings} readings, {len(averages)} averages: ", end="")
    print(f"{min(averages):.2f} to {max(averages):.2f}")
    return run.report


if __name__ == "__main__":
    print(anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 5000))
