"""The notes' own constructs and their twins: each pair does the same."""

# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

import anyio
import pytest

from aconcur.compare import Lesson, load_lessons
from aconcur.compare.excerpt import excerpt
from aconcur.lessons.item36_subprocess import notes_async as async36
from aconcur.lessons.item36_subprocess import notes_original as notes36
from aconcur.lessons.item36_subprocess import notes_toolkit as toolkit36
from aconcur.lessons.item36_subprocess import rebuilt as rebuilt36
from aconcur.lessons.item37_threads import notes_async as async37
from aconcur.lessons.item37_threads import notes_original as notes37
from aconcur.lessons.item37_threads import notes_toolkit as toolkit37
from aconcur.lessons.item38_lock import notes_async as async38
from aconcur.lessons.item38_lock import notes_original as notes38
from aconcur.lessons.item38_lock import notes_toolkit as toolkit38
from aconcur.lessons.item39_queue import notes_async as async39
from aconcur.lessons.item39_queue import notes_original as notes39
from aconcur.lessons.item39_queue import notes_toolkit as toolkit39
from aconcur.lessons.item40_coroutines import notes_async as async40
from aconcur.lessons.item40_coroutines import notes_original as notes40
from aconcur.lessons.item40_coroutines import work as work40
from aconcur.lessons.item41_futures import notes_async as async41
from aconcur.lessons.item41_futures import notes_original as notes41
from aconcur.lessons.item41_futures import notes_toolkit as toolkit41
from aconcur.lessons.item76_server import notes_async as async76
from aconcur.lessons.item76_server import notes_original as notes76
from aconcur.lessons.item77_mixed import notes_async as async77
from aconcur.lessons.item77_mixed import notes_original as notes77
from aconcur.lessons.item78_responsive import notes_async as async78
from aconcur.lessons.item78_responsive import notes_original as notes78
from tests.support.states import until, until_sync

pytestmark = [pytest.mark.timeout(60), pytest.mark.anyio]
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)


@pytest.fixture(autouse=True)
def _a_thread_may_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SystemExit end a thread silently, as threading does; pytest would report it."""
    report = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            report(args)

    monkeypatch.setattr(threading, "excepthook", hook)


@pytest.fixture
def _pools_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Shut down the pools that the notes leave open."""
    opened: list[Executor] = []
    for module in (notes41, async41, notes77):
        for name in ("ThreadPoolExecutor", "ProcessPoolExecutor"):
            if kind := getattr(module, name, None):

                def made(*args: int, kind: type[Executor] = kind, **options: int) -> Executor:
                    opened.append(kind(*args, **options))
                    return opened[-1]

                monkeypatch.setattr(module, name, made)
    yield
    for pool in opened:
        pool.shutdown()


@on_asyncio
async def test_a_child_is_read_and_two_are_joined() -> None:
    assert notes36.echo() == await async36.echo() == await toolkit36.echo()
    data = b"ten bytes!"
    digest = hashlib.md5(await rebuilt36.encrypt(data)).hexdigest().encode()
    found = (
        notes36.digest(data, 30),
        await async36.digest(data, 30),
        await toolkit36.digest(data, 30),
    )
    assert [out.split()[0] for out in found] == [digest] * 3


@on_asyncio
async def test_calls_wait_while_the_program_computes() -> None:
    expected = [[1, 2, 3, 6], [1, 7]]
    assert notes37.overlap(3, [6, 7]) == expected
    assert await async37.overlap(3, [6, 7]) == expected
    assert await toolkit37.overlap(3, [6, 7]) == expected


@on_asyncio
async def test_without_a_lock_the_tasks_lose_all_updates_but_one() -> None:
    assert notes38.count(notes38.LockingCounter(), 5) == 5
    assert await async38.count(async38.LockingCounter(), 5) == 5
    assert await async38.count(async38.Counter(), 5) == 1


async def test_a_guarded_count_loses_none() -> None:
    assert await toolkit38.count(5) == 5


def test_the_polling_worker_works_and_polls() -> None:
    first, last = notes39.MyQueue(), notes39.MyQueue()
    worker = notes39.Worker(exit_at_none, first, last)
    worker.start()
    until_sync(lambda: worker.polled_count > 2)
    first.put(1)
    until_sync(lambda: list(last.items) == [2])
    assert worker.work_done == 1
    first.put(None)
    worker.join()


def exit_at_none(item: int | None) -> int:
    if item is None:
        raise SystemExit
    return item + 1


@on_asyncio
async def test_the_polling_task_works_and_polls() -> None:
    first, last = async39.MyQueue(), async39.MyQueue()

    async def add(item: int) -> int:
        return item + 1

    worker = async39.Worker(add, first, last)
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run)
        first.put(1)
        await until(lambda: last.items)
        group.cancel_scope.cancel()
    assert (list(last.items), worker.work_done) == ([2], 1)


def test_a_closed_queue_ends_its_worker() -> None:
    first, last = notes39.ClosableQueue(), notes39.ClosableQueue()
    worker = notes39.StoppableWorker(exit_at_none, first, last)
    worker.start()
    for item in range(3):
        first.put(item)
    first.close()
    first.join()
    worker.join()
    last.close()
    assert list(last) == [1, 2, 3]


