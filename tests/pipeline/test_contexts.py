"""Context variables: an item sees those of the run, and not those of the item before it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import anyio.lowlevel
import pytest

from aconcur.pipeline import SKIP, THREADS, stage

request: ContextVar[str] = ContextVar("request", default="none")


@pytest.fixture(params=["threads", "executor"])
def via(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "threads":
        yield THREADS
    else:
        with ThreadPoolExecutor(1) as executor:
            yield executor


def set_at_zero(item: int) -> str:
    seen = request.get()
    if not item:
        request.set("item 0")
    return seen


async def set_at_zero_async(item: int) -> str:
    await anyio.lowlevel.checkpoint()
    seen = set_at_zero(item)
    await anyio.lowlevel.checkpoint()
    if not item:
        assert request.get() == "item 0"
    return seen


async def test_a_call_in_a_thread_has_a_context_of_its_own(via: Any) -> None:  # noqa: ANN401
    request.set("run")
    assert await stage(set_at_zero, via=via).collect(range(3)) == ["run"] * 3
    assert request.get() == "run"


async def test_the_calls_of_a_thread_share_a_context_on_request() -> None:
    request.set("run")
    pipeline = stage(set_at_zero, via=THREADS, context="worker")
    assert await pipeline.collect(range(3)) == ["run", "item 0", "item 0"]


@pytest.mark.parametrize("function", [set_at_zero, set_at_zero_async])
async def test_a_call_in_the_loop_has_a_context_of_its_own_on_request(
    function: Any,  # noqa: ANN401
) -> None:
    request.set("run")
    assert await stage(function, context="item").collect(range(3)) == ["run"] * 3
    assert await stage(function).collect(range(3)) == ["run", "item 0", "item 0"]


async def test_a_call_in_its_own_context_fails_and_is_cancelled_as_any_other() -> None:
    async def work(item: int) -> int:
        request.set(str(item))
        if item == 1:
            raise ValueError
        if item == 2:
            await anyio.sleep_forever()
        return item

    pipeline = stage(work, context="item", timeout=0.01, on_error=SKIP)
    report = await pipeline.run(range(4))
    assert (report.stages[0].out, report.failed) == (2, 2)


def two(item: int) -> Iterator[str]:
    yield request.get()
    request.set(str(item))
    yield request.get()


async def two_later(item: int) -> AsyncIterator[str]:
    for seen in two(item):
        await anyio.lowlevel.checkpoint()
        yield seen


@pytest.mark.parametrize("function", [two, two_later])
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_generator_runs_in_the_context_of_its_item(function: Any, workers: int) -> None:  # noqa: ANN401
    request.set("run")
    pipeline = stage(int).flat_map(function, context="item", workers=workers)
    assert await pipeline.collect(range(2)) == ["run", "0", "run", "1"]
    async with pipeline.open(range(2)) as run:
        assert await anext(run) == "run"
    assert request.get() == "run"


async def test_a_generator_is_iterated_over_in_its_thread(via: Any) -> None:  # noqa: ANN401
    def name_of_thread(item: int) -> Iterator[str]:
        yield request.get()
        request.set(str(item))
        yield threading.current_thread().name

    request.set("run")
    pipeline = stage(int).flat_map(name_of_thread, via=via)
    run, first, again, second = await pipeline.collect(range(2))
    assert (run, again) == ("run", "run")
    assert threading.current_thread().name not in (first, second)


def test_a_wrong_context_is_refused() -> None:
    with pytest.raises(ValueError, match="context must be 'item', 'worker' or None, not 'run'"):
        stage(set_at_zero, context="run")  # type: ignore[call-overload]
