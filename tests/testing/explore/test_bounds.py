"""A bound covers exactly the schedules that it says: compared with an enumeration by brute force.

The model here shares nothing with the explorer. It knows small programs of tasks that yield, wait
for each other and schedule callbacks; it walks through every sequence of steps that the rules in
``explore``'s docstring allow, and counts by itself how often each departs from the two orders.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
import trio

from aconcur.testing import explore

Program = tuple[tuple[str, ...], ...]
"""For each task its operations: ``yield``, ``soon`` (a callback), ``set x``, ``wait x``."""

PROGRAMS: dict[str, Program] = {
    "two tasks of two steps": (("yield",), ("yield",)),
    "three tasks": (("yield",), (), ("yield",)),
    "two tasks of three steps": (("yield", "yield"), ("yield", "yield")),
    "a callback": (("soon", "yield"), ("yield",)),
    "two callbacks": (("soon", "yield", "soon"), ("soon", "yield")),
    "a task that waits": (("wait x", "yield"), ("yield", "set x", "yield")),
    "a wait and a callback": (("wait x",), ("soon", "set x", "yield"), ("yield",)),
}


@dataclass(frozen=True)
class State:
    """One moment of a run: what is ready, in the order of arrival, and what was done."""

    program: Program
    queue: tuple[str, ...]
    at: tuple[int, ...]
    set: frozenset[str] = frozenset()
    waiting: tuple[tuple[str, str], ...] = ()
    log: tuple[str, ...] = ()
    last: str = ""
    fresh: frozenset[int] = field(default=frozenset())
    """Positions in the queue of callbacks that were pending when the last task had gone on."""
    departures: tuple[int, int] = (0, 0)
    """From the loop's own order, and from the base order."""

    def candidates(self) -> list[int]:
        """Return positions: tasks before the first callback, and that callback."""
        found = []
        for position, name in enumerate(self.queue):
            found.append(position)
            if name.startswith("callback"):
                break
        return found

    def base(self) -> int:
        """Return the position that the base order takes."""
        candidates = self.candidates()
        callback = [p for p in candidates if self.queue[p].startswith("callback")]
        if callback and callback[0] in self.fresh:
            return callback[0]
        running = [p for p in candidates if self.queue[p] == self.last]
        tasks = [p for p in candidates if p not in callback]
        return [*running, *tasks, *callback][0]

    def step(self, position: int) -> State:
        name = self.queue[position]
        fifo, base = self.departures
        if len(self.candidates()) > 1:
            fifo, base = fifo + (position != 0), base + (position != self.base())
        left = self.queue[:position] + self.queue[position + 1 :]
        still = frozenset(p - (p > position) for p in self.fresh if p != position)
        after = replace(
            self, queue=left, fresh=still, departures=(fifo, base), log=(*self.log, name)
        )
        if name.startswith("callback"):
            return after
        after = replace(after.run(int(name)), last=name)
        pending = [p for p, one in enumerate(after.queue) if one.startswith("callback")]
        return replace(after, fresh=frozenset(pending))

    def run(self, task: int) -> State:
        state, name = self, str(task)
        operations = self.program[task]
        while state.at[task] < len(operations):
            operation, _, thing = operations[state.at[task]].partition(" ")
            state = replace(state, at=(*state.at[:task], state.at[task] + 1, *state.at[task + 1 :]))
            if operation == "yield":
                return replace(state, queue=(*state.queue, name))
            if operation == "soon":
                state = replace(state, queue=(*state.queue, f"callback of {name}"))
            elif operation == "set":
                woken = tuple(one for one, what in state.waiting if what == thing)
                left = tuple(pair for pair in state.waiting if pair[1] != thing)
                queue = (*state.queue, *woken)
                state = replace(state, queue=queue, waiting=left, set=state.set | {thing})
            elif thing not in state.set:
                return replace(state, waiting=(*state.waiting, (name, thing)))
        return state


def every_run(program: Program) -> Iterator[State]:
    names = tuple(map(str, range(len(program))))
    states = [State(program, names, (0,) * len(program))]
    while states:
        state = states.pop()
        if not state.queue:
            yield state
        states += [state.step(position) for position in state.candidates()]


def on_asyncio(program: Program, seen: list[tuple[str, ...]]) -> object:
    async def scenario() -> None:
        log: list[str] = []
        loop = asyncio.get_running_loop()
        things = {
            operation[-1]: loop.create_future()
            for operations in program
            for operation in operations
            if operation.startswith(("set", "wait"))
        }
        left = len(program)
        over = loop.create_future()

        async def work(number: int) -> None:
            nonlocal left
            log.append(str(number))
            for operation in program[number]:
                if operation == "yield":
                    await asyncio.sleep(0)
                    log.append(str(number))
                elif operation == "soon":
                    loop.call_soon(log.append, f"callback of {number}")
                elif operation.startswith("set"):
                    things[operation[-1]].set_result(None)
                elif not (thing := things[operation[-1]]).done():
                    await thing
                    log.append(str(number))
            left -= 1

        tasks = [asyncio.create_task(work(number)) for number in range(len(program))]
        # Not awaited: the end of main is a timer's, so that only these tasks are ready before.
        loop.call_later(1, over.set_result, None)
        await over
        assert all(task.done() for task in tasks)
        assert not left
        seen.append(tuple(log))

    return scenario


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("bound", [0, 1, 2, 3])
def test_a_bound_covers_what_departs_so_often_from_one_of_both_orders(
    name: str, bound: int
) -> None:
    program = PROGRAMS[name]
    expected = {
        run.log
        for run in every_run(program)
        if run.departures[0] <= max(bound - 1, 0) or run.departures[1] <= bound
    }
    seen: list[tuple[str, ...]] = []
    found = explore(on_asyncio(program, seen), bound=bound).check()  # type: ignore[arg-type]
    assert set(seen) == expected
    assert found.completed == bound


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_search_without_a_bound_runs_every_schedule_of_a_small_scenario(name: str) -> None:
    program = PROGRAMS[name]
    seen: list[tuple[str, ...]] = []
    found = explore(on_asyncio(program, seen)).check()  # type: ignore[arg-type]
    assert set(seen) == {run.log for run in every_run(program)}
    assert found.exhausted


def test_the_loops_own_order_comes_first_at_every_bound_and_strategy() -> None:
    for name, program in PROGRAMS.items():
        own: list[tuple[str, ...]] = []
        asyncio.run(on_asyncio(program, own)())  # type: ignore[operator]
        for bound in (0, 1, 2, None):
            seen: list[tuple[str, ...]] = []
            explore(on_asyncio(program, seen), bound=bound, schedules=1)  # type: ignore[arg-type]
            assert seen[0] == own[0], name


def test_trios_batches_from_either_end_are_among_those_of_bound_0() -> None:
    async def scenario() -> None:
        log: list[str] = []

        async def work(name: str) -> None:
            for _ in range(3):
                log.append(name)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for name in "ab":
                nursery.start_soon(work, name)
        seen.add("".join(log))

    seen: set[str] = set()
    explore(scenario, backend="trio", bound=0).check()
    # A batch is what was ready when it began; b comes first in the next after it ran first.
    assert {"ababab", "baabba"} <= seen
