"""``explore()`` and ``replay()``: run an async scenario under many schedules, or one again."""

from __future__ import annotations

__all__ = ("Backend", "Driver", "Scenario", "Strategy", "explore", "replay", "replay_one", "search")

import gc
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from inspect import iscoroutine, iscoroutinefunction
from time import perf_counter
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

from aconcur.errors import MissingRequirementError
from aconcur.testing._arguments import refuse_arguments
from aconcur.testing._explore.environment import Environment, prepared
from aconcur.testing._explore.errors import (
    BackgroundError,
    Livelock,
    NotReproducibleError,
    Reported,
    UncontrolledError,
)
from aconcur.testing._explore.report import Exploration, FailedSchedule
from aconcur.testing._explore.schedule import (
    TIMERS,
    Order,
    Schedule,
    Timers,
    read_token,
    write_token,
)
from aconcur.testing._explore.search import Bounded, Result, kind_of, mixed, pct, shrink, uniform
from aconcur.testing._explore.trace import Recorder, Step, StepLog, busiest

Scenario: TypeAlias = Callable[[], Awaitable[object]]
Backend: TypeAlias = Literal["asyncio", "trio"]
Strategy: TypeAlias = Literal["mixed", "bounded", "random", "pct"]

_DRIVERS: Final = {"asyncio": "asyncio_loop", "trio": "trio_runner"}
_ORDERS: Final[dict[str, tuple[Order, ...]]] = {
    "asyncio": ("fifo", "run-on"),
    "trio": ("fifo", "reversed", "run-on"),
    "threads": ("run-on",),
}

# Without bound= and seconds= the search completes this bound, if `schedules` allows, and then goes
# on for as long: so what a test is sure to run does not depend on the machine. Most published races
# need one or two deviations.
_SURE: Final = 2
_GOES_ON: Final = 1.0
# Seconds that shrinking may take: at least this, and not much longer than the search. A guess.
_SHRINK: Final = 2.0
# Schedules between two collections: garbage in cycles would else be found at any moment, and what
# its finalizers do would change the schedule. All of it is young, for the collector is off.
_COLLECT: Final = 250
# Schedules until the first one is run again, to see whether runs are reproducible; each time twice
# as many.
_AGAIN: Final = 1


class Driver(Protocol):
    """Runs a scenario once under a schedule; returns the error that it ended with."""

    def __call__(self, schedule: Schedule, recorder: Any = None, /) -> BaseException | None: ...


