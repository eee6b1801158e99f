"""Item 39: queues, workers, and the pipeline of pictures."""

from __future__ import annotations

import asyncio
import functools
import gc
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aconcur.lessons.item39_queue import original, original_polling, rebuilt, work
from aconcur.lessons.item39_queue.work import BUFFER, Failure, Outcome, Picture, Served
from tests.support.states import until_sync

LESSON = "item39_queue"
PACKAGE = f"aconcur.lessons.{LESSON}"

Call: TypeAlias = Callable[..., Awaitable[Any]]
Job: TypeAlias = Callable[[Any], Any]

# Short, so that a version that hangs fails soon.
pytestmark = pytest.mark.timeout(60)


# ------------------------------------------------------------------ help


@pytest.fixture
def call(call: Call) -> Call:
    """End a version that hangs: tasks are cancelled; threads meet the test's timeout."""

    async def limited(*arguments: object) -> object:
        with anyio.fail_after(30):
            return await call(*arguments)

    return limited


@pytest.fixture
def job(request: pytest.FixtureRequest) -> Callable[[Job], Job]:
    """Make a job for the version under test of a plain function."""
    version = request.node.callspec.params["call"][1]

    def made(func: Job) -> Job:
        @functools.wraps(func)
        async def awaited(item: object) -> object:
            return func(item)

        return func if version == "original" else awaited

    return made


@pytest.fixture(autouse=True)
def _a_thread_may_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take SystemExit in a thread as threading does: as no error. Pytest reports it."""
    report = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            report(args)

    monkeypatch.setattr(threading, "excepthook", hook)


@pytest.fixture(scope="module")
def _server() -> Iterator[Served]:
    with work.served(10, seed=39, delay=0) as at:
        yield at


@pytest.fixture
def at(_server: Served) -> Served:
    """Return a picture server that nothing has been uploaded to."""
    for file in _server.folder.iterdir():
        file.unlink()
    return _server


def urls_of(at: Served, size: int = 10) -> list[str]:
    return [at.pictures + name for name in work.names(size)]


def thumbnails(at: Served) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in at.folder.iterdir()}


def picture(size: tuple[int, int] = (64, 48), kind: str = "PNG", mode: str = "RGB") -> bytes:
    file = BytesIO()
    Image.new(mode, size).save(file, kind)
    return file.getvalue()


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Answer each request with these bytes and hang up; with none, never answer."""
    held: list[socket.socket] = []
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                if ended.is_set():
                    connection.close()
                    return
                if answer:
                    # The reader may hang up first.
                    with connection, suppress(ConnectionError):
                        connection.recv(65536)
                        connection.sendall(answer)
                else:
                    held.append(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield "http://{}:{}/".format(*listener.getsockname())
        finally:
            ended.set()
            socket.create_connection(listener.getsockname()).close()
            thread.join()
            for connection in held:
                connection.close()


def unused_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "http://{}:{}/".format(*listener.getsockname())


# httpx2 leaves the innermost generator of an answer that is not read to its end to the garbage
# collector, and trio can only complain of it.
LEFT_GENERATOR = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <async_generator object PoolByteStream"
)


# ------------------------------------- specification: pipeline(urls, to)


@pytest.mark.entry("pipeline")
async def test_good_pictures_arrive_and_bad_ones_are_named(call: Call, at: Served) -> None:
    outcomes = await call(urls_of(at), at.thumbnails)
    assert [name for name, _, _ in outcomes] == work.names(10)
    said = {name: text for name, text, _ in outcomes if text != "ok"}
    assert said == {
        "00003.jpg": "download: 404 Not Found",
        "00006.png": "resize: bad picture: image file is truncated",
        "00008.jpg": "resize: not a JPEG or PNG",
    }
    digests = {name: digest for name, text, digest in outcomes if text == "ok"}
    assert {n: work.uploaded(Picture(n, d))[2] for n, d in thumbnails(at).items()} == digests
    for name, data in thumbnails(at).items():
        with Image.open(BytesIO(data)) as image:
            image.load()
            assert image.size == (128, 96)
            assert image.format == ("PNG" if name.endswith("png") else "JPEG")


@pytest.mark.entry("pipeline")
async def test_no_pictures(call: Call, at: Served) -> None:
    assert await call([], at.thumbnails) == []


@pytest.mark.entry("pipeline")
async def test_one_picture(call: Call, at: Served) -> None:
    [(name, said, _)] = await call(urls_of(at, 1), at.thumbnails)
    assert (name, said) == ("00000.jpg", "ok")
    assert list(thumbnails(at)) == [name]


@pytest.mark.entry("pipeline")
async def test_more_pictures_than_workers_and_buffers_hold(call: Call, at: Served) -> None:
    urls = urls_of(at, 1) * 45
    outcomes = await call(urls, at.thumbnails)
    assert len(outcomes) == 45
    assert len(set(outcomes)) == 1


