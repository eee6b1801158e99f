"""A time limit is a cancel scope: it respects shields and threads, and no other cancellation."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import AsyncIterator, Iterator

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from aconcur.pipeline import COLLECT, SKIP, Retry, stage


async def test_a_shielded_step_is_not_cut_in_two() -> None:
    steps: list[str] = []

    async def transfer(_: int) -> None:
        with anyio.CancelScope(shield=True):
            steps.append("debit")
            await anyio.sleep(0.05)
            steps.append("credit")

    await stage(transfer, timeout=0.01, on_error=SKIP).run([1])
    assert steps == ["debit", "credit"]


async def test_attempts_in_a_thread_never_overlap() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def block() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        with lock:
            now -= 1

    async def work(_: int) -> None:
        await anyio.to_thread.run_sync(block)
        await anyio.lowlevel.checkpoint()

    retry = Retry(3, backoff=0.001)
    report = await stage(work, timeout=0.01, retry=retry, on_error=COLLECT).run([1])
    assert (most, now) == (1, 0)
    assert [failure.attempts for failure in report.failures] == [3]
    assert isinstance(report.failures[0].error, TimeoutError)


async def test_a_limit_inside_the_function_is_not_the_stages() -> None:
    async def work(item: int) -> str:
        with anyio.move_on_after(0.01):
            await anyio.sleep_forever()
        return f"{item} moved on"

    assert await stage(work, timeout=5).collect([1, 2]) == ["1 moved on", "2 moved on"]


def plain(item: float) -> float:
    return item


def numbers(item: int) -> Iterator[int]:
    yield item


async def later_numbers(item: int) -> AsyncIterator[int]:
    yield item


@pytest.mark.parametrize("function", [time.sleep, str, functools.partial(time.sleep)])
def test_a_limit_on_a_plain_function_is_refused_where_it_is_described(
    function: object,
) -> None:
    with pytest.raises(ValueError, match="timeout= cannot stop the plain function"):
        stage(function, timeout=1)  # type: ignore[call-overload]


async def test_a_limit_on_a_plain_function_ends_the_run() -> None:
    with pytest.raises(ValueError, match="cannot stop the plain function plain"):
        await stage(plain, timeout=1, on_error=SKIP).run([1], unwrap=True)


async def test_a_lambda_that_returns_a_coroutine_has_a_limit() -> None:
    report = await stage(lambda _: anyio.sleep_forever(), timeout=0.01, on_error=COLLECT).run([1])
    assert isinstance(report.failures[0].error, TimeoutError)


def test_a_limit_on_a_generator_function_is_refused() -> None:
    with pytest.raises(ValueError, match="later_numbers returns at once"):
        stage(int).flat_map(later_numbers, timeout=1)
    with pytest.raises(ValueError, match="cannot stop the plain function numbers"):
        stage(int).flat_map(numbers, timeout=1)