def explore(
    scenario: Scenario,
    *,
    backend: Backend = "asyncio",
    strategy: Strategy | None = None,
    bound: int | None = None,
    schedules: int = 20_000,
    seconds: float | None = None,
    seed: int = 0,
    depth: int = 3,
    max_steps: int = 10_000,
    keep_going: bool = False,
    allow: Iterable[Reported] = (),
    timers: Timers = "timeouts",
) -> Exploration:
    """Run a scenario under many orders of its tasks' steps, and report the first that fails.

    A scenario is an async function without arguments that makes all it uses, lets tasks run
    against each other, and raises if something is wrong, most easily by ``assert``. It runs once
    for each schedule, from the start, on a loop with virtual time. It fails if it raises, if all
    its tasks wait for ever (:exc:`Deadlock`), if it does not end (:exc:`Livelock`), or if it leaves
    an error or a task behind that nothing has noticed (:exc:`BackgroundError`)::

        async def two_withdrawals():
            account = Account(100)
            async with anyio.create_task_group() as group:
                group.start_soon(account.withdraw, 80)
                group.start_soon(account.withdraw, 80)
            assert account.balance >= 0

        explore(two_withdrawals).check()

    **Which schedules.** A schedule is a sequence of steps: each is one task's way from an await to
    the next, or one callback. Whatever is ready may go next, except that callbacks keep their order
    among themselves and no task overtakes a callback that was pending before it became ready. (For
    timers see below.) Bound n covers every such sequence that departs at most n times from the
    *base order*, in which pending callbacks and then the task that ran last go first (a task at
    most 20 steps in a row), or at most n - 1 times from the *loop's own order*: first ready, first
    run; on trio each batch from its first task, or each from its last. The loop's own order itself
    is among the schedules at every bound. Two kinds of callbacks run at once in the base order,
    without a choice: those by which task groups, ``gather`` and ``wait`` note a task that ended
    well, and anyio's repetitions of a cancellation. A test compares this set with all sequences of
    small scenarios, enumerated independently.

    **How far.** Without ``bound=`` the search runs bounds 0, 1, 2, 3 … and from bound 2 on also
    draws schedules at random in between (``strategy="mixed"``). It ends when every schedule was
    run, after ``schedules``, or one second after it began if bound 2 is complete by then. The
    result says which bound is complete. With ``bound=`` exactly that bound is run.

    **What is controlled.** The order of steps, and time: the loop's, that of :mod:`time`, and the
    "now" of :mod:`datetime`. A call for a thread (``to_thread``, ``run_in_executor``) runs as one
    step, so it cannot wait for the loop: the result of ``run_coroutine_threadsafe``,
    ``anyio.from_thread`` and ``trio.from_thread`` raise :exc:`CallIntoLoopError` there. Sockets,
    pipes, signals and processes raise :exc:`RealInputOutputError`; a thread of the scenario's own
    on which tasks depend is an :exc:`UncontrolledWaitError`. Each of these is the result of the
    run, whatever the scenario makes of the exception. Random numbers, state kept in modules and
    the order of sets are not controlled, but noticed: the first schedule is run again now and then
    and at the end, and must take the same steps. asyncio promises to call what is ready first in,
    first out: a schedule that it would not choose by itself stands for input that comes at any
    moment.

    **Timers.** Time moves to the next timer when no task is ready. Besides, a step may take long in
    reality: so where tasks are ready, a schedule may let the next timer strike all the same, as one
    deviation. ``timers="timeouts"``, the default, does so with timeouts, cancel scopes and
    ``call_later``. Sleeps (``asyncio.sleep``, ``anyio.sleep``, ``trio.sleep``, and timers that
    only set a future or an event) pass in their time, for tests use them to let others go first;
    a timer that comes after a sleep waits for it. ``"explore"`` lets sleeps strike early, too: for
    debouncing, polling and back-off written with them. ``"idle"`` lets none. Timers keep their
    order among themselves. A run in which a timer has struck early has not failed if it ends with
    the TimeoutError of that timeout (or a library's error for it): that is what the timeout is for;
    nor if an assertion fails in a function that has read a clock since, because the time that such
    a run measures says nothing.

    Args:
        scenario: the async function.
        backend: what it runs on. One that uses anyio alone can run on both.
        strategy: ``"mixed"``, ``"bounded"`` (systematic only), ``"random"`` or ``"pct"``. By
            default ``"mixed"``, and ``"bounded"`` if ``bound=`` is given.
        bound: the most deviations of a schedule.
        schedules: the most schedules to run; with ``"random"`` and ``"pct"``, which have no end of
            their own, the number.
        seconds: the most real seconds to search. None: see above; with ``bound=``, ``"random"`` or
            ``"pct"`` no limit.
        seed: makes the random schedules reproducible.
        depth: how many ordered events a bug needs, for ``"pct"`` and ``"mixed"``.
        max_steps: the most steps of one run, of tasks and callbacks together: more are a livelock.
        keep_going: go on after a failure, to count them.
        allow: reports that do not fail a run: any of ``"callback error"``, ``"task error"`` and
            ``"future error"`` (an exception that no caller received), ``"task left"``,
            ``"generator left"``, ``"resource"`` (a ResourceWarning) and ``"other"``. A loop's
            exception handler that the scenario sets receives such errors instead.
        timers: ``"timeouts"``, ``"explore"`` or ``"idle"``: which may strike while tasks are ready.

    Returns:
        What was run and what failed. Looking at it or printing it checks nothing: ``.check()``
        raises the error.

    Raises:
        TypeError: the scenario is not an async function, or takes arguments.
        ValueError: a number is out of its range, or a name is unknown.
        NotReproducibleError: the scenario does not depend on its schedule alone.
        MissingRequirementError: trio is asked for and not installed.
        RuntimeError: an event loop runs in this thread.

    **Interrupted** by Ctrl-C: the run is cancelled and its loop closed. While a failure is being
    shrunk, Ctrl-C ends the shrinking and the failure is reported as it is then.

    Cost: about 0.15 ms a schedule of two short tasks on asyncio, 0.7 ms on trio
    (``python -m benchmarks.costs_of_testing``). Shrinking a failure takes 2 seconds at most, or as
    long as it took to find.
    """
    check_backend(backend)
    if timers not in TIMERS:
        raise ValueError(f"timers must be 'timeouts', 'explore' or 'idle', not {timers!r}")
    with prepared(backend, _known(allow)) as environment:
        driver = _driver(scenario, backend, environment)
        return search(
            driver,
            backend=backend,
            strategy=strategy or ("mixed" if bound is None else "bounded"),
            bound=bound,
            schedules=schedules,
            seconds=seconds,
            seed=seed,
            depth=depth,
            max_steps=max_steps,
            keep_going=keep_going,
            environment=environment,
            timers=timers,
        )