@pytest.mark.entry("pipeline")
async def test_more_failures_than_workers(call: Call, at: Served) -> None:
    missing = [f"{at.pictures}missing-{n:03}.jpg" for n in range(45)]
    outcomes = await call(missing, at.thumbnails)
    assert [said for _, said, _ in outcomes] == ["download: 404 Not Found"] * 45


@pytest.mark.entry("pipeline")
@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        ("", ("", "download: UnsupportedProtocol", None)),
        ("no url", ("no url", "download: UnsupportedProtocol", None)),
        ("ftp://127.0.0.1/a.jpg", ("a.jpg", "download: UnsupportedProtocol", None)),
        ("http://host:port/a.jpg", ("a.jpg", "download: InvalidURL", None)),
    ],
)
async def test_a_url_that_is_none(call: Call, at: Served, url: str, outcome: Outcome) -> None:
    first, *rest = sorted(
        await call([url, *urls_of(at, 1)], at.thumbnails), key=lambda o: o[2] or ""
    )
    assert first == outcome
    assert [said for _, said, _ in rest] == ["ok"]


@pytest.mark.entry("pipeline")
async def test_a_name_that_the_server_refuses(call: Call, at: Served) -> None:
    data = picture()
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data) as base:
        [outcome] = await call([f"{base}..%2F..%2Fstolen.jpg"], at.thumbnails)
    assert outcome == ("..%2F..%2Fstolen.jpg", "upload: 400 Bad Request", None)
    assert thumbnails(at) == {}


@pytest.mark.entry("pipeline")
async def test_an_upload_that_the_server_refuses(call: Call, at: Served) -> None:
    [outcome] = await call(urls_of(at, 1), at.pictures)
    assert outcome == ("00000.jpg", "upload: 400 Bad Request", None)


@pytest.mark.entry("pipeline")
async def test_no_server_to_download_from(call: Call, at: Served) -> None:
    urls = [f"{unused_url()}{n}.jpg" for n in range(30)]
    outcomes = await call(urls, at.thumbnails)
    assert [said for _, said, _ in outcomes] == ["download: ConnectError"] * 30


@pytest.mark.entry("pipeline")
async def test_no_server_to_upload_to(call: Call, at: Served) -> None:
    [outcome] = await call(urls_of(at, 1), unused_url())
    assert outcome == ("00000.jpg", "upload: ConnectError", None)


@pytest.mark.entry("pipeline")
@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this", b"nonsense\r\n\r\n"],
    ids=["cut short", "no HTTP"],
)
async def test_a_broken_answer(call: Call, at: Served, answer: bytes) -> None:
    with answering(answer) as base:
        [outcome] = await call([f"{base}a.jpg"], at.thumbnails)
    assert outcome == ("a.jpg", "download: RemoteProtocolError", None)


