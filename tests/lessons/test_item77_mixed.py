"""Item 77: threads and tasks in one program."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from aconcur.lessons.item77_mixed import rebuilt, work

LESSON = "item77_mixed"
Call: TypeAlias = Callable[..., Awaitable[Any]]
pytestmark = pytest.mark.timeout(60)


@pytest.mark.entry("run", "from_above")
@pytest.mark.parametrize("size", [0, 1, 40])
async def test_every_word_is_looked_up_in_order(call: Call, size: int) -> None:
    with work.words(size, seed=1) as (inputs,):
        assert await call(inputs) == list(map(work.meaning, inputs))


def test_old_threads_look_words_up_by_the_new_function() -> None:
    with work.words(40, seed=1) as (inputs,):
        assert rebuilt.from_below(inputs) == list(map(work.meaning, inputs))


def test_an_error_of_a_coroutine_reaches_the_thread_that_called() -> None:
    async def fail() -> None:
        raise ConnectionError("lost")

    with rebuilt.LoopThread() as aside, pytest.raises(ConnectionError, match="lost"):
        aside.call(fail())


def test_the_loop_s_thread_ends_with_its_block() -> None:
    before = threading.active_count()
    with rebuilt.LoopThread() as aside:
        assert aside.call(work.lookup_async("a")) == ord("a")
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    assert aside.loop.is_closed()