def replay(
    scenario: Scenario,
    token: str,
    *,
    backend: Backend = "asyncio",
    max_steps: int = 10_000,
    allow: Iterable[Reported] = (),
) -> Exploration:
    """Run the one schedule that a token names.

    Args:
        scenario: the async function that the token came from.
        token: what a failure printed: ``1=1,9=2`` or ``fifo,4=1``.
        backend: as in :func:`explore`; a token of the other one fits too.
        max_steps: as in :func:`explore`.
        allow: as in :func:`explore`.

    Raises:
        ValueError: the token cannot be read.
        NotReproducibleError: the scenario has no such schedule.
    """
    order, forced, timers = read_token(token)
    check_backend(backend)
    with prepared(backend, _known(allow)) as environment:
        driver = _driver(scenario, backend, environment)
        schedule = Schedule(forced, max_steps=max_steps, order=order, timers=timers)
        return replay_one(driver, schedule, backend=backend)


def search(
    driver: Driver,
    *,
    backend: str,
    strategy: Strategy,
    bound: int | None,
    schedules: int,
    seconds: float | None,
    seed: int,
    depth: int,
    max_steps: int,
    keep_going: bool,
    environment: Environment | None = None,
    timers: Timers = "timeouts",
) -> Exploration:
    """Search with any driver: the common part for tasks and threads.

    Given an environment, the first schedule is run again to see whether runs are reproducible, and
    resource warnings that a collection of garbage brings up fail the exploration.
    """
    _check_numbers(
        bound=bound, schedules=schedules, depth=depth, max_steps=max_steps, seconds=seconds
    )
    one = _Search(driver, backend, max_steps, environment, timers)
    runs = one.results(strategy, bound, seed, depth)
    one.run(runs, schedules, bound, seconds, keep_going=keep_going)
    exhaustive = strategy in ("mixed", "bounded")
    return Exploration(
        backend=backend,
        strategy=strategy,
        bound=bound if exhaustive else None,
        schedules=one.count,
        failed=one.failed,
        steps=one.steps,
        seconds=perf_counter() - one.start,
        exhausted=exhaustive and (one.bounded.exhausted or (one.ended and bound is not None)),
        failure=one.explain() if one.first else None,
        completed=one.bounded.completed if exhaustive else None,
    )


