"""Models of published faults in which a timeout, or another timer, races a task that could go on.

As in ``models``: ``await model(mended=False)`` fails under some schedule, ``mended=True`` under
none. On an idle machine each of these timers strikes late, or never.
"""

from __future__ import annotations

__all__ = ("REFERENCES", "TIMEOUTS")

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from benchmarks.explore.models import Model, all_of, future

TIMEOUTS: dict[str, Model] = {}
REFERENCES: dict[str, str] = {}


def published(reference: str) -> Callable[[Model], Model]:
    """Note a model and where its fault is told."""

    def note(model: Model) -> Model:
        TIMEOUTS[model.__name__] = model
        REFERENCES[model.__name__] = reference
        return model

    return note


@published("asyncpg #467: a connection is lost when acquire() times out")
async def connection_lost_by_a_timeout(mended: bool) -> None:
    free: asyncio.Queue[str] = asyncio.Queue()
    free.put_nowait("connection")

    async def acquire() -> str:
        connection = await free.get()
        try:
            await asyncio.sleep(0)  # resets it
        except asyncio.CancelledError:
            if mended:
                free.put_nowait(connection)
            raise
        return connection

    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            connection = await acquire()
            free.put_nowait(connection)
    assert free.qsize() == 1, "the pool is one connection short"


@published("aredis #52: a command that timed out leaves its answer to the next")
async def answer_of_a_timed_out_command(mended: bool) -> None:
    answers: deque[str] = deque()

    async def command(name: str) -> str:
        answers.append(name)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if mended:
                answers.clear()  # as a connection that is closed
            raise
        return answers.popleft()

    with suppress(TimeoutError):
        await asyncio.wait_for(command("first"), 1)
    assert await command("second") == "second"


@published("aiohttp-json-rpc #51: an answer for a request that has timed out")
async def answer_after_the_timeout(mended: bool) -> None:
    pending = {1: future()}

    async def reader() -> None:
        await asyncio.sleep(0.9)
        if not mended or not pending[1].done():
            pending[1].set_result("answer")

    reading = asyncio.create_task(reader())
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await pending[1]
    await reading


@published("aiohttp #9138: the keep-alive timer closes a connection that is in use again")
async def keep_alive_closes_an_active_connection(mended: bool) -> None:
    loop, arrived, handled = asyncio.get_running_loop(), deque[str](), list[str]()
    closed, got = False, asyncio.Event()

    def expire() -> None:
        nonlocal closed
        if not mended or not arrived:
            closed = True

    timer = loop.call_later(75, expire)

    async def handler() -> None:
        await got.wait()
        timer.cancel()
        if not closed:
            handled.append(arrived.popleft())

    async def client() -> None:
        if not closed:
            arrived.append("request")
        got.set()

    await all_of(handler(), client())
    assert not arrived, "a request arrived and was dropped"


@published("aiohttp #10544: the heartbeat closes although the pong has arrived")
async def pong_in_the_buffer(mended: bool) -> None:
    loop, received, closed = asyncio.get_running_loop(), asyncio.Event(), False

    def pong_not_received() -> None:
        nonlocal closed
        closed = not (mended and received.is_set())

    timer = loop.call_later(5, pong_not_received)

    async def receive() -> None:
        await received.wait()
        timer.cancel()

    async def peer() -> None:
        if not closed:
            received.set()
        else:
            timed_out.append(True)
            reader.cancel()

    timed_out: list[bool] = []
    reader = asyncio.create_task(receive())
    await peer()
    with suppress(asyncio.CancelledError):
        await reader
    assert timed_out or not closed, "closed although the pong was there"


@published("python/asyncio #343: wait_for() loses an item of a queue")
async def item_lost_by_wait_for(mended: bool) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    got: list[int] = []

    async def take() -> int:
        item = await queue.get()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            if mended:
                queue.put_nowait(item)
            raise
        return item

    async def consume() -> None:
        while len(got) < 2:
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    got.append(await take())
            if queue.empty() and produced:
                return

    async def produce() -> None:
        queue.put_nowait(1)
        queue.put_nowait(2)
        produced.append(True)

    produced: list[bool] = []
    await all_of(consume(), produce())
    assert sorted(got) == [1, 2]


@published("web3.py #3867: who timed out waiting for a lock releases another's")
async def foreign_lock_released(mended: bool) -> None:
    lock, inside = asyncio.Lock(), 0

    async def work() -> None:
        nonlocal inside
        acquired = False
        try:
            await lock.acquire()
            acquired = True
            inside += 1
            assert inside == 1, "two inside"
            await asyncio.sleep(0)
            inside -= 1
        finally:
            if acquired if mended else lock.locked():
                lock.release()

    async def timed() -> None:
        try:
            async with asyncio.timeout(1):
                await lock.acquire()
                lock.release()
        except TimeoutError:
            if not mended and lock.locked():
                lock.release()

    await all_of(work(), timed(), work())


