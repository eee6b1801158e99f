"""Run a scenario under many schedules, and one again."""

from __future__ import annotations

__all__ = (
    "Backend",
    "Scenario",
    "Strategy",
    "explore",
    "replay",
    "replay_one",
    "search",
)

import gc
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from inspect import iscoroutine, iscoroutinefunction
from typing import Any, Literal, Protocol, TypeAlias

from aconcur.errors import MissingRequirementError
from aconcur.testing._arguments import refuse_arguments
from aconcur.testing._explore import search as _search
from aconcur.testing._explore.errors import Livelock, NotReproducibleError
from aconcur.testing._explore.inline_threads import calls_inline
from aconcur.testing._explore.report import Exploration, FailedSchedule
from aconcur.testing._explore.schedule import Choices, Deviations, read_token, write_token
from aconcur.testing._explore.trace import Recorder, Step, busiest
from aconcur.testing._isolation import no_collections, refuse_in_a_loop

Scenario: TypeAlias = Callable[[], Awaitable[object]]
Backend: TypeAlias = Literal["asyncio", "trio"]
Strategy: TypeAlias = Literal["bounded", "random", "pct"]

# Schedules between two collections: garbage in cycles would else be found at any moment, and what
# its finalizers do would change the schedule. All of it is young, for the collector is off.
_COLLECT = 250


_DRIVERS = {"asyncio": "asyncio_loop", "trio": "trio_runner"}


class Driver(Protocol):
    """Runs a scenario once under choices; returns the error that it ended with."""

    def __call__(
        self, choices: Choices, recorder: Recorder | None = None, /
    ) -> BaseException | None: ...


def explore(
    scenario: Scenario,
    *,
    backend: Backend = "asyncio",
    strategy: Strategy = "bounded",
    bound: int = 2,
    schedules: int = 20_000,
    seed: int = 0,
    depth: int = 3,
    max_steps: int = 10_000,
    keep_going: bool = False,
) -> Exploration:
    """Run a scenario under every order of wake-ups within a bound, and report what fails.

    A scenario is an async function without arguments that makes all it uses, lets tasks run
    against each other, and raises if something is wrong, most easily by ``assert``. It runs once
    for each schedule, from the start, on a loop with virtual time. It fails if it raises, if all
    its tasks wait for ever (:exc:`Deadlock`) or if it does not end (:exc:`Livelock`)::

        async def two_withdrawals():
            account = Account(100)
            async with anyio.create_task_group() as group:
                group.start_soon(account.withdraw, 80)
                group.start_soon(account.withdraw, 80)
            assert account.balance >= 0

        explore(two_withdrawals).check()

    The base order lets a task run on until it blocks. ``"bounded"`` runs every schedule that
    deviates from it at most ``bound`` times, the fewest deviations first, each schedule once; most
    bugs need one or two. ``"random"`` and ``"pct"`` draw ``schedules`` of them by lot, for
    scenarios with too many.

    Only the order of tasks is explored. What a thread is asked to do (``to_thread``,
    ``run_in_executor``) runs as one step, so it cannot wait for the loop: the result of
    ``run_coroutine_threadsafe``, an event that ``call_soon_threadsafe`` is to set,
    ``anyio.from_thread`` and ``trio.from_thread`` raise :exc:`CallIntoLoopError` there. To wait for
    the loop by other means, such as a lock or :class:`queue.Queue`, hangs. Sockets, pipes and
    processes raise :exc:`RealInputOutputError`. asyncio promises to call what is ready first in,
    first out: a schedule that it would not choose by itself stands for input that comes at any
    moment.

    **Timers are no choice.** Time passes only when no task is ready, and timers of one moment fire
    in a fixed order, though the tasks that they wake go on in any: a timeout never races a task
    that could go on, so what breaks only when it strikes early is not found here.
    :func:`cancel_everywhere` lets it strike at every step.

    Args:
        scenario: the async function.
        backend: what it runs on. One that uses anyio alone can run on both.
        strategy: how schedules are chosen.
        bound: the most deviations of a schedule, for ``"bounded"`` alone.
        schedules: the most schedules to run: with ``"bounded"`` a limit that may not be reached,
            with ``"random"`` and ``"pct"``, which have no end of their own, the number.
        seed: what ``"random"`` and ``"pct"`` draw by; ``"bounded"`` does not look at it.
        depth: how many ordered events a bug needs, for ``"pct"`` alone.
        max_steps: the most steps of one run: more are a livelock.
        keep_going: go on after a failure, to count them.

    Returns:
        What was run and what failed. To look at it or to print it checks nothing: ``.check()``
        raises the error.

    Raises:
        TypeError: the scenario is not an async function, or takes arguments.
        ValueError: a number is out of its range, or a name is none of those known.
        NotReproducibleError: the scenario does not depend on its schedule alone.
        MissingRequirementError: trio is asked for and not installed.
        RuntimeError: an event loop runs in this thread.

    Cost: about 0.15 ms a schedule of two short tasks on asyncio, 0.7 ms on trio
    (``python -m benchmarks.costs_of_testing``).
    """
    driver = _driver(scenario, backend)
    with _undisturbed(backend):
        return search(
            driver,
            backend=backend,
            strategy=strategy,
            bound=bound,
            schedules=schedules,
            seed=seed,
            depth=depth,
            max_steps=max_steps,
            keep_going=keep_going,
        )