class _Search:
    """One search: counts what it runs and keeps the first failure."""

    def __init__(
        self,
        driver: Driver,
        backend: str,
        max_steps: int,
        environment: Environment | None,
        timers: Timers,
    ) -> None:
        self._driver, self._backend, self._max_steps = driver, backend, max_steps
        self._environment, self._timers = environment, timers
        self._log: StepLog | None = None
        self._first_error: BaseException | None = None
        self.bounded = Bounded(self._run, None, _ORDERS[backend], max_steps, timers)
        self.start = perf_counter()
        self.count = self.failed = self.steps = 0
        self.first: tuple[Schedule, BaseException, int] | None = None
        self.ended = False
        self._in_garbage = False

    def results(self, strategy: str, bound: int | None, seed: int, depth: int) -> Iterator[Result]:
        """Return the runs of a strategy.

        Raises:
            ValueError: there is no such strategy.
        """
        steps, timers = self._max_steps, self._timers
        self.bounded = Bounded(self._run, bound, _ORDERS[self._backend], steps, timers)
        if strategy == "mixed":
            return mixed(self.bounded, self._run, seed, depth, steps, timers)
        if strategy == "bounded":
            return iter(self.bounded)
        if strategy == "random":
            return uniform(self._run, seed, steps, timers)
        if strategy == "pct":
            return pct(self._run, seed, depth, steps, timers)
        raise ValueError(
            f"strategy must be 'mixed', 'bounded', 'random' or 'pct', not {strategy!r}"
        )

    def _run(self, schedule: Schedule) -> BaseException | None:
        if self._environment is None or self._log is not None:
            return self._driver(schedule)
        self._log = StepLog()
        self._first_error = self._driver(schedule, self._log)
        return self._first_error

    def run(
        self,
        runs: Iterator[Result],
        schedules: int,
        bound: int | None,
        seconds: float | None,
        *,
        keep_going: bool,
    ) -> None:
        """Run until the schedules, the time or the budget end, or one fails."""
        again, first_schedule = _AGAIN, None
        while self.count < schedules and (keep_going or self.first is None):
            result = next(runs, None)
            if result is None:
                self.ended = True
                break
            schedule, error, new = result
            first_schedule = first_schedule or schedule
            self.steps += schedule.steps
            if isinstance(error, NotReproducibleError):
                raise error
            if new:
                self.count += 1
                if error is not None:
                    self._failed(schedule, error)
                elif self.count == 1 or self.count % _COLLECT == 0:
                    self._collect(schedule)
                if error is None and self.count == again:
                    self._repeat(first_schedule)
                    again *= 8
            if self._is_over(bound, seconds):
                break
        if self.first is None and first_schedule is not None and self.count > 1:
            self._repeat(first_schedule)

    def _is_over(self, bound: int | None, seconds: float | None) -> bool:
        if seconds is not None:
            return perf_counter() - self.start >= seconds
        return (
            bound is None
            and (self.bounded.completed or 0) >= _SURE
            and perf_counter() - self.start >= _GOES_ON
        )

    def _failed(self, schedule: Schedule, error: BaseException) -> None:
        self.failed += 1
        self.first = self.first or (schedule, error, self.count)

    def _collect(self, schedule: Schedule) -> None:
        """Collect garbage between two runs; what it warns of came from one of those before."""
        gc.collect(0)
        if self._environment is not None:
            kept = self._environment.allow
            reports = [one for one in self._environment.take_reports() if one.kind not in kept]
            if reports:
                self._in_garbage = self.first is None
                self._failed(schedule, BackgroundError(tuple(reports)))

    def _repeat(self, first: Schedule) -> None:
        """Run the first schedule again.

        Raises:
            NotReproducibleError: it does not take the same steps.
        """
        if self._log is None:
            return
        log = StepLog()
        again = Schedule(
            first.deviations,
            max_steps=self._max_steps,
            order=first.order,
            timers=first.timers,
        )
        error = self._driver(again, log)
        parting = self._log.parting(log)
        if parting is not None:
            number, before, now = parting
            where = f"step {number} of the first schedule was {before}, and is {now} when run again"
            raise NotReproducibleError(number, 0, 0, where)
        if type(error) is not type(self._first_error):
            where = f"the first schedule passed, and ends with {error!r} when run again"
            raise NotReproducibleError(len(log.steps), 0, 0, where) from error

    def explain(self) -> FailedSchedule:
        """Shrink the first failure and run it once more, watched.

        Raises:
            NotReproducibleError: the schedule does not fail when it is run again.
        """
        assert self.first is not None
        schedule, error, found_at = self.first
        if isinstance(error, UncontrolledError) or self._in_garbage:
            return self._watched_once(schedule, error, found_at)
        seconds = max(_SHRINK, perf_counter() - self.start)
        deviations = shrink(
            self._driver, schedule, error, seconds=seconds, progress=_progress_on_terminal()
        )
        again = Schedule(
            deviations,
            max_steps=self._max_steps,
            order=schedule.order,
            timers=schedule.timers,
        )
        seen, steps = _record(self._driver, again)
        if seen is None or kind_of(seen) is not kind_of(error):
            where = (
                f"schedule {found_at} failed with {error!r}, and "
                f"{'passes' if seen is None else f'fails with {seen!r}'} when run again"
            )
            raise NotReproducibleError(len(again.taken), 1, 0, where) from error
        return _failure(again, seen, steps, found_at)

    def _watched_once(
        self, schedule: Schedule, error: BaseException, found_at: int
    ) -> FailedSchedule:
        """Return the failure without shrinking it: another run may end in another way."""
        again = Schedule(
            schedule.deviations,
            max_steps=self._max_steps,
            order=schedule.order,
            lenient=True,
            timers=schedule.timers,
        )
        seen, steps = _record(self._driver, again)
        same = seen is not None and kind_of(seen) is kind_of(error)
        return _failure(again, error, steps if same else (), found_at)