@pytest.mark.entry("pipeline")
async def test_a_server_that_never_answers(
    call: Call, at: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough to connect on a busy machine.
    monkeypatch.setattr(work, "TIMEOUT", 0.5)
    with answering(b"") as base:
        outcomes = await call([f"{base}a.jpg", f"{base}b.jpg"], at.thumbnails)
    assert [said for _, said, _ in outcomes] == ["download: ReadTimeout"] * 2


@pytest.mark.entry("pipeline")
@LEFT_GENERATOR
async def test_an_answer_that_is_too_large(
    call: Call, at: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "MAX_BYTES", 1000)
    [outcome] = await call(urls_of(at, 1), at.thumbnails)
    assert outcome == ("00000.jpg", "download: more than 1000 bytes", None)


@pytest.mark.entry("pipeline")
@LEFT_GENERATOR
async def test_an_answer_that_does_not_end(
    call: Call, at: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "MAX_BYTES", 1_000_000)
    with answering(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(4_000_000)) as base:
        [outcome] = await call([f"{base}a.jpg"], at.thumbnails)
    assert outcome == ("a.jpg", "download: more than 1000000 bytes", None)


@pytest.mark.entry("pipeline")
async def test_too_many_pixels(call: Call, at: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MAX_PIXELS", 640 * 480 - 1)
    [outcome] = await call(urls_of(at, 1), at.thumbnails)
    assert outcome == ("00000.jpg", "resize: bad picture: too many pixels", None)


# ------------------------------------ specification: passed_along(items)


@pytest.mark.entry("passed_along")
@pytest.mark.parametrize("size", [0, 1, 2, BUFFER, BUFFER + 1, 300])
async def test_all_items_come_out_in_order(call: Call, size: int) -> None:
    with work.numbers(size, seed=1) as (items,):
        assert await call(items) == items


# ------------------------------------ specification: run(items, stages)


def half(item: int) -> int:
    if item % 2:
        raise ValueError(f"{item} is odd")
    return item // 2


@pytest.mark.entry("run")
async def test_an_error_is_a_result_and_its_worker_goes_on(
    call: Call, job: Callable[[Job], Job]
) -> None:
    results = await call(range(8), [(job(half), 1), (job(half), 1)])
    assert results == [
        0,
        Failure(1, "half", "ValueError: 1 is odd"),
        Failure(1, "half", "ValueError: 1 is odd"),
        Failure(3, "half", "ValueError: 3 is odd"),
        1,
        Failure(5, "half", "ValueError: 5 is odd"),
        Failure(3, "half", "ValueError: 3 is odd"),
        Failure(7, "half", "ValueError: 7 is odd"),
    ]


@pytest.mark.entry("run")
@pytest.mark.parametrize("workers", [1, 3, 20])
async def test_no_item_is_lost_with_several_workers(
    call: Call, job: Callable[[Job], Job], workers: int
) -> None:
    def same(item: int) -> int:
        return item

    results = await call(range(200), [(job(same), workers)] * 3)
    assert sorted(results) == list(range(200))


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.entry("run")
@pytest.mark.parametrize(
    "error",
    [UnreadableError(), StopIteration(), asyncio.CancelledError(), TimeoutError()],
    ids=repr,
)
async def test_no_error_of_a_job_ends_its_worker(
    call: Call, job: Callable[[Job], Job], error: BaseException
) -> None:
    def failing(_: int) -> None:
        raise error

    results = await call(range(3), [(job(failing), 1)])
    assert [(result.item, result.stage) for result in results] == [(n, "failing") for n in range(3)]


@pytest.mark.entry("run")
@pytest.mark.parametrize("after", [0, 1, 100])
async def test_an_error_of_the_caller_comes_out(
    call: Call, job: Callable[[Job], Job], after: int
) -> None:
    def items() -> Iterator[int]:
        yield from range(after)
        raise ValueError("the caller's")

    def same(item: int) -> int:
        return item

    with pytest.RaisesGroup(
        pytest.RaisesExc(ValueError, match="the caller's"), allow_unwrapped=True
    ):
        await call(items(), [(job(same), 2)] * 3)


class Feed:
    """Items that watch how far they are ahead of the last stage."""

    def __init__(self, bound: int, full: Callable[[], None]) -> None:
        self.bound, self.full = bound, full
        self.taken = self.finished = self.most = 0

    def __iter__(self) -> Iterator[int]:
        for item in range(500):
            self.taken += 1
            self.most = max(self.most, self.taken - self.finished)
            if self.taken == self.bound:
                self.full()
            yield item


# Both queues are full, both workers and the caller have an item in hand.
ALL_FULL = 2 * BUFFER + 3


def test_a_slow_stage_holds_back_the_threads() -> None:
    go = threading.Event()
    feed = Feed(ALL_FULL, go.set)

    def same(item: int) -> int:
        return item

    def slow(item: int) -> int:
        assert go.wait(30)
        feed.finished += 1
        return item

    assert len(original.run(feed, [(same, 1), (slow, 1)])) == 500
    assert feed.most == ALL_FULL


@pytest.mark.asyncio_only
async def test_a_slow_stage_holds_back_the_tasks() -> None:
    go = asyncio.Event()
    feed = Feed(ALL_FULL, lambda: None)

    async def slow(item: int) -> int:
        await go.wait()
        feed.finished += 1
        return item

    running = asyncio.create_task(rebuilt.run(feed, [(rebuilt.same, 1), (slow, 1)]))
    for _ in range(10 * ALL_FULL):  # turns of the loop: more than it takes until nobody can move
        await asyncio.sleep(0)
    assert feed.taken == ALL_FULL
    go.set()
    with anyio.fail_after(30):
        assert len(await running) == 500
    assert feed.most == ALL_FULL


def test_a_job_that_exits_is_a_failure_to_a_thread_and_ends_the_loop() -> None:
    def leave(_: int) -> None:
        raise SystemExit(3)

    async def leave_async(_: int) -> None:
        raise SystemExit(3)

    assert original.run([1], [(leave, 1)]) == [Failure(1, "leave", "SystemExit: 3")]
    with pytest.raises(SystemExit):
        asyncio.run(rebuilt.run([1], [(leave_async, 1)]))


@pytest.mark.parametrize("workers", [1, 3])
def test_after_ctrl_c_nobody_waits_for_the_threads(workers: int) -> None:
    busy, go = threading.Barrier(workers + 1), threading.Event()
    asked: list[int] = []

    def stuck(item: int) -> int:
        asked.append(item)
        busy.wait(30)
        assert go.wait(30)
        return item

    def items() -> Iterator[int]:
        # Enough to keep workers waiting in put() when the queue behind them is full.
        yield from range(workers + BUFFER)
        busy.wait(30)
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        original.run(items(), [(stuck, workers), (work.same, 1)])
    left = set(threading.enumerate()) - before
    assert len([thread for thread in left if thread.name == "stuck"]) == workers
    go.set()
    for thread in left:
        thread.join(30)
        assert not thread.is_alive()
    assert sorted(asked) == list(range(workers))


def test_workers_that_wait_in_put_are_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them wait in put() than the queue has places."""
    go = threading.Event()
    abandoned: list[int] = []
    waiting = 3 * BUFFER

    def stuck(item: int) -> int:
        assert go.wait(30)
        return item

    def in_put(thread: threading.Thread) -> bool:
        frame = sys._current_frames().get(thread.ident or 0)
        while frame and frame.f_code.co_name != "put":
            frame = frame.f_back
        return frame is not None

    def items() -> Iterator[int]:
        yield from range(1 + BUFFER + waiting)
        first_stage = [each for each in threading.enumerate() if each.name == "same"]
        until_sync(lambda: all(map(in_put, first_stage)))
        raise ValueError("the caller's")

    def abandon(queue: original.ClosableQueue, workers: int) -> None:
        really(queue, workers)
        abandoned.append(workers)
        if len(abandoned) == 2:
            go.set()

    really = original.abandon
    monkeypatch.setattr(original, "abandon", abandon)
    with pytest.raises(ValueError, match="the caller's"):
        original.run(items(), [(work.same, waiting), (stuck, 1)])
    assert abandoned == [waiting, 1]


# ----------------------------------------------- the five faults of Worker


@contextmanager
def working(func: Job) -> Iterator[original_polling.Worker]:
    """Run one Worker, and make it die at the end."""

    def job(item: object) -> object:
        if item is original_polling.LAST:
            raise SystemExit
        return func(item)

    queues = original_polling.MyQueue(), original_polling.MyQueue()
    worker = original_polling.Worker(job, *queues)
    worker.start()
    try:
        yield worker
    finally:
        worker.in_queue.put(original_polling.LAST)
        worker.join()


def test_fault_1_a_worker_without_work_asks_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 100:
            raise SystemExit

    monkeypatch.setattr(original_polling, "sleep", sleep)
    queue = original_polling.MyQueue()
    with pytest.raises(IndexError):
        queue.get()
    worker = original_polling.Worker(work.same, queue, queue)
    worker.start()
    worker.join()
    assert (worker.polled_count, worker.work_done) == (100, 0)


def test_fault_2_an_empty_queue_does_not_say_that_all_is_done() -> None:
    taken, go = threading.Event(), threading.Event()

    def slow(item: object) -> object:
        taken.set()
        assert go.wait(30)
        return item

    with working(slow) as worker:
        worker.in_queue.put("item")
        assert taken.wait(30)
        # Nothing waits, nothing came out, and yet the item is not done.
        assert (len(worker.in_queue.items), len(worker.out_queue.items)) == (0, 0)
        go.set()
        until_sync(lambda: len(worker.out_queue.items) == 1)


def test_fault_3_whatever_is_put_is_work_and_ends_no_worker() -> None:
    with working(work.same) as worker:
        for item in (None, StopIteration, original.ClosableQueue.SENTINEL):
            worker.in_queue.put(item)
        until_sync(lambda: worker.work_done == 3)
        polled = worker.polled_count
        until_sync(lambda: worker.polled_count > polled + 2)
        assert worker.is_alive()


def test_fault_4_before_a_slow_stage_the_queue_grows_without_a_bound() -> None:
    taken, go = threading.Event(), threading.Event()

    def slow(item: object) -> object:
        taken.set()
        assert go.wait(30)
        return item

    with working(slow) as worker:
        worker.in_queue.put("first")
        assert taken.wait(30)
        for number in range(10_000):
            worker.in_queue.put(number)
        assert len(worker.in_queue.items) == 10_000
        go.set()


def test_fault_5_one_bad_item_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: errors.append(args.exc_type))
    with working(half) as worker:
        for number in range(5):
            worker.in_queue.put(number)
        worker.join()
        assert errors == [ValueError]
        assert list(worker.out_queue.items) == [0]
        assert list(worker.in_queue.items) == [2, 3, 4]


# ------------------------------------------------ ClosableQueue of threads


def test_each_close_ends_one_loop_after_all_items() -> None:
    queue = original.ClosableQueue()
    for item in "abc":
        queue.put(item)
    queue.close()
    queue.put("d")
    queue.close()
    assert list(queue) == ["a", "b", "c"]
    assert list(queue) == ["d"]
    queue.join()


def test_an_item_is_done_also_when_the_loop_is_left() -> None:
    queue = original.ClosableQueue()
    queue.put("item")
    for item in queue:
        assert item == "item"
        break
    queue.join()


def test_join_waits_for_the_item_in_hand() -> None:
    queue, done = original.ClosableQueue(), original.ClosableQueue()
    taken, go = threading.Event(), threading.Event()

    def slow(item: str) -> str:
        taken.set()
        assert go.wait(30)
        return item

    worker = original.StoppableWorker(slow, queue, done)
    worker.start()
    queue.put("item")
    queue.close()
    assert taken.wait(30)
    assert queue.unfinished_tasks == 2
    go.set()
    queue.join()
    assert done.get_nowait() == "item"
    worker.join()


# -------------------------------------------------- ClosableQueue of tasks


@pytest.mark.asyncio_only
async def test_each_close_ends_one_async_loop_after_all_items() -> None:
    queue = rebuilt.ClosableQueue()
    for item in "abc":
        await queue.put(item)
    await queue.close()
    await queue.put("d")
    await queue.close()
    assert [item async for item in queue] == ["a", "b", "c"]
    assert [item async for item in queue] == ["d"]


@pytest.mark.asyncio_only
async def test_join_waits_for_the_items_in_hand_and_for_every_close() -> None:
    queue, done = rebuilt.ClosableQueue(2), rebuilt.ClosableQueue()
    go = asyncio.Event()

    async def slow(item: int) -> int:
        await go.wait()
        return item

    with anyio.fail_after(30):
        async with asyncio.TaskGroup() as team:
            for _ in range(2):
                team.create_task(rebuilt.worker(slow, queue, done))
            for item in range(2):
                await queue.put(item)
            await queue.close()
            await queue.close()
            joined = team.create_task(queue.join())
            await anyio.wait_all_tasks_blocked()
            assert not joined.done()
            go.set()
    assert sorted(done.get_nowait() for _ in range(2)) == [0, 1]


@pytest.mark.asyncio_only
async def test_a_full_queue_makes_put_and_close_wait() -> None:
    queue = rebuilt.ClosableQueue(1)
    await queue.put("item")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await queue.close()
    assert queue.get_nowait() == "item"
    assert queue.empty()


@pytest.mark.asyncio_only
async def test_a_cancelled_reader_loses_no_item() -> None:
    queue = rebuilt.ClosableQueue()
    readers = [asyncio.create_task(anext(queue)) for _ in range(3)]
    await anyio.wait_all_tasks_blocked()
    for item in range(3):
        queue.put_nowait(item)
    # Each has been woken for its item, none has run since.
    for reader in readers:
        reader.cancel()
    await asyncio.wait(readers)
    assert all(reader.cancelled() for reader in readers)
    assert [queue.get_nowait() for _ in range(3)] == [0, 1, 2]


@pytest.mark.asyncio_only
async def test_readers_that_time_out_lose_no_item() -> None:
    queue, received = rebuilt.ClosableQueue(BUFFER), []

    async def impatient() -> None:
        while True:
            try:
                async with asyncio.timeout(0):
                    item = await anext(queue)
            except TimeoutError:
                await asyncio.sleep(0)
            except StopAsyncIteration:
                return
            else:
                received.append(item)

    with anyio.fail_after(30):
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(impatient())
            for item in range(100):
                await queue.put(item)
                await asyncio.sleep(0)
            for _ in range(3):
                await queue.close()
    assert received == list(range(100))


@pytest.mark.asyncio_only
async def test_leaving_an_async_loop_leaves_nothing_to_close() -> None:
    queue = rebuilt.ClosableQueue()
    for item in "abc":
        queue.put_nowait(item)
    async for item in queue:
        assert item == "a"
        break
    assert [queue.get_nowait() for _ in range(2)] == ["b", "c"]


@pytest.mark.asyncio_only
async def test_a_cancelled_worker_counts_the_item_in_hand_as_done() -> None:
    queue, done = rebuilt.ClosableQueue(), rebuilt.ClosableQueue()

    async def stuck(_: object) -> None:
        await asyncio.Event().wait()

    queue.put_nowait("in hand")
    queue.put_nowait("waiting")
    worker = asyncio.create_task(rebuilt.worker(stuck, queue, done))
    await anyio.wait_all_tasks_blocked()
    worker.cancel()
    await asyncio.wait([worker])
    assert queue.get_nowait() == "waiting"
    queue.task_done()
    with anyio.fail_after(30):
        await queue.join()


# --------------------------------------------- cancelling the pipeline


class Silent:
    """A server in the test's loop: knows who asked, answers GET at most."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.open = self.asked = 0
        self.changed = asyncio.Condition()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.count(open=1)
        try:
            while (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET") and self.answer:
                size = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.answer)}\r\n\r\n"
                writer.write(size.encode() + self.answer)
            await self.count(asked=1)
            await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            await self.count(open=-1)

    async def count(self, *, open: int = 0, asked: int = 0) -> None:  # noqa: A002
        async with self.changed:
            self.open += open
            self.asked += asked
            self.changed.notify_all()

    async def until(self, true: Callable[[], bool]) -> None:
        with anyio.fail_after(30):
            async with self.changed:
                await self.changed.wait_for(true)


@asynccontextmanager
async def silent(answer: bytes = b"") -> AsyncIterator[tuple[Silent, str]]:
    """Run a server that leaves unanswered what it has no answer for; see all hang up."""
    server = Silent(answer)
    listener = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    try:
        yield server, "http://{}:{}/".format(*listener.sockets[0].getsockname())
        await server.until(lambda: server.open == 0)
    finally:
        listener.close()


async def by_cancel(running: Awaitable[Any], ready: Awaitable[None]) -> None:
    task = asyncio.ensure_future(running)
    await ready
    task.cancel()
    with anyio.fail_after(30):
        await asyncio.wait([task])
    assert task.cancelled()


async def by_timeout(running: Awaitable[Any], ready: Awaitable[None]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(None) as timeout, asyncio.TaskGroup() as group:

            async def expire() -> None:
                await ready
                timeout.reschedule(0)

            group.create_task(expire())
            await running

    with anyio.fail_after(30), pytest.raises(TimeoutError):
        await timed()


async def by_scope(running: Awaitable[Any], ready: Awaitable[None]) -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                await ready
                scope.cancel()

            group.start_soon(cancel)
            await running
    assert scope.cancelled_caught


Cancel: TypeAlias = Callable[[Awaitable[Any], Awaitable[None]], Awaitable[None]]


@pytest.mark.asyncio_only
@pytest.mark.parametrize("cancelled", [by_cancel, by_timeout, by_scope])
async def test_cancelled_while_it_downloads(cancelled: Cancel) -> None:
    async with silent() as (server, base):
        urls = [f"{base}{n}.jpg" for n in range(50)]
        downloading = server.until(lambda: server.asked == work.DOWNLOADERS)
        await cancelled(rebuilt.pipeline(urls, base), downloading)
        assert server.asked == work.DOWNLOADERS


@pytest.mark.asyncio_only
async def test_cancelled_while_it_uploads() -> None:
    async with silent(picture()) as (server, base):
        urls = [f"{base}{n}.jpg" for n in range(50)]
        uploading = server.until(lambda: server.asked == work.UPLOADERS)
        await by_cancel(rebuilt.pipeline(urls, base), uploading)
        assert server.asked == work.UPLOADERS


@pytest.mark.asyncio_only
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_cancelled_while_it_resizes_it_waits_for_its_threads(
    at: Served, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
    resizing: list[Picture] = []
    go = threading.Event()

    def slow(picture: Picture) -> Picture:
        resizing.append(picture)
        assert go.wait(30)
        raise work.JobError("nobody hears this")

    monkeypatch.setattr(work, "resize", slow)
    before = asyncio.all_tasks()
    pipeline = asyncio.create_task(rebuilt.pipeline(urls_of(at) * 5, at.thumbnails))
    while len(resizing) < work.RESIZERS:
        await asyncio.sleep(0.001)
    pipeline.cancel()
    await anyio.wait_all_tasks_blocked()
    for _ in range(times - 1):
        # A task group hands on only the first; asyncio.run cancels every task by itself.
        for task in asyncio.all_tasks() - before:
            task.cancel()
        await anyio.wait_all_tasks_blocked()
    # The loop runs on; all that is left of the pipeline waits for the two threads.
    assert not pipeline.done()
    go.set()
    with anyio.fail_after(30):
        await asyncio.wait([pipeline])
    assert pipeline.cancelled()
    assert len(resizing) == work.RESIZERS
    gc.collect()
    assert complaints == []


# anyio 4.16 loses a connection whose maker is cancelled in the step after it was made: it stays
# open until the garbage collector finds it, with a ResourceWarning. All else ends at once.
@pytest.mark.asyncio_only
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_cancelled_after_any_number_of_steps(at: Served) -> None:
    before = asyncio.all_tasks()
    for number in (0, 1, 2, 3, 5, 8, 13, 40, 80, 160):
        pipeline = asyncio.create_task(rebuilt.pipeline(urls_of(at), at.thumbnails))
        for _ in range(number):
            await asyncio.sleep(0)
        pipeline.cancel()
        with anyio.fail_after(30):
            await asyncio.wait([pipeline])
        assert asyncio.all_tasks() - before <= {pipeline}
    sent = thumbnails(at)
    await rebuilt.pipeline(urls_of(at), at.thumbnails)
    assert sent.items() <= thumbnails(at).items()
    del pipeline
    gc.collect()


# --------------------------------------------------------------- the work


@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    shape=st.sampled_from(
        [("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
        + [("JPEG", mode) for mode in ("L", "RGB", "CMYK")]
    ),
)
@settings(max_examples=50, deadline=None)
def test_a_resized_picture_is_small_and_keeps_its_kind(
    size: tuple[int, int], shape: tuple[str, str]
) -> None:
    small = work.resize(Picture("http://host/a", picture(size, *shape)))
    with Image.open(BytesIO(small.data)) as image:
        image.load()
        assert image.format == shape[0]
        assert max(image.size) == min(work.SIDE, max(size))
    assert small.name == "a"


@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG"]))
@settings(max_examples=100, deadline=None)
def test_damaged_bytes_are_a_job_error_or_a_picture(data: st.DataObject, kind: str) -> None:
    damaged = bytearray(picture(kind=kind))
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    with suppress(work.JobError):
        assert work.resize(Picture("a", cut)).data


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://host/a/b.jpg", "b.jpg"),
        ("http://host/b.jpg?size=/large", "b.jpg"),
        ("http://host/b.jpg#/part", "b.jpg"),
        ("http://host/", ""),
        ("", ""),
    ],
)
def test_the_name_of_a_picture(url: str, name: str) -> None:
    assert Picture(url).name == name


def test_the_seed_decides_the_pictures() -> None:
    assert list(work.drawn(5, seed=1)) == list(work.drawn(5, seed=1))
    assert list(work.drawn(5, seed=1)) != list(work.drawn(5, seed=2))
    assert [name for name, _ in work.drawn(24, 1)] == [n for n in work.names(24) if "3." not in n]


def test_the_seed_decides_the_numbers() -> None:
    with work.numbers(50, 1) as first, work.numbers(50, 1) as again, work.numbers(50, 2) as other:
        assert first == again != other
        assert sorted(other[0]) == list(range(50))


def test_the_input_is_served_as_long_as_it_is_used() -> None:
    with work.pictures(2, seed=1) as (urls, to):
        assert [said for _, said, _ in original.pipeline(urls, to)] == ["ok", "ok"]
    assert [said for _, said, _ in original.pipeline(urls, to)] == ["download: ConnectError"] * 2


# ------------------------------------------------------------- the server


def address(at: Served) -> tuple[str, int]:
    host, _, port = at.pictures.split("/")[2].partition(":")
    return host, int(port)


def asked(at: Served, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(*address(at), timeout=20)) as connection:
        connection.request(method, path, body)
        with connection.getresponse() as answer:
            return answer.status, answer.read()


def spoken(at: Served, said: bytes) -> bytes:
    """Send these bytes and no more; return all that the server answers."""
    with socket.create_connection(address(at), timeout=20) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            return answer.read()


HOSTILE = [
    "/thumbnails/../stolen",
    "/thumbnails/..",
    "/thumbnails/%2e%2e%2fstolen",
    "/thumbnails/..%2fstolen",
    "/thumbnails/a%2fb",
    "/thumbnails/a%00.jpg",
    "/thumbnails/%0a",
    "/thumbnails/a%0a",
    "/thumbnails/.hidden",
    "/thumbnails/",
    "/thumbnails",
    "/thumbnails//a.jpg",
    "/pictures/00000.jpg",
    "/a.jpg",
    "/thumbnails/" + "a" * 101,
    "/thumbnails/a.jpg?b",
    "http://host/thumbnails/a.jpg",
    "*",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_the_server_writes_under_no_hostile_name(at: Served, path: str) -> None:
    around = set(at.folder.parent.iterdir())
    assert asked(at, "PUT", path, b"data") == (400, b"")
    assert thumbnails(at) == {}
    assert set(at.folder.parent.iterdir()) == around


def test_the_server_sends_its_pictures_and_no_file(at: Served) -> None:
    (at.folder / "a.jpg").write_bytes(b"uploaded")
    assert asked(at, "GET", "/pictures/00008.jpg") == (200, b"This is not a picture.\n")
    for path in ("/thumbnails/a.jpg", "/pictures/a.jpg", "/pictures/../a.jpg", "/pictures/", "*"):
        assert asked(at, "GET", path) == (404, b"")


def test_the_server_refuses_an_endless_path(at: Served) -> None:
    assert asked(at, "PUT", "/thumbnails/" + "a" * 70_000, b"data")[0] == 414


def test_a_name_of_100_characters_is_legal(at: Served) -> None:
    name = "a" * 100
    assert asked(at, "PUT", f"/thumbnails/{name}", b"data")[0] == 201
    assert thumbnails(at) == {name: b"data"}


def test_of_two_uploads_with_one_name_the_last_stays(at: Served) -> None:
    for body in (b"one", b"", b"three"):
        assert asked(at, "PUT", "/thumbnails/a.jpg", body) == (201, b"")
        assert thumbnails(at) == {"a.jpg": body}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"", 411),
        (b"Transfer-Encoding: chunked\r\n", 411),
        (b"Content-Length: -1\r\n", 411),
        (b"Content-Length: 1e3\r\n", 411),
        (b"Content-Length: 9999999999\r\n", 413),
    ],
)
def test_the_server_wants_to_know_a_legal_length(at: Served, headers: bytes, status: int) -> None:
    head = b"PUT /thumbnails/a.jpg HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n"
    assert spoken(at, head).startswith(f"HTTP/1.1 {status} ".encode())
    assert thumbnails(at) == {}


