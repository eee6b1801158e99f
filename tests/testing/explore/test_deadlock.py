"""A deadlock names each task, the lock by its name in the source, its holder, and the cycle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio
import pytest
import trio

from aconcur.testing import Deadlock, Waiting, explore
from aconcur.testing._explore.api import Backend
from aconcur.testing._explore.search import kind_of

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def deadlock_of(
    scenario: Callable[[], Coroutine[Any, Any, object]], backend: Backend = "asyncio"
) -> Deadlock:
    failure = explore(scenario, backend=backend).failure
    assert failure is not None
    assert isinstance(failure.error, Deadlock), repr(failure.error)
    return failure.error


def waits(error: Deadlock) -> dict[str, Waiting]:
    return {one.task: one for one in error.waiting}


class Desk:
    __slots__ = ("drawer", "lamp")

    def __init__(self) -> None:
        self.lamp = anyio.Lock()

    @property
    def dangerous(self) -> object:
        raise AssertionError("a property was run")


class Room:
    def __init__(self) -> None:
        self.door = anyio.Lock()

    @property
    def dangerous(self) -> object:
        raise AssertionError("a property was run")

    async def enter(self) -> None:
        async with self.door:
            await anyio.sleep_forever()


async def lock_twice(first: anyio.Lock, second: anyio.Lock) -> None:
    async with first:
        await anyio.lowlevel.checkpoint()
        async with second:
            pass


async def elements() -> None:
    forks = [anyio.Lock() for _ in range(2)]
    async with anyio.create_task_group() as group:
        group.start_soon(_elements, forks, 0)
        group.start_soon(_elements, forks, 1)


async def _elements(forks: list[anyio.Lock], left: int) -> None:
    async with forks[left], forks[1 - left]:
        pass


@both
def test_an_element_of_a_list_is_named_with_its_holder_and_the_cycle(backend: Backend) -> None:
    error = deadlock_of(elements, backend)
    found = waits(error)
    assert found["_elements#1"].on == "forks[1]"
    assert found["_elements#1"].holder == "_elements#2"
    assert found["_elements#2"].on == "forks[0]"
    assert found["_elements#2"].holder == "_elements#1"
    assert found["_elements#1"].operation.startswith("Lock.")
    assert "test_deadlock.py:" in found["_elements#1"].where
    assert found["_elements#1"].where.endswith("in _elements")
    assert error.cycle in (
        ("_elements#1", "_elements#2", "_elements#1"),
        ("_elements#2", "_elements#1", "_elements#2"),
    )


async def attribute() -> None:
    room = Room()
    async with anyio.create_task_group() as group:
        group.start_soon(room.enter)
        group.start_soon(room.enter)


@both
def test_an_attribute_is_named(backend: Backend) -> None:
    second = waits(deadlock_of(attribute, backend))["enter#2"]
    assert (second.on, second.holder) == ("self.door", "enter#1")


async def slot() -> None:
    desk = Desk()
    async with desk.lamp, anyio.create_task_group() as group:  # noqa: ASYNC112
        group.start_soon(_use, desk)


async def _use(desk: Desk) -> None:
    async with desk.lamp:
        pass


@both
def test_a_slot_is_named(backend: Backend) -> None:
    assert waits(deadlock_of(slot, backend))["_use#1"].on == "desk.lamp"


async def mapping() -> None:
    locks = {"a": anyio.Lock()}
    async with locks["a"], anyio.create_task_group() as group:  # noqa: ASYNC112
        group.start_soon(_take, locks)


async def _take(locks: dict[str, anyio.Lock]) -> None:
    async with locks["a"]:
        pass


@both
def test_a_value_of_a_dict_is_named(backend: Backend) -> None:
    assert waits(deadlock_of(mapping, backend))["_take#1"].on == "locks['a']"


@both
@pytest.mark.parametrize("kind", [anyio.Event, partial(anyio.Semaphore, 0), anyio.Condition])
def test_what_has_no_holder_is_named_without(kind: Callable[[], Any], backend: Backend) -> None:
    async def scenario() -> None:
        thing = kind()
        if isinstance(thing, anyio.Condition):
            async with thing:
                await thing.wait()
        elif isinstance(thing, anyio.Event):
            await thing.wait()
        else:
            await thing.acquire()

    error = deadlock_of(scenario, backend)
    (main,) = error.waiting
    assert (main.task, main.on, main.holder) == ("main", "thing", "")
    assert not error.cycle


@both
def test_a_stream_is_named(backend: Backend) -> None:
    async def scenario() -> None:
        sender, receiver = anyio.create_memory_object_stream[int](0)
        async with sender, receiver:
            await receiver.receive()

    (main,) = deadlock_of(scenario, backend).waiting
    assert main.on == "receiver"


def test_asyncios_own_locks_are_named_with_their_holders() -> None:
    async def scenario() -> None:
        first, second = asyncio.Lock(), asyncio.Lock()

        async def use(mine: asyncio.Lock, other: asyncio.Lock) -> None:
            async with mine:
                await asyncio.sleep(0)
                async with other:
                    pass

        await asyncio.gather(use(first, second), use(second, first))

    error = deadlock_of(scenario)
    found = waits(error)
    assert (found["use#1"].on, found["use#1"].holder) == ("other", "use#2")
    assert set(error.cycle) == {"use#1", "use#2"}


def test_trios_own_locks_are_named_with_their_holders() -> None:
    async def scenario() -> None:
        first, second = trio.Lock(), trio.Lock()

        async def use(mine: trio.Lock, other: trio.Lock) -> None:
            async with mine:
                await trio.lowlevel.checkpoint()
                async with other:
                    pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, first, second)
            nursery.start_soon(use, second, first)

    error = deadlock_of(scenario, "trio")
    assert waits(error)["use#1"].holder == "use#2"
    assert set(error.cycle) == {"use#1", "use#2"}


@both
def test_a_deadlock_beside_a_timeout_is_none(backend: Backend) -> None:
    async def scenario() -> None:
        with anyio.move_on_after(60):
            await anyio.sleep_forever()

    assert explore(scenario, backend=backend).ok


@both
def test_a_deadlock_is_the_kind_of_error_on_both(backend: Backend) -> None:
    assert kind_of(deadlock_of(elements, backend)) is Deadlock