def _progress_on_terminal() -> Callable[[int], None]:
    """Return what shows how many deviations are left, where a person waits for it."""
    start = perf_counter()

    def show(left: int) -> None:
        if sys.stderr is not None and sys.stderr.isatty() and perf_counter() - start > 1:
            sys.stderr.write(f"shrinking the failure: {left} deviations left (Ctrl-C to stop)\n")

    return show


def replay_one(driver: Driver, schedule: Schedule, *, backend: str) -> Exploration:
    """Run one schedule with any driver."""
    start = perf_counter()
    error, steps = _record(driver, schedule)
    if isinstance(error, NotReproducibleError):
        raise error
    failure = _failure(schedule, error, steps, 1) if error is not None else None
    return Exploration(
        backend=backend,
        strategy="replay",
        bound=None,
        schedules=1,
        failed=int(failure is not None),
        steps=schedule.steps,
        seconds=perf_counter() - start,
        exhausted=False,
        failure=failure,
    )


def _record(driver: Driver, schedule: Schedule) -> tuple[BaseException | None, tuple[Step, ...]]:
    recorder = Recorder()
    error = driver(schedule, recorder)
    if error is None:
        error = schedule.missed()
    if isinstance(error, Livelock):
        error = Livelock(error.steps, busiest(recorder.steps))
    return error, tuple(recorder.steps)


def _failure(
    schedule: Schedule, error: BaseException, steps: tuple[Step, ...], found_at: int
) -> FailedSchedule:
    deviations = schedule.deviations
    token = write_token(schedule.order, deviations, schedule.timers)
    return FailedSchedule(error, token, len(deviations), found_at, steps, schedule.order)


def _check_numbers(
    *, bound: int | None, schedules: int, depth: int, max_steps: int, seconds: float | None
) -> None:
    limits: Sequence[tuple[str, float | None, int]] = (
        ("bound", bound, 0),
        ("schedules", schedules, 1),
        ("depth", depth, 1),
        ("max_steps", max_steps, 1),
    )
    for name, value, least in limits:
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    if seconds is not None and not seconds > 0:
        raise ValueError(f"seconds must be more than 0, not {seconds}")


def _known(allow: Iterable[Reported]) -> Collection[Reported]:
    if isinstance(allow, str):
        raise TypeError(f"allow must be a tuple of words, like ({allow!r},), not {allow!r}")
    words = frozenset(allow)
    for word in words:
        if word not in get_args(Reported):
            raise ValueError(
                f"allow must hold words of {', '.join(map(repr, get_args(Reported)))}, not {word!r}"
            )
    return words


def _driver(scenario: Scenario, backend: str, environment: Environment) -> Driver:
    """Return what runs the scenario on the back-end."""
    main = _coroutine_function(scenario)
    module = import_module(f"aconcur.testing._explore.{_DRIVERS[backend]}")
    return partial(module.run, main, environment)


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


def check_backend(backend: str) -> None:
    """Raise for a back-end that is unknown or not installed."""
    if backend not in _DRIVERS:
        raise ValueError(f"backend must be 'asyncio' or 'trio', not {backend!r}")
    if find_spec(backend) is None:
        raise MissingRequirementError(backend, "pip install 'aconcur[trio]'")
