"""The same with anyio's server and a stage of clients.

aconcur has no server of its own: anyio's runs on asyncio
and trio. The clients are a stage with many workers.
"""

from __future__ import annotations

__all__ = ("ask", "handle", "run")

from functools import partial
from typing import TypeAlias

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from aconcur.lessons.alone import alone
from aconcur.lessons.item76_server.work import (
    HOST,
    Dialogue,
    answer,
    dialogues,
)
from aconcur.pipeline import stage

Address: TypeAlias = tuple[str, int]
MOST = 65536  # bytes of a line


async def handle(client: SocketStream) -> None:
    """Answer a client until it hangs up."""
    lines = BufferedByteReceiveStream(client)
    async with client:
        while True:
            try:
                line = await lines.receive_until(
                    b"\n", MOST
                )
            except (
                anyio.EndOfStream,
                anyio.IncompleteRead,
            ):
                return
            reply = answer(line.decode())
            await client.send(f"{reply}\n".encode())


async def ask(at: Address, lines: Dialogue) -> list[str]:
    """Ask all lines; return the answers."""
    found = []
    async with await anyio.connect_tcp(*at) as conn:
        replies = BufferedByteReceiveStream(conn)
        for line in lines:
            await conn.send(f"{line}\n".encode())
            reply = await replies.receive_until(b"\n", MOST)
            found.append(reply.decode())
    return found


async def run(inputs: list[Dialogue]) -> list[list[str]]:
    """Let all clients ask at once.

    **Cancelled**: no task and no connection is left.
    """
    async with (
        await anyio.create_tcp_listener(
            local_host=HOST, backlog=512
        ) as listener,
        anyio.create_task_group() as serving,
    ):
        serving.start_soon(listener.serve, handle)
        port = listener.extra(
            anyio.abc.SocketAttribute.local_port
        )
        asking = stage(
            partial(ask, (HOST, port)),
            workers=len(inputs) or 1,
        )
        answers = await asking.collect(inputs)
        serving.cancel_scope.cancel()
    return answers


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
        anyio.run(main, size)
