"""Plain sources in a thread: the loop goes on, and the thread ends with the run."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, current_thread
from typing import Any, Literal

import anyio
import pytest

from aconcur.pipeline import THREADS, Journal, Queue, stage
from aconcur.testing import cancel_everywhere
from tests.support.states import BOUND, until


async def same(item: Any) -> Any:  # noqa: ANN401
    return item


class Rows:
    """A source that notes the threads in which it is used."""

    def __init__(self, count: int, fails_at: int = -1, pause: float = 0.0) -> None:
        self.count, self.fails_at, self.pause = count, fails_at, pause
        self.threads = set[threading.Thread]()
        self.drawn = 0
        self.closed = False

    def __iter__(self) -> Iterator[int]:
        try:
            for item in range(self.count):
                self.threads.add(current_thread())
                if item == self.fails_at:
                    raise OSError("the cursor is gone")
                time.sleep(self.pause)
                self.drawn += 1
                yield item
        finally:
            self.threads.add(current_thread())
            self.closed = True

    def check(self) -> None:
        """Require that one other thread did all, closed it, and has ended."""
        assert self.closed
        [thread] = self.threads
        assert thread is not current_thread()
        assert not thread.is_alive()


@pytest.mark.parametrize("ahead", [None, 0, 1, 100])
@pytest.mark.parametrize("workers", [1, 3])
async def test_all_items_come_in_order_from_one_thread(ahead: int | None, workers: int) -> None:
    rows = Rows(90)
    pipeline = stage(same, workers=workers)
    assert await pipeline.collect(rows, via=THREADS, ahead=ahead) == [*range(90)]
    rows.check()


async def test_the_loop_goes_on_while_the_source_blocks() -> None:
    go_on = Event()

    def rows() -> Iterator[int]:
        assert go_on.wait(BOUND)
        yield 1

    async with stage(same).open(rows(), via=THREADS) as run, anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, go_on.set)
        assert [item async for item in run] == [1]


async def test_a_row_is_passed_on_before_the_next_one_is_there() -> None:
    got = Event()

    def rows() -> Iterator[int]:
        yield 1
        assert got.wait(BOUND)
        yield 2

    async with stage(same).open(rows(), via=THREADS) as run:
        assert await anext(run) == 1
        got.set()
        assert await anext(run) == 2


@pytest.mark.parametrize("ahead", [0, 5])
async def test_no_more_is_drawn_than_asked(ahead: int) -> None:
    # Slow, so that the run sees items arrive one at a time.
    rows, release = Rows(1000, pause=0.002), anyio.Event()

    async def work(item: int) -> int:
        await release.wait()
        return item

    async with stage(work, workers=2).open(rows, via=THREADS, ahead=ahead) as run:
        await until(lambda: rows.drawn == 2 + ahead)
        await anyio.sleep(0.01)
        assert rows.drawn == 2 + ahead
        release.set()
        assert await anext(run) == 0


async def test_a_cursor_that_belongs_to_its_thread(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table numbers (number)")
        database.executemany("insert into numbers values (?)", [(item,) for item in range(50)])
        database.commit()

    def rows() -> Iterator[tuple[int]]:
        with closing(sqlite3.connect(path)) as own:
            yield from own.execute("select number from numbers order by number")

    found = await stage(same).collect(rows(), via=THREADS)
    assert found == [(item,) for item in range(50)]


async def test_an_error_comes_after_the_items_before_it() -> None:
    rows, found = Rows(100, fails_at=60), list[int]()

    async def consume() -> None:
        async with stage(same, workers=2).open(rows, via=THREADS, unwrap=True) as run:
            async for item in run:
                found.append(item)

    with pytest.raises(OSError, match="cursor is gone") as caught:
        await consume()
    assert found == [*range(60)]
    assert caught.value.__notes__ == ["raised by the pipeline's source, after the items before it"]
    rows.check()


async def test_draining_passes_on_the_row_that_is_under_way() -> None:
    entered, go_on = Event(), Event()

    def rows() -> Iterator[int]:
        yield 1
        entered.set()
        assert go_on.wait(BOUND)
        yield 2
        yield 3

    async with stage(same).open(rows(), via=THREADS) as run:
        await until(entered.is_set)
        run.drain()
        go_on.set()
        assert [item async for item in run] == [1, 2]


async def test_a_generator_is_closed_in_its_thread_though_others_refer_to_it() -> None:
    rows = Rows(1000)
    generator = iter(rows)
    async with stage(same).open(generator, via=THREADS) as run:
        assert await anext(run) == 0
    rows.check()
    assert list(generator) == []


async def test_leaving_the_block_waits_for_the_row_that_is_under_way() -> None:
    entered, left = Event(), Event()

    def rows() -> Iterator[int]:
        yield 1
        entered.set()
        assert left.wait(BOUND)
        yield 2

    async with stage(same).open(rows(), via=THREADS) as run:
        assert await anext(run) == 1
        await until(entered.is_set)
        timer = threading.Timer(0.02, left.set)
        timer.start()
    assert left.is_set()
    timer.join()
    assert run.report.stages[0].inside == 0


async def test_a_resumed_run_passes_over_what_is_recorded(tmp_path: Path) -> None:
    journal, done = Journal(tmp_path / "j"), list[int]()

    async def work(item: int) -> None:
        done.append(item)

    await stage(work).run(range(30), journal=journal)
    rows = Rows(40)
    report = await stage(work).run(rows, via=THREADS, journal=journal)
    assert done == [*range(40)]
    assert report.recorded == 30
    rows.check()


async def test_a_merged_pipeline_reads_in_a_thread_too() -> None:
    rows = Rows(20)
    merged = stage(same).merge(stage(same).fed_by(rows, via=THREADS))
    assert sorted(await merged.collect(range(20, 40))) == [*range(40)]
    rows.check()


async def test_the_total_of_a_list_is_known() -> None:
    async with stage(same).open([1, 2, 3], via=THREADS) as run:
        assert run.report.total == 3


def test_in_plain_code() -> None:
    rows = Rows(20)
    assert list(stage(same).iter_sync(rows, via=THREADS)) == [*range(20)]
    rows.check()
    assert stage(same).run_sync(Rows(3), via=THREADS).delivered == 3


def test_what_cannot_be_read_in_a_thread_is_refused() -> None:
    wrong: Any = "threads"
    with pytest.raises(TypeError, match="via must be THREADS or None for a source"):
        stage(same).open([1], via=wrong)
    with pytest.raises(TypeError, match="Queue is an async one"):
        stage(same).open(Queue[int](), via=THREADS)


# -- cancellation ----------------------------------------------------------------------------------


async def one_run() -> None:
    rows, run = Rows(3), None
    try:
        async with stage(same, workers=2).open(rows, via=THREADS, ahead=1) as run:
            assert [item async for item in run] == [*range(3)]
    finally:
        if rows.threads:
            rows.check()
        if run is not None:
            [account] = run.report.stages
            assert account.inside == 0
            assert account.entered == account.out + account.cancelled


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_anywhere_the_thread_ends(
    backend: Literal["asyncio", "uvloop", "trio"],
) -> None:
    cancel_everywhere(one_run, backend=backend, grace=2.0).check()
