"""Models of published and mended faults of asyncio code, each in a few lines.

Each is a scenario for any explorer: ``await model(mended=False)`` fails under some order of its
tasks' steps, ``mended=True`` under none. None uses a timer, a socket or a thread. ``REFERENCES``
says where each fault is told.
"""

from __future__ import annotations

__all__ = ("MODELS", "REFERENCES", "Model")

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias

Model: TypeAlias = Callable[[bool], Coroutine[Any, Any, None]]
MODELS: dict[str, Model] = {}
REFERENCES: dict[str, str] = {}


def published(reference: str) -> Callable[[Model], Model]:
    """Note a model and where its fault is told."""

    def note(model: Model) -> Model:
        MODELS[model.__name__] = model
        REFERENCES[model.__name__] = reference
        return model

    return note


def future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def all_of(*work: Coroutine[Any, Any, Any]) -> None:
    """Run to the end, whatever is cancelled or fails in between; raise the first assertion."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


class Slots:
    """A pool that counts its slots and keeps a line of futures, as several clients do."""

    def __init__(self, slots: int, *, reserve: bool = True, pass_on: bool = True) -> None:
        self.free = slots
        self.line: deque[asyncio.Future[None]] = deque()
        self.reserve, self.pass_on = reserve, pass_on

    async def acquire(self) -> None:
        if self.free <= 0 or (self.reserve and self.line):
            waiter = future()
            self.line.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self.line:
                    self.line.remove(waiter)
                elif self.pass_on and waiter.done() and not waiter.cancelled():
                    self.free += 1
                    self.wake()
                raise
            if not self.reserve:
                self.free -= 1
            return
        self.free -= 1

    def release(self) -> None:
        self.free += 1
        self.wake()

    def wake(self) -> None:
        while self.line and self.free > 0:
            waiter = self.line.popleft()
            if not waiter.done():
                if self.reserve:
                    self.free -= 1
                waiter.set_result(None)
                return


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0)


async def cancel_soon(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@published("aiohttp #4936: more connections than the limit")
async def limit_exceeded(mended: bool) -> None:
    slots, used = Slots(1, reserve=mended), 0

    async def client() -> None:
        nonlocal used
        await slots.acquire()
        used += 1
        assert used <= 1, "two on one slot"
        await asyncio.sleep(0)
        used -= 1
        slots.release()

    await all_of(client(), client(), client())


@published("aiohttp #9670: a cancelled waiter that was woken wakes no other")
async def wake_up_lost_to_a_cancelled(mended: bool) -> None:
    slots = Slots(1, pass_on=mended)
    await slots.acquire()

    async def client() -> None:
        await slots.acquire()
        slots.release()

    first = asyncio.create_task(client())
    second = asyncio.create_task(client())
    await asyncio.sleep(0)

    async def release() -> None:
        slots.release()

    await all_of(release(), cancel_soon(first))
    await second


@published("aiohttp #4562: a waiter stands in a line that was dropped")
async def waiter_in_a_dropped_line(mended: bool) -> None:
    lines: dict[str, deque[asyncio.Future[None]]] = {}
    added, given = asyncio.Event(), 0

    async def connect() -> None:
        line = lines.setdefault("host", deque())
        await asyncio.sleep(0)
        if mended:
            line = lines.setdefault("host", deque())
        waiter = future()
        line.append(waiter)
        added.set()
        await waiter

    async def release() -> None:
        nonlocal given
        while given < 2:
            await added.wait()
            added.clear()
            line = lines.get("host", deque())
            while line:
                line.popleft().set_result(None)
                given += 1
            lines.pop("host", None)

    await all_of(connect(), connect(), release())


@published("aiohttp #835: a failed connection keeps its slot")
async def slot_kept_by_an_error(mended: bool) -> None:
    slots, failures = Slots(1), 1

    async def connect() -> None:
        nonlocal failures
        await slots.acquire()
        try:
            await asyncio.sleep(0)
            if failures:
                failures -= 1
                if not mended:
                    slots.free -= 1
                raise ConnectionError
        except ConnectionError:
            return
        finally:
            slots.release()

    await all_of(connect(), connect())


@published("redis-py #2624: the answer to a cancelled command is read by the next")
async def off_by_one(mended: bool) -> None:
    answers: deque[str] = deque()
    lock = asyncio.Lock()

    async def command(name: str) -> str:
        async with lock:
            answers.append(name)
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                if mended:
                    answers.clear()  # as a connection that is closed
                raise
            return answers.popleft()

    first = asyncio.create_task(command("a"))

    async def second() -> None:
        answer = await command("b")
        assert answer == "b", answer

    await all_of(cancel_soon(first), second())


@published("psycopg #509: a connection is given to a client that was cancelled")
async def connection_for_a_cancelled_client(mended: bool) -> None:
    waiting: deque[asyncio.Future[int]] = deque()
    pool: list[int] = []

    async def get() -> None:
        client = future()
        waiting.append(client)
        try:
            connection = await client
        except asyncio.CancelledError:
            if mended and client.done() and not client.cancelled():
                put(client.result())
            raise
        put(connection)

    def put(connection: int) -> None:
        while waiting:
            client = waiting.popleft()
            if not client.done():
                client.set_result(connection)
                return
        pool.append(connection)

    async def give() -> None:
        put(1)

    first = asyncio.create_task(get())
    await all_of(give(), cancel_soon(first))
    assert pool == [1], "the connection is lost"


@published("psycopg #1275: a connection wins over the cancellation that was caught")
async def cancellation_lost_to_a_result(mended: bool) -> None:
    changed, given = asyncio.Condition(), list[int]()

    async def wait() -> int:
        error: BaseException | None = None
        async with changed:
            try:
                while not given:
                    await changed.wait()
            except asyncio.CancelledError as caught:
                error = caught
        if mended and error is not None:
            raise error
        if given:
            return given.pop()
        raise error or AssertionError

    async def give() -> None:
        async with changed:
            given.append(1)
            changed.notify()

    client = asyncio.create_task(wait())
    await asyncio.sleep(0)

    async def cancel() -> None:
        if client.cancel():
            await asyncio.wait([client])
            assert client.cancelled(), "cancelled, and goes on"

    await all_of(give(), cancel())


@published("asyncpg #547: wait_for() is cancelled as the connection is ready")
async def acquired_and_cancelled(mended: bool) -> None:
    free = [1]

    async def take() -> int:
        await asyncio.sleep(0)
        return free.pop()

    async def acquire() -> None:
        inner = asyncio.create_task(take())
        try:
            connection = await asyncio.shield(inner)
        except asyncio.CancelledError:
            if mended:
                free.append(await inner)
            raise
        free.append(connection)

    client = asyncio.create_task(acquire())
    await asyncio.sleep(0)
    await all_of(cancel_soon(client))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert free == [1], "the connection is lost"


@published("httpcore #830: a request stays queued though its task was cancelled")
async def request_left_in_the_queue(mended: bool) -> None:
    lock, requests = asyncio.Lock(), list[str]()

    async def handle(name: str) -> None:
        try:
            async with lock:
                requests.append(name)
                await asyncio.sleep(0)
                requests.remove(name)
        except asyncio.CancelledError:
            if mended and name in requests:
                requests.remove(name)
            raise

    first = asyncio.create_task(handle("a"))
    await all_of(cancel_soon(first), handle("b"))
    assert not requests, requests


@published("httpcore #1093: a connection that was never opened holds a slot")
async def connection_never_opened(mended: bool) -> None:
    connections: dict[str, str] = {}
    waiting: deque[tuple[str, asyncio.Future[None]]] = deque()

    def assign() -> None:
        while waiting and not connections:
            name, request = waiting.popleft()
            connections[name] = "new"
            if not request.done():
                request.set_result(None)

    async def handle(name: str) -> None:
        request = future()
        waiting.append((name, request))
        assign()
        try:
            await request
            connections[name] = "open"
            await asyncio.sleep(0)
        finally:
            if mended or connections.get(name) == "open":
                connections.pop(name, None)
            if mended and (name, request) in waiting:
                waiting.remove((name, request))
            assign()

    first = asyncio.create_task(handle("a"))
    second = asyncio.create_task(handle("b"))
    await asyncio.sleep(0)
    await all_of(cancel_soon(second))
    await first
    await handle("c")


@published("websockets #486: a message is lost with the recv() that was cancelled")
async def message_lost_with_recv(mended: bool) -> None:
    messages: deque[str] = deque()
    arrived = asyncio.Event()
    got: list[str] = []

    async def next_message() -> str:
        await arrived.wait()
        return messages.popleft()

    async def recv() -> None:
        inner = asyncio.create_task(next_message())
        try:
            got.append(await asyncio.shield(inner))
        except asyncio.CancelledError:
            if not mended or not inner.done():
                inner.cancel()
            elif not inner.cancelled():
                messages.appendleft(inner.result())
            raise

    async def receive() -> None:
        messages.append("hello")
        arrived.set()

    first = asyncio.create_task(recv())
    await asyncio.sleep(0)
    await all_of(receive(), cancel_soon(first))
    await asyncio.sleep(0)
    assert [*got, *messages] == ["hello"], "lost"


@published("websockets #465: recv() runs while the connection is failed")
async def recv_beside_fail_connection(mended: bool) -> None:
    state, closed = "open", asyncio.Event()

    async def recv() -> None:
        if state != "open":
            return
        await asyncio.sleep(0)
        if mended and state != "open":
            return
        assert state == "open", f"recv() on a connection that is {state}"

    async def fail() -> None:
        nonlocal state
        state = "closing"
        closed.set()

    await all_of(recv(), fail())


@published("CPython bpo-27585: the lock's next holder is cancelled as it is woken")
async def lock_hands_over_to_a_cancelled(mended: bool) -> None:
    locked, line = True, deque[asyncio.Future[None]]()

    def wake() -> None:
        for waiter in line:
            if not waiter.done():
                waiter.set_result(None)
                return

    async def acquire() -> None:
        nonlocal locked
        waiter = future()
        line.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            line.remove(waiter)
            if mended and not locked:
                wake()
            raise
        line.remove(waiter)
        locked = True

    def release() -> None:
        nonlocal locked
        locked = False
        wake()

    async def give() -> None:
        release()

    first, second = asyncio.create_task(acquire()), asyncio.create_task(acquire())
    await until(lambda: len(line) == 2)
    await all_of(give(), cancel_soon(first))
    if first.cancelled():
        await second
    else:
        release()
        await second


@published("python/asyncio #270: the semaphore's woken waiter is cancelled")
async def semaphore_wakes_a_cancelled(mended: bool) -> None:
    slots = Slots(1, reserve=False, pass_on=False)
    slots.free = 0

    async def client() -> None:
        try:
            await slots.acquire()
        except asyncio.CancelledError:
            if mended:
                slots.wake()
            raise

    first, second = asyncio.create_task(client()), asyncio.create_task(client())
    await asyncio.sleep(0)

    async def release() -> None:
        slots.release()

    await all_of(release(), cancel_soon(first))
    if not first.cancelled():
        slots.release()
    await second


@published("CPython #90155: a newcomer overtakes the semaphore's line")
async def semaphore_is_overtaken(mended: bool) -> None:
    slots, served = Slots(1, reserve=mended), list[str]()
    await slots.acquire()

    async def client(name: str) -> None:
        await slots.acquire()
        served.append(name)
        slots.release()

    first = asyncio.create_task(client("first"))
    await until(lambda: slots.line)

    async def release() -> None:
        slots.release()

    await all_of(release(), client("late"))
    await first
    assert served[0] == "first", served


@published("CPython gh-112202: a notification is lost with the waiter that was cancelled")
async def notification_lost(mended: bool) -> None:
    line, items = deque[asyncio.Future[None]](), list[int]()

    def notify() -> None:
        for waiter in line:
            if not waiter.done():
                waiter.set_result(None)
                return

    async def take() -> None:
        while not items:
            waiter = future()
            line.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                line.remove(waiter)
                if mended and waiter.done() and not waiter.cancelled():
                    notify()
                raise
            line.remove(waiter)
        items.pop()

    async def put() -> None:
        items.append(1)
        notify()

    first, second = asyncio.create_task(take()), asyncio.create_task(take())
    await asyncio.sleep(0)
    await all_of(put(), cancel_soon(first))
    if not first.cancelled():
        await put()
    await second


@published("anyio #728: an item goes to a receiver that was cancelled")
async def item_to_a_cancelled_receiver(mended: bool) -> None:
    receivers, buffer = deque[asyncio.Future[int]](), list[int]()
    got: list[int] = []

    def send(item: int) -> None:
        while receivers:
            receiver = receivers.popleft()
            if not receiver.done():
                receiver.set_result(item)
                return
        buffer.append(item)

    async def receive() -> None:
        waiter = future()
        receivers.append(waiter)
        try:
            got.append(await waiter)
        except asyncio.CancelledError:
            if mended and waiter.done() and not waiter.cancelled():
                buffer.append(waiter.result())
            raise

    async def sender() -> None:
        send(1)

    first = asyncio.create_task(receive())
    await asyncio.sleep(0)
    await all_of(sender(), cancel_soon(first))
    assert [*got, *buffer] == [1], "the item is lost"


@published("anyio #731: a sender is told that its item was sent, to a closed receiver")
async def sent_to_a_closed_receiver(mended: bool) -> None:
    senders: list[asyncio.Future[None]] = []
    closed = False
    outcome: list[str] = []

    async def send() -> None:
        if closed:
            outcome.append("refused")
            return
        waiter = future()
        senders.append(waiter)
        await waiter
        outcome.append("refused" if mended and closed else "sent")

    async def close() -> None:
        nonlocal closed
        closed = True
        for waiter in senders:
            waiter.set_result(None)

    await all_of(send(), close())
    assert outcome == ["refused"], outcome


@published("anyio #947: the limiter forgets the next waiter when one is cancelled")
async def limiter_forgets_the_next(mended: bool) -> None:
    await wake_up_lost_to_a_cancelled(mended)


@published("anyio #1170: a token is taken between its hand-over and the waiter's step")
async def limiter_lends_too_much(mended: bool) -> None:
    slots, borrowed = Slots(1, reserve=mended), 0

    async def use() -> None:
        nonlocal borrowed
        await slots.acquire()
        borrowed += 1
        assert borrowed <= 1, "two tokens of one"
        await asyncio.sleep(0)
        borrowed -= 1
        slots.release()

    async def try_to_use() -> None:
        nonlocal borrowed
        if slots.free > 0 and not slots.line:
            await use()

    await all_of(use(), use(), try_to_use())


@published("anyio #1145: release() meets a cancelled waiter that is still in the line")
async def cancelled_waiter_in_the_line(mended: bool) -> None:
    line = deque[asyncio.Future[None]]()

    def release() -> None:
        while line:
            waiter = line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
            if not mended:
                return

    async def acquire() -> None:
        waiter = future()
        line.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in line:
                line.remove(waiter)
            elif not waiter.cancelled():
                release()
            raise

    first, second = asyncio.create_task(acquire()), asyncio.create_task(acquire())
    await until(lambda: len(line) == 2)

    async def give() -> None:
        release()

    async def cancel() -> None:
        first.cancel()

    await all_of(cancel(), give())
    await asyncio.wait([first])
    if not first.cancelled():
        release()
    await second


@published("vllm-omni #7070: cancelling one caller cancels the work that others share")
async def shared_work_cancelled(mended: bool) -> None:
    work: asyncio.Task[int] | None = None

    async def compute() -> int:
        await asyncio.sleep(0)
        return 1

    async def ask() -> int:
        nonlocal work
        work = work or asyncio.create_task(compute())
        return await (asyncio.shield(work) if mended else work)

    first, second = asyncio.create_task(ask()), asyncio.create_task(ask())
    await asyncio.sleep(0)
    await cancel_soon(first)
    await asyncio.wait([second])
    assert not second.cancelled(), "cancelled by another caller"


@published("a2a-python #278: two terminal states are both accepted")
async def two_terminal_states(mended: bool) -> None:
    state, events, lock = "working", list[str](), asyncio.Lock()

    async def update(new: str) -> None:
        nonlocal state
        async with lock if mended else asyncio.Lock():
            if state != "working":
                return
            await asyncio.sleep(0)
            state = new
            events.append(new)

    await all_of(update("completed"), update("failed"))
    assert len(events) == 1, events


@published("Verath #171: two first users initialize twice")
async def initialized_twice(mended: bool) -> None:
    ready, times, lock = False, 0, asyncio.Lock()

    async def ensure() -> None:
        nonlocal ready, times
        async with lock if mended else asyncio.Lock():
            if not ready:
                times += 1
                await asyncio.sleep(0)
                ready = True

    await all_of(ensure(), ensure())
    assert times == 1, f"initialized {times} times"


@published("aioshelly #473: two readers on one connection after a reconnect")
async def two_readers_after_reconnect(mended: bool) -> None:
    reading, lock = 0, asyncio.Lock()

    async def read() -> None:
        nonlocal reading
        assert not reading, "two readers"
        reading += 1
        await asyncio.sleep(0)
        reading -= 1

    async def connect() -> None:
        async with lock if mended else asyncio.Lock():
            await read()

    await all_of(connect(), connect())


@published("CPython #109564: a connection is accepted after the server was closed")
async def accepted_after_close(mended: bool) -> None:
    sockets: list[str] | None = ["listening"]
    attached = 0

    async def accept() -> None:
        nonlocal attached
        if sockets is None:
            return
        await asyncio.sleep(0)
        if mended and sockets is None:
            return
        assert sockets is not None, "attached to a closed server"
        attached += 1

    async def close() -> None:
        nonlocal sockets
        sockets = None

    await all_of(accept(), close())


@published("socketshark #10: a client is removed while its messages are sent")
async def removed_while_sending(mended: bool) -> None:
    clients, sent = {"a": 0, "b": 0}, list[str]()

    async def publish() -> None:
        for client in list(clients) if mended else clients:
            await asyncio.sleep(0)
            sent.append(client)

    async def leave() -> None:
        clients.pop("a", None)

    await all_of(publish(), leave())


@published("psycopg #1401: a check that is cancelled is retried for ever")
async def cancelled_check_is_retried(mended: bool) -> None:
    checks = 0

    async def check() -> None:
        await asyncio.sleep(0)

    async def get() -> str:
        nonlocal checks
        for _ in range(3):
            checks += 1
            try:
                await check()
            except asyncio.CancelledError:
                if mended:
                    raise
                continue
            return "connection"
        return "none"

    client = asyncio.create_task(get())
    await asyncio.sleep(0)
    asked = client.cancel()
    await asyncio.wait([client])
    assert not asked or client.cancelled(), "cancelled, and goes on"


@published("CPython bpo-37658: wait_for() swallows a cancellation as its answer comes")
async def answer_swallows_a_cancellation(mended: bool) -> None:
    answer = future()

    async def wait() -> object:
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            if answer.done() and not mended:
                return answer.result()
            raise

    waiter = asyncio.create_task(wait())
    await asyncio.sleep(0)

    async def give() -> None:
        answer.set_result("it")

    async def cancel() -> None:
        if waiter.cancel():
            await asyncio.wait([waiter])
            assert waiter.cancelled(), "cancelled, and goes on"

    await all_of(give(), cancel())


@published("aiopg #28: a connection is neither in the pool nor with a client")
async def connection_in_between(mended: bool) -> None:
    free, used = deque(["connection"]), set[str]()

    async def acquire() -> None:
        while not free:
            await asyncio.sleep(0)
        connection = free.popleft()
        used.add(connection)
        await asyncio.sleep(0)
        await release(connection)

    async def release(connection: str) -> None:
        if mended:
            free.append(connection)
            used.discard(connection)
            return
        used.discard(connection)
        await asyncio.sleep(0)
        free.append(connection)

    async def count() -> None:
        assert len(free) + len(used) == 1, "a connection is missing"

    await all_of(acquire(), count(), count())
