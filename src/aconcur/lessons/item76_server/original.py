"""A line server with a thread a connection.

Law: a thread belongs to its connection and ends with it.
"""

from __future__ import annotations

__all__ = ("ask", "handle", "run", "server")

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from threading import Thread
from typing import TypeAlias

from aconcur.lessons.alone import alone
from aconcur.lessons.item76_server.work import (
    HOST,
    Dialogue,
    answer,
    dialogues,
)

Address: TypeAlias = tuple[str, int]


def handle(conn: socket.socket) -> None:
    """Answer a client until it hangs up."""
    with conn, conn.makefile("rw") as io:
        for line in io:
            reply = answer(line)
            io.write(reply + "\n")
            io.flush()


def serve(listener: socket.socket) -> None:
    """Start a thread for each client."""
    while True:
        try:
            conn, _ = listener.accept()
        except OSError:  # closed
            return
        Thread(
            target=handle, args=(conn,), daemon=True
        ).start()


@contextmanager
def server() -> Iterator[Address]:
    """Give the address of a server during the block."""
    listener = socket.create_server((HOST, 0), backlog=512)
    with listener:
        thread = Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            # close() alone does not wake accept().
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def ask(at: Address, lines: Dialogue) -> list[str]:
    """Ask all lines; return the answers."""
    conn = socket.create_connection(at)
    with conn, conn.makefile("rw") as io:
        found = []
        for line in lines:
            io.write(line + "\n")
            io.flush()
            reply = io.readline()
            found.append(reply.rstrip())
    return found


def run(inputs: list[Dialogue]) -> list[list[str]]:
    """Let all clients ask at once."""
    with (
        server() as address,
        ThreadPoolExecutor(len(inputs) or 1) as pool,
    ):
        return list(pool.map(partial(ask, address), inputs))


def main(size: int) -> None:
    """Let some clients ask."""
    with dialogues(size, seed=76) as (inputs,):
        answers = run(inputs)
    print(
        f"{size} clients, {sum(map(len, answers))} answers"
    )


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=20, unit="clients"
    ) as size:
        main(size)