@on_asyncio
async def test_a_closed_queue_ends_its_task() -> None:
    first, last = async39.ClosableQueue(), async39.ClosableQueue()

    async def add(item: int) -> int:
        return item + 1

    for item in range(3):
        await first.put(item)
    await first.close()
    await async39.StoppableWorker(add, first, last).run()
    await first.join()
    await last.close()
    assert [item async for item in last] == [1, 2, 3]


async def test_stages_pass_the_items_along() -> None:
    async def same(item: object) -> object:
        return item

    done = await toolkit39.thumbnails(same, str, same, range(20))
    assert done == [str(n) for n in range(20)]


def grid_of(rows: list[str]) -> Any:  # noqa: ANN401 - the notes' class has no types
    grid = notes40.Grid(len(rows), len(rows[0]))
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            grid.assign(y, x, cell)
    return grid


@on_asyncio
async def test_life_is_the_same_on_generators_and_async_generators() -> None:
    rows = work40.Grid.random(7, 9, random.Random(1)).to_rows()
    plain, awaited = grid_of(rows), grid_of(rows)
    cells, async_cells = notes40.simulate(7, 9), async40.simulate(7, 9)
    model = work40.Grid.from_rows(rows)
    for _ in range(4):
        plain = notes40.live_a_generation(plain, cells)
        awaited = await async40.live_a_generation(awaited, async_cells)
        model = lived(model)
        assert plain.rows == awaited.rows == model.rows
    await async_cells.aclose()


def lived(grid: work40.Grid) -> work40.Grid:
    after = work40.Grid(grid.height, grid.width)
    for y in range(grid.height):
        for x in range(grid.width):
            around = [grid.query(y + dy, x + dx) for dy, dx in notes40.AROUND]
            alive = around.count(work40.ALIVE)
            after.assign(y, x, work40.game_logic(grid.query(y, x), alive))
    return after


@on_asyncio
async def test_composition_by_hand_yields_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert [value async for value in async40.composed()] == list(notes40.composed())
    with_value = [value async for value in async40.composed_with_value()]
    assert with_value == list(notes40.composed_with_value()) == [1, 8]
    await async40.send_all(["First", "Second"])
    assert capsys.readouterr().out == "Received: First\nReceived: Second\n"


@pytest.mark.usefixtures("_pools_end")
@on_asyncio
async def test_all_pools_compute_the_same() -> None:
    pairs = [(12, 18), (7, 3), (100, 10)]
    assert notes41.in_threads(pairs) == [6, 1, 10]
    assert await async41.in_threads(pairs) == [6, 1, 10]
    assert await async41.in_processes(pairs) == [6, 1, 10]
    assert await toolkit41.in_processes(pairs) == [6, 1, 10]


@pytest.mark.usefixtures("_pools_end")
def test_processes_compute_the_same() -> None:
    assert notes41.in_processes([(12, 18), (7, 3)]) == [6, 1]


NOTED = {
    36: ("echo", "run_openssl", "run_md5"),
    37: ("overlap",),
    38: ("Counter", "LockingCounter", "worker"),
    39: ("MyQueue", "Worker", "ClosableQueue", "StoppableWorker"),
    40: ("my_coroutine", "count_neighbors", "step_cell", "game_logic", "simulate", "Grid",
         "live_a_generation", "delegated", "composed", "MyReturn", "Query", "Transition", "TICK"),
    41: ("gcd", "in_threads", "in_processes"),
}  # fmt: skip


@pytest.mark.parametrize("lesson", load_lessons(), ids=lambda lesson: lesson.name)
def test_every_definition_of_the_notes_is_there(lesson: Lesson) -> None:
    for name in NOTED.get(lesson.item, ()):
        assert excerpt(lesson.folder, f"notes_original.py::{name}")


@on_asyncio
async def test_a_server_answers_threads_and_tasks() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(anyio.to_thread.run_sync, accept_one, listener)
            assert await anyio.to_thread.run_sync(notes76.ask, address, "1 2") == "3\n"
            assert await async76.ask(address, "2 2") == "4\n"


def accept_one(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    notes76.handle(connection)


@on_asyncio
async def test_a_server_of_tasks_answers_both() -> None:
    server = await asyncio.start_server(async76.handle, "127.0.0.1", 0)
    async with server:
        address = server.sockets[0].getsockname()
        assert await anyio.to_thread.run_sync(notes76.ask, address, "1 2") == "3\n"
        assert await async76.ask(address, "2 2") == "4\n"


@pytest.mark.usefixtures("_pools_end")
@on_asyncio
async def test_a_program_that_moves_gives_the_same_at_every_step() -> None:
    words = ["ab", "c"]
    expected = notes77.total(words)
    assert await async77.from_above(words) == await async77.total(words) == expected
    loop = async77.loop_in_a_thread()
    try:
        assert sum(async77.lookup_from_below(word, loop) for word in words) == expected
    finally:
        loop.call_soon_threadsafe(loop.stop)
        await until(lambda: not loop.is_running())
        loop.close()


@on_asyncio
async def test_users_log_in_with_and_without_a_thread() -> None:
    assert await notes78.main(["a", "b"]) == await async78.main(["a", "b"])
