"""The pipeline of tasks, cancelled."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio
import pytest

from aconcur.lessons.item39_queue import rebuilt, work
from aconcur.lessons.item39_queue.work import Picture, Served
from tests.support.item39 import (
    picture,
    thumbnails,
    urls_of,
)
from tests.support.states import until

pytestmark = pytest.mark.timeout(60)


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
    await until(lambda: len(resizing) >= work.RESIZERS)
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
