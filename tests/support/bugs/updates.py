"""State that is read, and written after others had their turn."""

from __future__ import annotations

__all__ = ("BUGS",)

from contextlib import AsyncExitStack

import anyio
from anyio.lowlevel import checkpoint

from tests.support.bugs.kind import Bug


async def lost_update(*, fixed: bool) -> None:
    """Two increments read the same number."""
    counter, lock = {"count": 0}, anyio.Lock()

    async def increment() -> None:
        async with AsyncExitStack() as stack:
            if fixed:
                await stack.enter_async_context(lock)
            seen = counter["count"]
            await checkpoint()
            counter["count"] = seen + 1

    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(increment)
    assert counter["count"] == 2, f"two increments made {counter['count']}"


async def rare_lost_update(*, fixed: bool) -> None:
    """The window is open for one step, late in a task that runs beside a short one."""
    counter, lock = {"count": 0}, anyio.Lock()

    async def slow() -> None:
        for _ in range(3):
            await checkpoint()
        async with AsyncExitStack() as stack:
            if fixed:
                await stack.enter_async_context(lock)
            seen = counter["count"]
            await checkpoint()
            counter["count"] = seen + 1

    async def quick() -> None:
        async with lock:
            counter["count"] += 1

    async with anyio.create_task_group() as group:
        group.start_soon(slow)
        group.start_soon(quick)
    assert counter["count"] == 2, f"two increments made {counter['count']}"


async def dict_update_across_await(*, fixed: bool) -> None:
    """``total += await price()`` reads the total before it waits for the price."""
    total = {"basket": 0}

    async def price() -> int:
        await checkpoint()
        return 10

    async def add() -> None:
        if fixed:
            found = await price()
            total["basket"] += found
        else:
            total["basket"] += await price()

    async with anyio.create_task_group() as group:
        group.start_soon(add)
        group.start_soon(add)
    assert total["basket"] == 20, f"two items cost {total['basket']}"


async def check_then_act(*, fixed: bool) -> None:
    """A name is free when it is looked up, and taken when it is written."""
    owners: dict[str, int] = {}
    told: list[int] = []

    async def register(name: str, who: int) -> None:
        if name in owners:
            return
        if fixed:
            owners[name] = who
        await checkpoint()  # hash the password
        owners[name] = who
        told.append(who)

    async with anyio.create_task_group() as group:
        group.start_soon(register, "ada", 1)
        group.start_soon(register, "ada", 2)
    assert told == [owners["ada"]], f"{told} were told that the name is theirs"


async def overdraft(*, fixed: bool) -> None:
    """Both withdrawals see enough money."""
    account, lock = {"balance": 100}, anyio.Lock()

    async def withdraw(amount: int) -> None:
        async with AsyncExitStack() as stack:
            if fixed:
                await stack.enter_async_context(lock)
            if account["balance"] >= amount:
                await checkpoint()
                account["balance"] -= amount

    async with anyio.create_task_group() as group:
        group.start_soon(withdraw, 80)
        group.start_soon(withdraw, 80)
    assert account["balance"] >= 0, f"the balance is {account['balance']}"


async def stale_read(*, fixed: bool) -> None:
    """What was true of the account before the await is acted on after it."""
    account = {"open": 1, "balance": 0}
    refused: list[int] = []

    async def deposit(amount: int) -> None:
        is_open = account["open"]
        await checkpoint()  # ask for the receipt's number
        if fixed:
            is_open = account["open"]
        if is_open:
            account["balance"] += amount
        else:
            refused.append(amount)

    async def close() -> None:
        await checkpoint()
        account.update(open=0, balance=0)

    async with anyio.create_task_group() as group:
        group.start_soon(deposit, 5)
        group.start_soon(close)
    assert not account["balance"], "money lies in a closed account"


async def mutate_while_iterating(*, fixed: bool) -> None:
    """A subscriber leaves while all are told."""
    subscribers = {1: "ada", 2: "bob"}

    async def publish() -> None:
        for _ in list(subscribers) if fixed else subscribers:
            await checkpoint()

    async def leave() -> None:
        await checkpoint()
        subscribers.pop(2, None)

    async with anyio.create_task_group() as group:
        group.start_soon(publish)
        group.start_soon(leave)


async def completion_order(*, fixed: bool) -> None:
    """Results are kept in the order in which they came, and read in that of the questions."""
    came: list[int] = []
    slots = [-1, -1, -1]

    async def job(number: int) -> None:
        await checkpoint()
        came.append(number)
        slots[number] = number

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(job, number)
    results = slots if fixed else came
    assert results == [0, 1, 2], f"the answers came as {results}"


async def once_initialiser(*, fixed: bool) -> None:
    """``started`` is said before the start is done: a second caller uses half of it."""
    service: dict[str, str] = {}
    started = False
    lock = anyio.Lock()

    async def start() -> None:
        await checkpoint()
        service["address"] = "here"

    async def use() -> str:
        nonlocal started
        if fixed:
            async with lock:
                if not started:
                    await start()
                    started = True
        elif not started:
            started = True
            await start()
        return service["address"]

    async with anyio.create_task_group() as group:
        group.start_soon(use)
        group.start_soon(use)


async def cache_stampede(*, fixed: bool) -> None:
    """The value is out of date, and everyone who asks computes it."""
    cache: dict[str, int] = {}
    pending: dict[str, anyio.Event] = {}
    computed: list[str] = []

    async def compute(key: str) -> None:
        computed.append(key)
        await checkpoint()
        cache[key] = len(computed)

    async def get(key: str) -> int:
        if key in cache:
            return cache[key]
        if not fixed:
            await compute(key)
        elif key in pending:
            await pending[key].wait()
        else:
            pending[key] = anyio.Event()
            await compute(key)
            pending.pop(key).set()
        return cache[key]

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(get, "front page")
    assert len(computed) == 1, f"computed {len(computed)} times"


async def rate_limit(*, fixed: bool) -> None:
    """Two callers take the last token of the bucket."""
    bucket = {"tokens": 1}
    sent: list[float] = []

    async def send() -> None:
        while not bucket["tokens"]:
            await anyio.sleep(1)
            bucket["tokens"] = 1
        if fixed:
            bucket["tokens"] -= 1
            await checkpoint()
        else:
            await checkpoint()  # write the access log
            bucket["tokens"] -= 1
        sent.append(anyio.current_time())

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        group.start_soon(send)
    assert len(set(sent)) == 2, "two requests in one second"


async def pool_double_hand_out(*, fixed: bool) -> None:
    """A connection is tested while it still counts as free."""
    connections, lent = ("first", "second"), list[str]()

    async def borrow() -> str:
        found = next(one for one in connections if one not in lent)
        if fixed:
            lent.append(found)
        await checkpoint()  # is it alive?
        if not fixed:
            lent.append(found)
        return found

    async def query() -> None:
        mine = await borrow()
        assert lent.count(mine) == 1, f"the {mine} connection has {lent.count(mine)} users"
        await checkpoint()
        lent.remove(mine)

    async with anyio.create_task_group() as group:
        group.start_soon(query)
        group.start_soon(query)


BUGS: tuple[Bug, ...] = (
    lost_update,
    rare_lost_update,
    dict_update_across_await,
    check_then_act,
    overdraft,
    stale_read,
    mutate_while_iterating,
    completion_order,
    once_initialiser,
    cache_stampede,
    rate_limit,
    pool_double_hand_out,
)
