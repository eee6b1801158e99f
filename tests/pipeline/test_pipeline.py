"""Pipeline: what goes in, what comes out, in which order, and how far ahead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aconcur.pipeline import COLLECT, RAISE, THREADS, Journal, Pipeline, Queue, Retry, stage

# Of a type that the type checker would refuse.
WRONG: Any = "wrong"
FEDLESS: Any = stage(len)


async def same(item: int) -> int:
    return item


async def add(item: int, much: int = 1) -> int:
    await anyio.lowlevel.checkpoint()
    return item + much


async def numbers(size: int) -> AsyncIterator[int]:
    for number in range(size):
        yield number


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("size", [0, 1, 2, 7, 200])
async def test_every_item_passes_every_stage_once(size: int, workers: int, ordered: bool) -> None:
    pipeline = stage(add, workers=workers, ordered=ordered)
    pipeline = pipeline.map(same, workers=workers, ordered=ordered, buffer=1)
    pipeline = pipeline.map(add, workers=3, ordered=ordered, buffer=2)
    results = await pipeline.collect(range(size))
    assert (results if ordered else sorted(results)) == list(range(2, size + 2))


@pytest.mark.parametrize(
    "source",
    [
        lambda: range(50),
        lambda: list(range(50)),
        lambda: iter(range(50)),
        lambda: (n for n in range(50)),
        lambda: numbers(50),
    ],
    ids=["range", "list", "iterator", "generator", "async generator"],
)
async def test_sources(source: Callable[[], Any]) -> None:
    assert await stage(add, workers=4).collect(source()) == list(range(1, 51))


async def test_a_queue_as_source() -> None:
    queue = Queue[int](4)

    async def produce() -> None:
        with queue.producer():
            await queue.put_many(range(50))

    async with anyio.create_task_group() as group:
        group.start_soon(produce)
        assert await stage(add, workers=4).collect(queue) == list(range(1, 51))


@pytest.mark.parametrize(
    "function",
    [
        add,
        partial(add, much=1),
        lambda item: item + 1,
        lambda item: add(item),
        (1).__add__,
        type("Adder", (), {"__call__": lambda _, item: add(item)})(),
    ],
    ids=["async", "partial", "lambda", "lambda to await", "method", "object"],
)
async def test_functions(function: Callable[[int], Any]) -> None:
    assert await stage(function).collect(range(3)) == [1, 2, 3]


async def test_a_slow_first_item_holds_up_order_but_not_work() -> None:
    release, begun = anyio.Event(), list[int]()

    async def work(item: int) -> int:
        begun.append(item)
        if item == 0:
            await release.wait()
        return item

    async with stage(work, workers=3, buffer=4).open(range(20)) as run:
        await anyio.wait_all_tasks_blocked()
        # Three workers and four places: as many items have begun and no more.
        assert begun == list(range(7))
        assert run.report.stages[0].inside == 7
        release.set()
        assert [item async for item in run] == list(range(20))


async def test_unordered_results_leave_as_they_come() -> None:
    release = anyio.Event()

    async def work(item: int) -> int:
        if item == 0:
            await release.wait()
        return item

    async with stage(work, workers=2, ordered=False).open(range(5)) as run:
        assert [await anext(run) for _ in range(4)] == [1, 2, 3, 4]
        release.set()
        assert [item async for item in run] == [0]


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_what_is_drawn_ahead_is_bounded(ordered: bool, asynchronous: bool) -> None:
    drawn: list[int] = []

    def source() -> Iterator[int]:
        for item in range(1000):
            drawn.append(item)
            yield item

    async def async_source() -> AsyncIterator[int]:
        for item in source():
            yield item

    pipeline = stage(same, workers=3, buffer=5, ordered=ordered)
    pipeline = pipeline.map(same, workers=2, buffer=4, ordered=ordered)
    async with pipeline.open(async_source() if asynchronous else source()) as run:
        await anyio.wait_all_tasks_blocked()
        fed = 16 if asynchronous else 0
        assert len(drawn) <= 3 + 5 + 2 + 4 + 1 + fed
        taken = [await anext(run) for _ in range(10)]
        await anyio.wait_all_tasks_blocked()
        assert len(drawn) <= 10 + 3 + 5 + 2 + 4 + 1 + fed
    assert sorted(taken) == list(range(10))


async def test_as_many_work_at_once_as_there_are_workers() -> None:
    at_once = most = 0

    async def work(item: int) -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await anyio.lowlevel.checkpoint()
        at_once -= 1
        return item

    await stage(work, workers=5).collect(range(50))
    assert most == 5


async def test_several_consumers_share_the_results() -> None:
    got: list[int] = []

    async def consume() -> None:
        async for item in run:
            got.append(item)
            await anyio.lowlevel.checkpoint()

    async with stage(add, workers=2).open(range(100)) as run, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(consume)
    assert sorted(got) == list(range(1, 101))


async def test_one_pipeline_runs_twice_at_once() -> None:
    pipeline = stage(add, workers=2).map(add)
    first: list[list[int]] = []

    async def collect(start: int) -> None:
        first.append(await pipeline.collect(range(start, start + 20)))

    async with anyio.create_task_group() as group:
        group.start_soon(collect, 0)
        group.start_soon(collect, 100)
    assert sorted(first) == [list(range(2, 22)), list(range(102, 122))]


async def test_two_pipelines_join_to_one() -> None:
    joined = stage(add) | stage(str).map(len)
    assert await joined.collect([8, 9, 98, 99]) == [1, 2, 2, 3]


# ------------------------------------------------- flat_map, filter, batch


async def a_list(item: int) -> list[int]:
    return [item] * item


def a_generator(item: int) -> Iterator[int]:
    for _ in range(item):
        yield item


async def an_async_generator(item: int) -> AsyncIterator[int]:
    for _ in range(item):
        yield item


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("function", [a_list, a_generator, an_async_generator])
async def test_flat_map(function: Callable[[int], Any], ordered: bool, workers: int) -> None:
    pipeline = stage(same).flat_map(function, workers=workers, ordered=ordered, buffer=2)
    async with pipeline.open(range(8)) as run:
        results = [item async for item in run]
    expected = [item for item in range(8) for _ in range(item)]
    assert (results if ordered else sorted(results)) == expected
    account = run.report.stages[1]
    assert (account.entered, account.out, account.emitted) == (8, 8, 28)


async def test_flat_map_of_an_endless_iterator_is_held_back() -> None:
    def endless(item: int) -> Iterator[int]:
        while True:
            yield item

    async with stage(same).flat_map(endless, buffer=3).open([7]) as run:
        assert [await anext(run) for _ in range(10)] == [7] * 10
    assert run.report.stages[1].cancelled == 1


@pytest.mark.parametrize("workers", [1, 4])
async def test_filter(workers: int) -> None:
    async def odd(item: int) -> bool:
        await anyio.lowlevel.checkpoint()
        return bool(item % 2)

    async with stage(same).filter(odd, workers=workers).open(range(100)) as run:
        assert [item async for item in run] == list(range(1, 100, 2))
    account = run.report.stages[1]
    assert (account.entered, account.out, account.filtered) == (100, 50, 50)


async def test_filter_by_a_plain_function() -> None:
    assert await stage(same).filter(lambda item: item % 2).collect(range(6)) == [1, 3, 5]


@pytest.mark.parametrize("size", [1, 3, 10, 100])
async def test_batch_by_size(size: int) -> None:
    async with stage(same).batch(size).open(range(10)) as run:
        batches = [batch async for batch in run]
    assert [item for batch in batches for item in batch] == list(range(10))
    assert {len(batch) for batch in batches[:-1]} <= {size}
    account = run.report.stages[1]
    assert (account.entered, account.out, account.emitted) == (10, 10, len(batches))


async def test_a_batch_does_not_wait_longer_than_it_may() -> None:
    queue = Queue[int]()
    async with stage(same).batch(100, max_wait=0.2).open(queue) as run:
        await queue.put_many([1, 2])
        assert await anext(run) == [1, 2]
        await queue.put_many([3])
        await anyio.wait_all_tasks_blocked()
        assert run.report.stages[1].inside == 1
        assert await anext(run) == [3]
        queue.close()
        assert [batch async for batch in run] == []


# ------------------------------------------------------------ ends of a run


async def test_leaving_the_block_ends_all() -> None:
    ended: list[int] = []

    async def work(item: int) -> int:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(item)
        return item

    async with stage(work, workers=4).open(range(100)) as run:
        await anyio.wait_all_tasks_blocked()
    assert sorted(ended) == [0, 1, 2, 3]
    account = run.report.stages[0]
    assert (account.entered, account.cancelled, account.inside) == (4, 4, 0)


async def test_break_closes_the_async_source_in_its_task() -> None:
    closed: list[str] = []

    async def source() -> AsyncIterator[int]:
        try:
            for number in range(1000):
                yield number
        finally:
            closed.append("closed")

    async with stage(same).open(source()) as run:
        async for item in run:
            if item == 3:
                break
    assert closed == ["closed"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_drain_finishes_what_was_drawn(asynchronous: bool) -> None:
    drawn: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            drawn.append(len(drawn))
            yield drawn[-1]

    async def async_endless() -> AsyncIterator[int]:
        for item in endless():
            yield item

    source: Any = async_endless() if asynchronous else endless()
    async with stage(add, workers=3).map(add, workers=2).open(source) as run:
        results = [await anext(run) for _ in range(10)]
        run.drain()
        results += [item async for item in run]
    # The source may have been asked for one more when it was drained.
    assert results == [item + 2 for item in drawn][: len(results)]
    assert len(drawn) - len(results) <= asynchronous
    assert all(account.cancelled == account.inside == 0 for account in run.report.stages)


async def test_an_error_of_the_body_comes_out_bare() -> None:
    with pytest.raises(ZeroDivisionError):
        async with stage(add).open(range(10)):
            _ = 1 / 0


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_error_of_the_source(asynchronous: bool) -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise OSError("the source fails")

    async def async_failing() -> AsyncIterator[int]:
        for item in failing():
            yield item

    source: Any = async_failing() if asynchronous else failing()
    with pytest.raises(ExceptionGroup) as caught:  # noqa: ASYNC401
        await stage(add, workers=2).collect(source)
    [error] = caught.value.exceptions
    assert isinstance(error, OSError)


async def test_run_returns_the_account() -> None:
    report = await stage(add, workers=2).run(range(100))
    assert report.stages[0].out == 100
    assert report.delivered == 100


# -------------------------------------------------------------- describing


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"workers": 0}, "workers must be at least 1, not 0"),
        ({"buffer": 0}, "buffer must be at least 1, not 0"),
        ({"timeout": 0}, "timeout must be more than 0 seconds, not 0"),
        ({"timeout": float("nan")}, "timeout must be more than 0 seconds, not nan"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        stage(same, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"attempts": 0}, "attempts must be at least 1, not 0"),
        ({"backoff": -1}, "backoff must be at least 0 seconds, not -1"),
        ({"backoff": float("nan")}, "backoff must be at least 0 seconds, not nan"),
        ({"longest": -1}, "longest must be at least 0 seconds, not -1"),
        ({"jitter": 2}, "jitter must be from 0 to 1, not 2"),
    ],
)
def test_retries_out_of_range(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Retry(**options)


def test_batches_out_of_range() -> None:
    with pytest.raises(ValueError, match="size must be at least 1, not 0"):
        stage(same).batch(0)
    with pytest.raises(ValueError, match="max_wait must be at least 0 seconds, not -1"):
        stage(same).batch(1, max_wait=-1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: stage(WRONG), "a stage needs a function, not 'wrong'"),
        (lambda: stage(same, workers=1.5), r"workers must be a whole number, not 1\.5"),  # type: ignore[call-overload]
        (lambda: stage(same, buffer=WRONG), "buffer must be a whole number, not 'wrong'"),
        (lambda: stage(same, timeout=WRONG), "timeout must be a number of seconds, not 'wrong'"),
        (lambda: stage(same, name=3), "name must be a str or None, not 3"),  # type: ignore[call-overload]
        (lambda: stage(same).batch(1, name=4), "name must be a str or None, not 4"),  # type: ignore[call-overload]
        (lambda: stage(same, wrkers=2), "unexpected keyword argument 'wrkers'"),  # type: ignore[call-overload]
        (lambda: stage(same).rate_limit(WRONG), "items must be a number, not 'wrong'"),
        (lambda: stage(same).run_sync([], journal=Journal("x"), key=3), "key must be a function"),  # type: ignore[arg-type]
        (lambda: Journal("x", of=3), "of must be a str, not 3"),  # type: ignore[arg-type]
        (
            lambda: Retry(on=WRONG),
            "on must be a type of errors, a tuple of such types or a function of an error, not 'wr",
        ),
        (lambda: Retry(on=(KeyError, 3)), "on must be a type of errors, a tuple"),  # type: ignore[arg-type]
        (lambda: stage(same, retry=WRONG), r"retry must be a Retry, such as Retry\(3\), not 'wr"),
        (lambda: stage(str, via=WRONG), "via must be THREADS, an executor or a pool, not 'wrong'"),
        (lambda: stage(same, via=THREADS), "same is a coroutine function, and via= is for block"),
        (lambda: stage(partial(add, much=2)).map(partial(same), via=THREADS), "same is a corout"),
        (lambda: stage(same) | WRONG, "unsupported operand"),
        (lambda: stage(same).merge(FEDLESS), r"<Pipeline len> has no source: .* fed_by\(\)"),
        (lambda: stage(str.encode).through(WRONG), r"through\(\) needs a Command or .*not 'wrong'"),
        (lambda: stage(same).run_sync([], journal=WRONG), r"must be a Journal: Journal\('wrong'\)"),
        (lambda: stage(same).batch(1.5), r"size must be a whole number, not 1\.5"),  # type: ignore[call-overload]
        (lambda: Queue[int](WRONG), "maxsize must be a whole number, not 'wrong'"),
    ],
)
def test_what_is_of_a_wrong_kind_is_refused_where_it_is_described(
    make: Callable[[], object], said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        make()


@pytest.mark.parametrize("way", ["run_sync", "iter_sync"])
async def test_plain_code_blocks_no_loop(way: str) -> None:
    run = getattr(stage(same), way)
    with pytest.raises(RuntimeError, match=rf"{way}\(\) would block the event loop here"):
        list(run([1]))


def test_a_reaction_that_is_none() -> None:
    with pytest.raises(TypeError, match="on_error must be RAISE, SKIP, COLLECT, a Queue"):
        stage(same, on_error=3)  # type: ignore[call-overload]


def test_waits_grow_to_the_longest_less_what_the_lot_takes_off() -> None:
    retry = Retry(9999, backoff=1, longest=5, jitter=0)
    error = KeyError()
    assert [retry.next_delay(error, failed) for failed in (1, 2, 3, 4, 5000)] == [1, 2, 4, 5, 5]
    waits = [Retry(backoff=1, jitter=0.5).next_delay(error, 1) or 0 for _ in range(100)]
    assert 0.5 <= min(waits) < max(waits) <= 1


def test_a_pipeline_shows_its_stages() -> None:
    pipeline = stage(same, workers=4, on_error=COLLECT).map(partial(add, much=2), name="plus 2")
    assert repr(pipeline.batch(3)) == "<Pipeline same ×4 | plus 2 | batch>"
    assert isinstance(stage(same, on_error=RAISE), Pipeline)