@published("evaka #2622: a change during a debounced save is never saved")
async def change_during_a_save(mended: bool) -> None:
    loop, saved, text = asyncio.get_running_loop(), "", ""
    dirty, saving = False, list[asyncio.Task[None]]()

    async def save() -> None:
        nonlocal saved, dirty
        now = text
        if mended:
            dirty = False
        await asyncio.sleep(0)
        saved = now
        if not mended:
            dirty = False

    def due() -> None:
        saving.append(asyncio.create_task(save()))

    timer: asyncio.TimerHandle | None = None

    def change(to: str) -> None:
        nonlocal text, dirty, timer
        text, dirty = to, True
        if timer is not None:
            timer.cancel()
        timer = loop.call_later(0.3, due)

    async def flush() -> None:
        """Save at the end, as a page that is left does."""
        if timer is not None:
            timer.cancel()
        await asyncio.gather(*saving)
        if dirty:
            await save()

    change("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    change("ab")
    await flush()
    assert saved == "ab"


@published("openauth #2: the timer and a request refresh the same single-use token")
async def token_refreshed_twice(mended: bool) -> None:
    loop, valid, token = asyncio.get_running_loop(), 1, 1
    lock, tasks = asyncio.Lock(), list[asyncio.Task[None]]()

    async def exchange(old: int) -> int:
        nonlocal valid
        assert old == valid, "invalid_grant: the refresh token was used before"
        valid += 1
        await asyncio.sleep(0)
        return valid

    async def refresh(seen: int) -> None:
        nonlocal token
        if not mended:
            token = await exchange(seen)
            return
        async with lock:
            if token == seen:
                token = await exchange(token)

    timer = loop.call_later(3600, lambda: tasks.append(asyncio.create_task(refresh(token))))
    await asyncio.sleep(0)
    await refresh(token)  # a request was refused with 401
    timer.cancel()
    await asyncio.gather(*tasks)


@published("walrus #155: a lock that expires while its holder still works")
async def lease_expires(mended: bool) -> None:
    loop, holder, fence, written = asyncio.get_running_loop(), list[int](), 0, list[int]()

    async def work(name: int) -> None:
        nonlocal fence
        while holder:
            await asyncio.sleep(1)
        holder.append(name)
        fence += 1
        mine = fence
        timer = loop.call_later(30, lambda: holder.remove(name) if name in holder else None)
        await asyncio.sleep(0)
        if not mended or mine == fence:  # the store refuses an old number
            written.append(mine)
        timer.cancel()
        if name in holder:
            holder.remove(name)

    await all_of(work(1), work(2))
    assert written == sorted(written), "an old holder has written last"


@published("uvicorn #824: a timer is overwritten, and the one before still closes the connection")
async def timer_overwritten(mended: bool) -> None:
    loop, closed, busy = asyncio.get_running_loop(), False, False
    timer: asyncio.TimerHandle | None = None

    def expire() -> None:
        nonlocal closed
        closed = True
        assert not busy, "closed amid a request"

    def completed() -> None:
        nonlocal timer
        if mended and timer is not None:
            timer.cancel()
        timer = loop.call_later(5, expire)

    completed()
    completed()
    if timer is not None:
        timer.cancel()
    busy = True
    await asyncio.sleep(0)
    busy = False


@published("aiohttp #12954: a read timeout that stays armed on a pooled connection")
async def timeout_left_armed(mended: bool) -> None:
    loop, error, pool = asyncio.get_running_loop(), list[str](), list[str]()
    timer = loop.call_later(1, error.append, "read timeout of the request before")

    async def first() -> None:
        await asyncio.sleep(0)
        if mended:
            timer.cancel()
        pool.append("connection")

    await first()
    if mended:
        error.clear()
    pool.pop()
    await asyncio.sleep(0)
    assert not error, error
    timer.cancel()


@published("redis-py #4106: bytes that a timed-out read has taken are dropped")
async def half_read_message(mended: bool) -> None:
    stream, buffer = deque("abcd"), list[str]()

    async def read(size: int) -> str:
        nonlocal buffer
        chunks = buffer if mended else []
        while len(chunks) < size:
            chunks.append(stream.popleft())
            await asyncio.sleep(0)
        message, buffer = "".join(chunks[:size]), []
        return message

    try:
        async with asyncio.timeout(1):
            message = await read(2)
    except TimeoutError:
        message = await read(2)
    assert message == "ab"


@published("bpo-27585: a waiter that times out as it is woken does not wake the next")
async def wake_up_lost_to_a_timeout(mended: bool) -> None:
    locked, waiters = True, deque[asyncio.Future[None]]()

    def wake() -> None:
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
                return

    async def acquire() -> None:
        nonlocal locked
        if locked:
            waiter = future()
            waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if mended and not locked:
                    waiters.remove(waiter)
                    wake()
                raise
            finally:
                if waiter in waiters:
                    waiters.remove(waiter)
        locked = True

    def release() -> None:
        nonlocal locked
        locked = False
        wake()

    async def impatient() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await acquire()
                release()

    async def patient() -> None:
        await acquire()
        release()

    tasks = [asyncio.create_task(impatient()), asyncio.create_task(patient())]
    await asyncio.sleep(0)
    release()
    await asyncio.gather(*tasks)