def replay(
    scenario: Scenario, token: str, *, backend: Backend = "asyncio", max_steps: int = 10_000
) -> Exploration:
    """Run the one schedule that a token names.

    Args:
        scenario: the async function that the token came from.
        token: what a failure printed: ``1=1,9=2``.
        backend: as in :func:`explore`; a token of the other one fits too.
        max_steps: as in :func:`explore`.

    Raises:
        ValueError: the token cannot be read.
        NotReproducibleError: the scenario has no such schedule.
    """
    forced = read_token(token)
    driver = _driver(scenario, backend)
    with _undisturbed(backend):
        return replay_one(driver, forced, backend=backend, max_steps=max_steps)


def search(
    driver: Driver,
    *,
    backend: str,
    strategy: Strategy,
    bound: int,
    schedules: int,
    seed: int,
    depth: int,
    max_steps: int,
    keep_going: bool,
) -> Exploration:
    """Search with any driver: the common part for tasks and threads."""
    for name, value, least in (
        ("bound", bound, 0),
        ("schedules", schedules, 1),
        ("depth", depth, 1),
        ("max_steps", max_steps, 1),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    runs: Iterator[_search.Result]
    if strategy == "bounded":
        runs = _search.bounded(driver, bound, max_steps)
    elif strategy == "random":
        runs = _search.uniform(driver, seed, max_steps)
    elif strategy == "pct":
        runs = _search.pct(driver, seed, depth, max_steps)
    else:
        raise ValueError(f"strategy must be 'bounded', 'random' or 'pct', not {strategy!r}")
    start = time.perf_counter()
    count = failed = steps = 0
    first: tuple[Choices, BaseException, int] | None = None
    exhausted = False
    while count < schedules and (keep_going or first is None):
        choices, error = next(runs, (None, None))
        if choices is None:
            exhausted = True
            break
        count += 1
        steps += choices.steps
        if count % _COLLECT == 0:
            gc.collect(0)
        if isinstance(error, NotReproducibleError):
            raise error
        if error is not None:
            failed += 1
            first = first or (choices, error, count)
    return Exploration(
        backend=backend,
        strategy=strategy,
        bound=bound if strategy == "bounded" else None,
        schedules=count,
        failed=failed,
        steps=steps,
        seconds=time.perf_counter() - start,
        exhausted=exhausted,
        failure=_explain(driver, first, max_steps) if first else None,
    )


def replay_one(driver: Driver, forced: Deviations, *, backend: str, max_steps: int) -> Exploration:
    """Run one schedule with any driver."""
    start = time.perf_counter()
    choices = Choices(forced, max_steps=max_steps)
    error, steps = _record(driver, choices)
    if isinstance(error, NotReproducibleError):
        raise error
    failure = _failure(choices, error, steps, 1) if error is not None else None
    return Exploration(
        backend=backend,
        strategy="replay",
        bound=None,
        schedules=1,
        failed=int(failure is not None),
        steps=choices.steps,
        seconds=time.perf_counter() - start,
        exhausted=False,
        failure=failure,
    )


def _explain(
    driver: Driver, first: tuple[Choices, BaseException, int], max_steps: int
) -> FailedSchedule:
    """Shrink a failure and run it once more, watched."""
    choices, error, found_at = first
    deviations = _search.shrink(driver, choices.deviations, error, max_steps)
    again = Choices(deviations, max_steps=max_steps)
    seen, steps = _record(driver, again)
    if seen is None or _search.kind_of(seen) is not _search.kind_of(error):
        raise NotReproducibleError(len(again.taken), 1, 0) from error
    return _failure(again, seen, steps, found_at)


def _record(driver: Driver, choices: Choices) -> tuple[BaseException | None, tuple[Step, ...]]:
    recorder = Recorder()
    error = driver(choices, recorder)
    if error is None:
        error = choices.missed()
    if isinstance(error, Livelock):
        error = Livelock(error.steps, busiest(recorder.steps))
    return error, tuple(recorder.steps)


def _failure(
    choices: Choices, error: BaseException, steps: tuple[Step, ...], found_at: int
) -> FailedSchedule:
    deviations = choices.deviations
    return FailedSchedule(error, write_token(deviations), len(deviations), found_at, steps)


def _driver(scenario: Scenario, backend: str) -> Driver:
    """Return what runs the scenario on the back-end."""
    main = _coroutine_function(scenario)
    if backend not in ("asyncio", "trio"):
        raise ValueError(f"backend must be 'asyncio' or 'trio', not {backend!r}")
    if find_spec(backend) is None:
        raise MissingRequirementError(backend, "pip install 'aconcur[trio]'")
    module = import_module(f"aconcur.testing._explore.{_DRIVERS[backend]}")
    return partial(module.run, main)


def _coroutine_function(scenario: Scenario) -> Callable[[], Coroutine[Any, Any, object]]:
    refuse_arguments(scenario)
    if iscoroutinefunction(getattr(scenario, "func", scenario)):
        return scenario  # type: ignore[return-value]
    made = scenario() if callable(scenario) else None
    if not iscoroutine(made):
        raise TypeError(f"scenario must be an async function without arguments, not {scenario!r}")
    made.close()

    async def call() -> object:
        return await scenario()

    return call


@contextmanager
def _undisturbed(backend: str) -> Iterator[None]:
    """Keep out what no schedule decides: real threads, collections of garbage, another loop."""
    refuse_in_a_loop("explore")
    with no_collections(), calls_inline(backend):
        yield
