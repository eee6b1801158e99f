"""Things that are closed, cancelled or timed out while others still use them."""

from __future__ import annotations

__all__ = ("BUGS",)

from collections import deque

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream, TaskStatus
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint

from tests.support.bugs.kind import Bug


async def double_close(*, fixed: bool) -> None:
    """Both closers find the connection open."""
    is_open, closed = True, 0

    async def close() -> None:
        nonlocal is_open, closed
        if is_open:
            if fixed:
                is_open = False
            await checkpoint()  # flush
            is_open = False
            closed += 1

    async with anyio.create_task_group() as group:
        group.start_soon(close)
        group.start_soon(close)
    assert closed == 1, f"closed {closed} times"


async def lost_cancellation(*, fixed: bool) -> None:
    """The cancellation is swallowed, and the task goes on."""
    paid: list[str] = []
    cancelled_in_time = False
    order = anyio.CancelScope()

    async def pay() -> None:
        with order:
            try:
                await checkpoint()  # write to the log
            except anyio.get_cancelled_exc_class():  # noqa: ASYNC103 - the bug
                if fixed:
                    raise
            paid.append("the bill")

    async def cancel() -> None:
        nonlocal cancelled_in_time
        cancelled_in_time = not paid
        order.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(pay)
        group.start_soon(cancel)
    assert not (paid and cancelled_in_time), "paid after it was cancelled"


async def cancelled_between(*, fixed: bool) -> None:
    """The cancellation falls between taking from one account and adding to the other."""
    accounts = [100, 0]
    transfer_scope = anyio.CancelScope()

    async def transfer() -> None:
        with transfer_scope:
            await checkpoint()
            accounts[0] -= 10
            if fixed:
                await cancel_shielded_checkpoint()
            else:
                await checkpoint()
            accounts[1] += 10

    async def cancel() -> None:
        await checkpoint()
        transfer_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(transfer)
        group.start_soon(cancel)
    assert sum(accounts) == 100, f"the accounts hold {accounts}"


async def half_closed_stream(*, fixed: bool) -> None:
    """A proxy stops both directions as soon as one has ended."""
    to_proxy, from_client = anyio.create_memory_object_stream[str](1)
    to_server, at_server = anyio.create_memory_object_stream[str](1)
    from_server, answers = anyio.create_memory_object_stream[str](1)
    to_client, at_client = anyio.create_memory_object_stream[str](1)
    got: list[str] = []

    async def client() -> None:
        async with to_proxy:
            await to_proxy.send("request")
        async with at_client:
            got.extend([answer async for answer in at_client])

    async def server() -> None:
        async with at_server, from_server:
            async for request in at_server:
                await from_server.send(f"answer to {request}")

    async def pump(
        source: ObjectReceiveStream[str], sink: ObjectSendStream[str], both: anyio.CancelScope
    ) -> None:
        async with source, sink:
            async for item in source:
                await sink.send(item)
        if not fixed:
            both.cancel()

    async def proxy() -> None:
        async with anyio.create_task_group() as pumps:
            pumps.start_soon(pump, from_client, to_server, pumps.cancel_scope)
            pumps.start_soon(pump, answers, to_client, pumps.cancel_scope)

    async with anyio.create_task_group() as group:
        group.start_soon(client)
        group.start_soon(proxy)
        group.start_soon(server)
    assert got == ["answer to request"], f"the client got {got}"


async def put_after_close(*, fixed: bool) -> None:
    """The queue is open when it is asked, and closed when the item is put."""
    changed, items, is_open = anyio.Condition(), deque[int](), True
    accepted: list[int] = []
    handled: list[int] = []

    async def put(item: int) -> None:
        if fixed:
            async with changed:
                if is_open:
                    items.append(item)
                    accepted.append(item)
                    changed.notify_all()
        elif is_open:
            async with changed:
                items.append(item)
                accepted.append(item)
                changed.notify_all()

    async def close() -> None:
        nonlocal is_open
        async with changed:
            is_open = False
            changed.notify_all()

    async def worker() -> None:
        async with changed:
            while items or is_open:
                if items:
                    handled.append(items.popleft())
                else:
                    await changed.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(worker)
        group.start_soon(put, 1)
        group.start_soon(close)
    assert handled == accepted, f"accepted {accepted}, handled {handled}"


async def drained_too_soon(*, fixed: bool) -> None:
    """The queue is empty, but its last item is still being worked on."""
    jobs, unfinished, database = deque(["job"]), 1, ["open"]

    async def worker() -> None:
        nonlocal unfinished
        while jobs:
            jobs.popleft()
            await checkpoint()
            assert database == ["open"], "a result came after the database was closed"
            unfinished -= 1

    async def shut_down() -> None:
        while unfinished if fixed else jobs:
            await anyio.sleep(1)
        database.clear()

    async with anyio.create_task_group() as group:
        group.start_soon(worker)
        group.start_soon(shut_down)


async def started_after_close(*, fixed: bool) -> None:
    """A request is accepted, and its task started when the group has ended."""
    accepting, stop = True, anyio.Event()
    children = anyio.create_task_group()

    async def serve(*, task_status: TaskStatus[None]) -> None:
        nonlocal accepting
        async with children:
            task_status.started()
            await stop.wait()
            accepting = False

    async def request() -> None:
        if accepting:
            await checkpoint()  # read the header
            if fixed and not accepting:
                return
            children.start_soon(checkpoint)

    async with anyio.create_task_group() as group:
        await group.start(serve)
        group.start_soon(request)
        stop.set()


async def timeout_race(*, fixed: bool) -> None:
    """The answer and the deadline fall into the same moment: paid, and paid again."""
    charged: list[str] = []
    answer, abandoned = anyio.Event(), False

    async def charge() -> None:
        await anyio.sleep(1)
        if fixed and abandoned:
            return
        charged.append("first")
        answer.set()

    async with anyio.create_task_group() as group:
        group.start_soon(charge)
        with anyio.move_on_after(1) as patience:
            await answer.wait()
        abandoned = not answer.is_set() if fixed else patience.cancelled_caught
        if abandoned:
            charged.append("again")
    assert len(charged) == 1, f"charged {charged}"


BUGS: tuple[Bug, ...] = (
    double_close,
    lost_cancellation,
    cancelled_between,
    half_closed_stream,
    put_after_close,
    drained_too_soon,
    started_after_close,
    timeout_race,
)
