"""Item 76: the line server and its clients."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import anyio
import pytest

from aconcur.lessons.item76_server import original, rebuilt, work

LESSON = "item76_server"
Call: TypeAlias = Callable[..., Awaitable[Any]]
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def connection_threads_end() -> Iterator[None]:
    """Wait for the threads of the original, which end a moment after their connections."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("Thread-"):
            thread.join(20)


@pytest.mark.entry("run")
@pytest.mark.parametrize("clients", [0, 1, 30])
async def test_every_client_gets_its_answers_in_order(call: Call, clients: int) -> None:
    with work.dialogues(clients, seed=1) as (inputs,):
        assert await call(inputs) == [[work.answer(line) for line in lines] for lines in inputs]


@pytest.mark.entry("run")
async def test_a_line_without_numbers_is_answered_with_an_error(call: Call) -> None:
    assert await call([["1 2", "one", ""]]) == [["3", "error: not all numbers: 'one'", "0"]]


def test_leaving_the_block_ends_the_accept_loop() -> None:
    with original.server() as address:
        assert original.ask(address, ["1 1"]) == ["2"]
    with pytest.raises(OSError):  # noqa: PT011 - refused, or reset
        original.ask(address, ["1 1"])


@pytest.mark.asyncio_only
async def test_leaving_the_block_ends_connections_that_are_idle() -> None:
    async with rebuilt.server() as address:
        idle = socket.create_connection(address)
        assert await rebuilt.ask(address, ["2 2"]) == ["4"]
    with idle:
        idle.settimeout(20)
        assert await anyio.to_thread.run_sync(idle.recv, 1) == b""


@pytest.mark.asyncio_only
async def test_a_client_that_hangs_up_amid_a_line_ends_no_other() -> None:
    async with rebuilt.server() as address:
        with socket.create_connection(address) as rude:
            rude.sendall(b"1 2")
        assert await rebuilt.ask(address, ["5 5"]) == ["10"]
