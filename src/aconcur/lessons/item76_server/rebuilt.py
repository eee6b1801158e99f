"""The same server with a task a connection.

Law: a task belongs to its connection and ends with it.
"""

from __future__ import annotations

__all__ = ("ask", "handle", "run", "server")

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

from aconcur.lessons.alone import alone
from aconcur.lessons.item76_server.work import (
    HOST,
    Dialogue,
    answer,
    dialogues,
)

Address: TypeAlias = tuple[str, int]


async def handle(
    reader: StreamReader,
    writer: StreamWriter,
) -> None:
    """Answer a client until it hangs up."""
    async for line in reader:
        reply = answer(line.decode())
        writer.write(f"{reply}\n".encode())
        await writer.drain()
    writer.close()


@asynccontextmanager
async def server() -> AsyncIterator[Address]:
    """Give the address of a server during the block.

    **Cancelled**: the server is closed, and the tasks of
    all connections have ended.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def connected(
        reader: StreamReader, writer: StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(
                ConnectionError, asyncio.CancelledError
            ):
                await handle(reader, writer)
        finally:
            tasks.discard(task)
            writer.close()

    serving = await asyncio.start_server(
        connected, HOST, 0, backlog=512
    )
    try:
        yield serving.sockets[0].getsockname()
    finally:
        serving.close()
        # Before 3.12.1 nothing else ends the connections.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(at: Address, lines: Dialogue) -> list[str]:
    """Ask all lines; return the answers."""
    reader, writer = await asyncio.open_connection(*at)
    found = []
    try:
        for line in lines:
            writer.write(f"{line}\n".encode())
            await writer.drain()
            reply = await reader.readline()
            found.append(reply.decode().rstrip())
    finally:
        writer.close()
    return found


async def run(inputs: list[Dialogue]) -> list[list[str]]:
    """Let all clients ask at once.

    **Cancelled**: no task and no connection is left.
    """
    async with (
        server() as address,
        asyncio.TaskGroup() as group,
    ):
        asking = [
            group.create_task(ask(address, lines))
            for lines in inputs
        ]
        await asyncio.gather(*asking)
    return [task.result() for task in asking]


async def main(size: int) -> None:
    """Let some clients ask."""
    with dialogues(size, seed=76) as (inputs,):
        answers = await run(inputs)
    print(
        f"{size} clients, {sum(map(len, answers))} answers"
    )


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=20, unit="clients"
    ) as size:
        asyncio.run(main(size))
