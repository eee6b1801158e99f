"""Which errors are tried again, when, and how often in all."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from typing import Any
from urllib.error import HTTPError

import anyio
import anyio.lowlevel
import pytest

from aconcur.pipeline import COLLECT, SKIP, Failure, Journal, Retry, retry_after, stage
from aconcur.testing import cancel_everywhere, explore


class StatusError(Exception):
    def __init__(self, status: int, headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers or {}


def fails_with(*errors: Exception) -> tuple[Any, list[object]]:
    """Return a function that raises these errors, then succeeds, and the items it was given."""
    calls: list[object] = []
    left = list(errors)

    async def function(item: object) -> object:
        calls.append(item)
        if left:
            raise left.pop(0)
        return item

    return function, calls


# -- which errors ----------------------------------------------------------------------------------


async def test_a_predicate_chooses_the_errors() -> None:
    def of_server(error: Exception) -> bool:
        return isinstance(error, StatusError) and error.status >= 500

    retry = Retry(5, backoff=0, on=of_server)
    function, calls = fails_with(StatusError(503), StatusError(404))
    report = await stage(function, retry=retry, on_error=COLLECT).run([1])
    assert [failure.attempts for failure in report.failures] == [2]
    assert len(calls) == 2


@pytest.mark.parametrize("wait", [0.5, timedelta(seconds=0.5)])
def test_a_predicate_may_give_the_seconds_until_the_next_attempt(wait: Any) -> None:  # noqa: ANN401
    assert Retry(3, on=lambda _: wait).next_delay(KeyError(), 1) == 0.5


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (None, TypeError, "on= must return True, False or seconds, not None"),
        ("1", TypeError, "on= must return True, False or seconds, not '1'"),
        (-1, ValueError, "on= must return seconds from 0 on, not -1"),
        (math.nan, ValueError, "on= must return seconds from 0 on, not nan"),
    ],
)
async def test_a_wrong_answer_ends_the_run_and_is_named(
    answer: Any,  # noqa: ANN401
    error: type[Exception],
    said: str,
) -> None:
    function, _ = fails_with(KeyError())
    with pytest.raises(error, match=said):
        await stage(function, retry=Retry(3, on=lambda _: answer)).run([1], unwrap=True)


def test_a_coroutine_function_is_no_predicate() -> None:
    async def wrong(_: Exception) -> bool:
        return True

    with pytest.raises(TypeError, match=r"on must be a plain function, but .* is a coroutine"):
        Retry(on=wrong)  # type: ignore[arg-type]


# -- how long --------------------------------------------------------------------------------------


def test_delay_replaces_the_usual_wait() -> None:
    assert Retry(delay=2).next_delay(KeyError(), 1) == 2
    by_attempt = Retry(9, delay=lambda _, failed: failed * 10)
    assert [by_attempt.next_delay(KeyError(), failed) for failed in (1, 2, 3)] == [10, 20, 30]
    none = Retry(delay=lambda *_: None, backoff=3, jitter=0)
    assert none.next_delay(KeyError(), 1) == 3


def test_no_attempt_begins_after_the_time_limit() -> None:
    retry = Retry(99, delay=2, within=5)
    assert retry.next_delay(KeyError(), 1, elapsed=3) == 2
    assert retry.next_delay(KeyError(), 2, elapsed=3.1) is None


async def test_within_counts_from_the_first_failure() -> None:
    function, calls = fails_with(*[KeyError()] * 99)
    retry = Retry(99, delay=0.02, within=0.05)
    report = await stage(function, retry=retry, on_error=SKIP).run([1])
    assert report.seconds < 20
    assert 2 <= len(calls) <= 3


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("7", 7, 7),
        (" 0 ", 0, 0),
        (timedelta(hours=1), 3500, 3600),
        (timedelta(hours=-1), 0, 0),
    ],
    ids=["seconds", "now", "in an hour", "an hour ago"],
)
def test_a_server_says_when_to_come_again(said: str | timedelta, least: int, most: int) -> None:
    # The date is made here: tests are collected long before they run.
    value = (
        said if isinstance(said, str) else format_datetime(datetime.now(UTC) + said, usegmt=True)
    )

    class ResponseError(Exception):
        response = StatusError(429, {"Retry-After": value})

    message = Message()
    message["Retry-After"] = value
    for error in (
        StatusError(429, {"Retry-After": value}),
        StatusError(429, {"retry-after": value}),
        ResponseError(),
        HTTPError("http://localhost", 429, "", message, None),
    ):
        assert least <= (retry_after(error) or 0) <= most
        if isinstance(error, HTTPError):
            error.close()


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}, {"Retry-After": "-3"}])
def test_without_a_usable_header_the_usual_wait_is_taken(headers: dict[str, str]) -> None:
    assert retry_after(StatusError(429, headers)) is None
    assert retry_after(KeyError()) is None
    retry = Retry(backoff=4, jitter=0, delay=retry_after)
    assert retry.next_delay(StatusError(429, headers), 1) == 4


async def test_a_stage_waits_as_long_as_the_server_asks() -> None:
    function, calls = fails_with(StatusError(429, {"Retry-After": "1"}))
    began = anyio.current_time()
    assert await stage(function, retry=Retry(delay=retry_after)).collect([1]) == [1]
    assert anyio.current_time() - began >= 0.99
    assert len(calls) == 2


# -- how often in all ------------------------------------------------------------------------------


async def test_a_budget_bounds_the_attempts_of_all_items() -> None:
    calls = 0

    async def down(_: int) -> None:
        nonlocal calls
        calls += 1
        raise ConnectionError

    retry = Retry(4, backoff=0, budget=0.1)
    report = await stage(down, retry=retry, on_error=SKIP).run(range(1000))
    assert report.stages[0].retried == calls - 1000
    assert 100 <= calls - 1000 <= 110


async def test_each_failed_attempt_is_told_with_the_wait_that_follows() -> None:
    told: list[tuple[Failure, float]] = []

    async def note(failure: Failure, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        told.append((failure, seconds))

    errors = [KeyError(1), KeyError(2), KeyError(3)]
    function, _ = fails_with(*errors)
    retry = Retry(3, delay=0, on_retry=note)
    await stage(function, name="f", retry=retry, on_error=SKIP).run(["x"])
    assert told == [(Failure("x", "f", errors[0], 1), 0), (Failure("x", "f", errors[1], 2), 0)]


async def test_with_a_journal_the_item_itself_is_told(tmp_path: Any) -> None:  # noqa: ANN401
    told: list[object] = []
    retry = Retry(2, delay=0, on_retry=lambda failure, _: told.append(failure.item))
    function, _ = fails_with(KeyError())
    await stage(function, name="f", retry=retry).run([7], journal=Journal(tmp_path / "j"))
    assert told == [7]


async def test_a_hook_that_fails_ends_the_run_and_the_accounts_add_up() -> None:
    def hook(_: Failure, __: float) -> None:
        raise LookupError("hook")

    function, _ = fails_with(KeyError())
    async with anyio.create_task_group():
        pipeline = stage(function, retry=Retry(3, delay=0, on_retry=hook))
        with pytest.raises(LookupError, match="hook"):
            async with pipeline.open([1], unwrap=True) as run:
                await anext(run)
    [account] = run.report.stages
    assert (account.entered, account.failed, account.inside) == (1, 1, 0)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"within": -1}, ValueError, "within must be at least 0 seconds, not -1"),
        ({"budget": -1}, ValueError, "budget must be at least 0, not -1"),
        ({"delay": -1}, ValueError, "delay must be at least 0 seconds, not -1"),
        ({"delay": "1"}, TypeError, "delay must be a number of seconds, not '1'"),
        ({"on_retry": 3}, TypeError, "on_retry must be a function or None, not 3"),
    ],
)
def test_wrong_options_are_named(
    options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        Retry(**options)


# -- schedules and cancellation --------------------------------------------------------------------


async def retries_beside_another() -> None:
    told: list[int] = []

    async def note(failure: Failure, _: float) -> None:
        told.append(failure.item)
        await anyio.lowlevel.checkpoint()

    tried: dict[int, int] = {}

    async def once(item: int) -> int:
        tried[item] = tried.get(item, 0) + 1
        await anyio.lowlevel.checkpoint()
        if tried[item] == 1:
            raise KeyError(item)
        return item

    retry = Retry(2, delay=0, on_retry=note)
    report = await stage(once, workers=2, retry=retry).run(range(2))
    assert sorted(told) == [0, 1]
    assert (report.delivered, report.stages[0].retried, report.stages[0].inside) == (2, 2, 0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_no_schedule_loses_an_attempt(backend: Any) -> None:  # noqa: ANN401
    explore(retries_beside_another, backend=backend, bound=3, schedules=300).check()


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_anywhere_it_leaves_nothing(backend: Any) -> None:  # noqa: ANN401
    cancel_everywhere(retries_beside_another, backend=backend, grace=1.0).check()