def test_an_upload_that_is_cut_short_leaves_no_file(at: Served) -> None:
    head = b"PUT /thumbnails/a.jpg HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
    assert spoken(at, head + b"half") == b""
    assert thumbnails(at) == {}


def test_a_disk_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        write_bytes(path, data[:1])
        raise OSError("disk full")

    with work.Server({}, tmp_path, 0) as server:
        server.save("a.jpg", b"whole")
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="disk full"):
            server.save("a.jpg", b"other")
    assert (tmp_path / "a.jpg").read_bytes() == b"whole"


def test_the_server_ends_with_its_block() -> None:
    with work.served(1, 1, 0) as at:
        assert asked(at, "GET", "/pictures/00000.jpg")[0] == 200
    assert not at.folder.exists()
    with pytest.raises(ConnectionError):
        asked(at, "GET", "/pictures/00000.jpg")


def test_the_server_ends_when_its_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), work.served(1, 1, 0):
        _ = 1 / 0


def test_the_server_ends_also_while_it_delays_an_answer() -> None:
    with work.served(1, 1, 3600) as at, socket.create_connection(address(at)) as waiting:
        waiting.sendall(b"GET /pictures/00000.jpg HTTP/1.1\r\n\r\n")
    assert not at.folder.exists()


def test_a_server_that_cannot_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="did not start"), work.served(1, 1, 0):
        pass


