"""A place is the innermost line that the reader wrote."""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Awaitable, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aconcur.testing._locations import Place, describe, place_of

HERE = Path(__file__).name


@types.coroutine
def bare_yield() -> Generator[None, None, None]:
    yield  # in a generator


async def coroutine() -> None:
    await bare_yield()


async def deeper() -> None:
    await coroutine()


async def numbers() -> AsyncIterator[int]:
    await bare_yield()
    yield 1


async def over_a_generator() -> None:
    async for _ in numbers():
        pass


@asynccontextmanager
async def block() -> AsyncIterator[None]:
    await bare_yield()
    yield


async def in_a_block() -> None:
    async with block():
        pass


async def with_anext() -> None:
    await anext(numbers(), 0)


async def through_an_awaitable() -> None:
    class Wrapped:
        def __await__(self) -> Generator[None, None, None]:
            return coroutine().__await__()

    await Wrapped()


async def asleep() -> None:
    await asyncio.sleep(0)  # the library's own frame is passed over


@pytest.mark.parametrize(
    ("waits", "source"),
    [
        (coroutine, "yield  # in a generator"),
        (deeper, "yield  # in a generator"),
        (over_a_generator, "yield  # in a generator"),
        (in_a_block, "yield  # in a generator"),
        (with_anext, "yield  # in a generator"),
        (through_an_awaitable, "yield  # in a generator"),
        (asleep, "await asyncio.sleep(0)  # the library's own frame is passed over"),
    ],
)
def test_the_innermost_line_is_found(waits: object, source: str) -> None:
    assert callable(waits)
    suspended = waits()
    suspended.send(None)
    place = place_of(suspended, "it")
    suspended.close()
    assert isinstance(place, Place)
    assert Path(place.file).name == HERE
    assert place.source == source
    assert place.task == "it"


def test_a_coroutine_that_has_not_begun_stands_at_its_head() -> None:
    fresh = coroutine()
    place = place_of(fresh, "it")
    fresh.close()
    assert place
    assert place.source == "async def coroutine() -> None:"
    assert str(place) == (
        f"{place.file}:{place.line} in coroutine: `async def coroutine() -> None:` (task 'it')"
    )


def test_a_coroutine_that_has_ended_stands_nowhere() -> None:
    ended = coroutine()
    ended.close()
    assert place_of(ended, "it") is None
    assert describe(ended, "it") == "task 'it'"


def test_a_library_alone_can_be_told_but_is_no_place() -> None:
    library: Awaitable[None] = asyncio.sleep(0)
    assert asyncio.iscoroutine(library)
    library.send(None)
    assert place_of(library, "it") is None
    assert "tasks.py:" in describe(library, "it")
    library.close()