def test_the_server_ends_when_its_parent_is_killed(private_temporary_folder: Path) -> None:
    code = f"""
import sys
from {PACKAGE} import work
with work.served(1, 1, 0) as at:
    print(at.pictures, flush=True)
    sys.stdin.read()
"""
    before = set(private_temporary_folder.iterdir())
    with started("-c", code) as parent:
        assert parent.stdout
        parent.stdout.readline()
        assert set(private_temporary_folder.iterdir()) > before
        parent.kill()
        parent.wait()
        # The server removes its folder last of all.
        until_sync(lambda: set(private_temporary_folder.iterdir()) == before)


# --------------------------------------------------------- run by itself


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start Python in a process group of its own."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def ran(*arguments: str) -> tuple[int, str, str]:
    with started(*arguments) as process:
        out, err = process.communicate(timeout=50)
    return process.returncode, out, err


VERSIONS = ["original", "rebuilt", "toolkit", "original_polling"]


@pytest.mark.parametrize(
    ("version", "first"),
    [
        ("original", "10 pictures, 18 threads"),
        ("rebuilt", "10 pictures, 18 tasks, 2 threads"),
        ("toolkit", "10 pictures, 20 tasks, 2 threads"),
    ],
)
def test_alone_it_says_what_became_of_the_pictures(version: str, first: str) -> None:
    code, out, err = ran("-m", f"{PACKAGE}.{version}")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        first,
        "7 uploaded, 3 failed",
        "  00003.jpg  download: 404 Not Found",
        "  00006.png  resize: bad picture: image file is truncated",
        "  00008.jpg  resize: not a JPEG or PNG",
    ]


def test_alone_the_polling_workers_say_how_often_they_polled() -> None:
    code, out, err = ran("-m", f"{PACKAGE}.original_polling", "--size", "100")
    assert (code, err) == (0, "")
    assert out.count("worked 100 times") == 3


def test_a_wrong_size_is_a_usage_error() -> None:
    code, out, err = ran("-m", f"{PACKAGE}.rebuilt", "--size", "0")
    assert (code, out) == (2, "")
    assert "not '0'" in err


PATIENT = """
import runpy, sys
from {package} import work

# No answer comes; say so when a request begins.
work.DELAY = 3600.0
plain_errors = work.plain_errors

def announced():
    print("asked\\n", end="", flush=True)  # one write: threads print at once
    return plain_errors()

work.plain_errors = announced
sys.argv = ["alone", "--size", "50"]
runpy.run_module("{package}.{version}", run_name="__main__", alter_sys=True)
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("to", [os.kill, os.killpg], ids=["parent", "group"])
@pytest.mark.parametrize("version", ["original", "rebuilt", "toolkit"])
def test_ctrl_c_in_the_middle_ends_all_at_once(
    version: str, to: Callable[[int, int], None], private_temporary_folder: Path
) -> None:
    before = set(private_temporary_folder.iterdir())
    with started("-c", PATIENT.format(package=PACKAGE, version=version)) as process:
        assert process.stdout
        until_sync(lambda: process.stdout and process.stdout.readline() == "asked\n")
        for _ in range(work.DOWNLOADERS - 1):
            assert process.stdout.readline() == "asked\n"
        to(process.pid, signal.SIGINT)
        # Far below TIMEOUT, after which the requests would end by themselves.
        _, err = process.communicate(timeout=50)
    assert process.returncode == 130
    assert "interrupted" in err
    assert len(err.splitlines()) == 1, err
    assert set(private_temporary_folder.iterdir()) == before


@pytest.mark.parametrize("version", ["original", "rebuilt", "toolkit"])
@pytest.mark.parametrize("module", ["PIL", "httpx2"])
def test_a_missing_module_is_named(version: str, module: str) -> None:
    code = f"""
import runpy, sys
sys.modules["{module}"] = None
sys.argv = ["alone"]
runpy.run_module("{PACKAGE}.{version}", run_name="__main__", alter_sys=True)
"""
    status, out, err = ran("-c", code)
    assert (status, out) == (1, "")
    assert f"module {module} was not found" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reader_that_leaves_is_no_error(version: str) -> None:
    with started("-m", f"{PACKAGE}.{version}") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
