"""A stage of a run: what its workers share, and the account of the items.

Rule 1: workers stay for the whole run; there is no task for an item.
Rule 2: time is counted where a worker waits, never where it works: clocks are read only when a
worker parks, and how many items a stage holds follows from how many workers wait.
Rule 3: in = out + filtered + failed + cancelled + inside holds wherever another task, or the
stage's own function, can look.
"""

from __future__ import annotations

__all__ = ("Call", "Histogram", "Limit", "Sampled", "Stage", "StageTracker")

import time
from collections import Counter
from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Hashable,
    Iterable,
    Sequence,
)
from math import frexp, ldexp
from time import perf_counter
from types import coroutine
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, final

import anyio

from aconcur._core.generators import close_iterator
from aconcur._core.wait_queue import Waiter, yield_to_others
from aconcur.pipeline._buffer import DROPPED, END, Buffer, HandoverBuffer
from aconcur.pipeline._callers import in_threads
from aconcur.pipeline._errors import Failure, own_cancellation
from aconcur.pipeline._limiter import AnyLimiter, Limiter, Weight
from aconcur.pipeline._report import Latency, StageReport
from aconcur.pipeline._sources.source import Input, QueueSource
from aconcur.pipeline._spec import THREADS, Spec
from aconcur.pipeline._timeouts import Deadlines
from aconcur.pipeline._turns import Turns

Call: TypeAlias = Callable[[Any], Awaitable[Any]]
# Results of one item between two yields to other tasks.
_STRIDE: Final = 127
# Seconds from which on the 0.5 µs of a measurement do not count.
_LONG: Final = 50e-6
# Calls that a worker measures before it knows whether they are long.
_FIRST: Final = 32
# Of so many spells of short calls, between two waits of a worker, one is measured.
_SPELLS: Final = 128
_STEPS: Final = 8
# With key=: a guess, of how many items wait for their key while others are worked on.
_TASKS_PER_PLACE: Final = 8


class StageTracker(Protocol):
    """Follows the items of a run with a journal through one stage.

    The stages then pass on what carries an item; functions, errors and failures see the item.
    """

    def wrap(self, call: Call) -> Call:
        """Return the call that takes and returns what carries an item."""

    def join(self, carriers: list[Any]) -> Any:  # noqa: ANN401
        """Return what carries a batch."""

    def passed(self, carrier: Any) -> Any:  # noqa: ANN401
        """Return what leaves a stage that changes nothing."""

    async def failed(
        self,
        carrier: Any,  # noqa: ANN401
        error: Exception,
        attempts: int,
        apply: Callable[[Failure], Awaitable[Any]],
    ) -> Any:  # noqa: ANN401
        """Record a failure; return or raise what ``apply`` does."""

    def unstarted(self, carrier: Any, error: BaseException) -> None:  # noqa: ANN401
        """Record that the item could not be worked on: the next run does it."""


class Limit(NamedTuple):
    """What admits the attempts of a stage."""

    limiter: AnyLimiter
    weight: Weight | None
    """How much an item counts; None: 1."""
    stage: Stage | None
    """The rate_limit that it is of; None: it is the stage's own."""


@final
class Stage:
    """A stage of one run.

    Args:
        spec: how it was described.
        inputs: where its items come from; one, unless it merges.
        keep: takes the failures that are to be kept.
        make_waiter: as for its buffer.
        limits: of the rate limits before it; its own limiter admits an attempt first.
    """

    def __init__(
        self,
        spec: Spec,
        inputs: list[Input],
        keep: Callable[[Failure], None],
        make_waiter: Callable[[], Waiter],
        limits: Sequence[Limit] = (),
    ) -> None:
        self.spec: Spec = spec
        self.inputs: list[Input] = inputs
        self.keep: Callable[[Failure], None] = keep
        options, threads = spec.options, spec.via is THREADS
        own: tuple[Limit, ...] = ()
        if options.limiter is not None:
            own = (Limit(options.limiter, options.weight, None),)
        # The nearest to the call comes last.
        self.limits: Sequence[Limit] = (*own, *limits)
        concurrency = len(inputs) if spec.kind == "merge" else options.workers
        if threads and not self.limits and not isinstance(inputs[0], QueueSource):
            # Two tasks keep a thread busy while its last result travels to the loop. From a queue
            # the second would take an item that another reader could begin at once, and what a
            # limiter has admitted must begin at once.
            concurrency *= 2
        self.turns: Turns | None = None
        if options.key is not None and concurrency > 1:
            self.turns = Turns(concurrency)
            self._places = concurrency
            if not isinstance(inputs[0], QueueSource):
                # Tasks whose key is busy wait beside those that work.
                concurrency *= _TASKS_PER_PLACE
        self.concurrency: int = concurrency  # how many tasks work
        self.in_order: bool = options.ordered and concurrency > 1 and spec.calls
        # What the workers call; set when the run is put together.
        self.call: Call = spec.function
        self.input_failed: Callable[[int, Exception], None] = _raise
        self.deadlines: Deadlines | None = None
        self.executor_size: int | None = None
        # Of a rate_limit: what admits an item here, and how much it counts.
        self.limiter: Limiter | None = None
        self.weigh: Callable[[Any], float] = _one
        self.tracker: StageTracker | None = None  # with a journal
        self.out: int = 0
        self.filtered: int = 0
        self.failed: int = 0
        self.cancelled: int = 0
        self.retried: int = 0
        self.emitted: int = 0
        self.undelivered: int = 0  # results that were dropped when the run ended
        self.histogram: Histogram = Histogram()
        # Threads measure their calls themselves, without the time that a call waits for a thread.
        threads = in_threads(spec.via)
        self.measured: Histogram | None = None if threads else self.histogram
        # The wait for a limiter or a key is not part of a call.
        apart = bool(self.limits) or self.turns is not None
        self.measured_outside: Histogram | None = None if apart else self.measured
        self.queueing: Histogram = Histogram() if threads else self.histogram
        self.idle: int = concurrency  # workers that hold no item
        self.first_out: bool = False  # ordered: the first item under work has no slot
        self.settled: int = 0  # ordered: slots whose item is accounted for already
        # Since when an item waited for its key, the limiter or a thread, if its call is cancelled
        # before the function was called. Set and read within one step.
        self.unbegun: float | None = None
        self.held: int = 0  # items that wait in a worker: for others of their batch, or their time
        self._parked_for_item = self._parked_for_room = 0
        self._parked_for_retry = self._parked_for_limit = self._parked_for_key = 0
        self._starved = self._blocked = self._backed_off = self._limited = 0.0
        self._serialised = self._worked = 0.0
        self._holding_up, self._held_up = 0, 0.0  # as a rate_limit: calls of the next stage
        self.started: float = time.monotonic()
        self.ended: float | None = None
        # Measured: below 16 the tasks switch for every few items, which costs twice the time.
        self.room: int = options.buffer or max(16, 2 * options.workers)
        # In order: the first item under work needs no slot.
        capacity = self.room + concurrency - 1 if self.in_order else self.room
        queues = any(isinstance(source, QueueSource) for source in inputs)
        if spec.kind == "rate_limit" or (spec.kind == "merge" and queues and not options.buffer):
            # An item passes when it is taken. Items that waited behind a rate limit would go off
            # together, and those of a queue would be missing there when the run ends.
            self.output: Buffer = HandoverBuffer(0, concurrency, make_waiter)
        else:
            self.output = Buffer(capacity, concurrency, make_waiter)

    def stop(self) -> None:
        """Draw no more from sources that the workers draw from themselves."""
        for number, source in enumerate(self.inputs):
            if isinstance(source, QueueSource):
                source.stop()
            elif not isinstance(source, Buffer):
                self.inputs[number] = iter(())

    # ------------------------------------------------------------- a worker

    def worker_left(self) -> None:
        """Note that a worker has come to the end of its input.

        Not called when a worker is cancelled or fails: closing the output would make the results
        so far look like all there are. The tasks that wait for more are cancelled with the run.
        """
        self.output.writer_left()
        if self.output.closed:
            self.ended = time.monotonic()
        elif self.output.putters:
            self.output.wake_putter()

    def drop_slot(self, slot: list[Any] | None) -> None:
        """Give up the slot of an item that is accounted for."""
        if slot is None:
            self.first_out = False
        else:
            slot[0] = DROPPED
            self.settled += 1

    def emit_ready(self, result: Any) -> None:  # noqa: ANN401
        """Pass on the result of the item that is first in order."""
        if result is not DROPPED:
            self.out += 1
            if self.spec.kind == "flat_map":
                self.output.items.extend(result)
                self.emitted += len(result)
            else:
                self.output.items.append(result)

    async def emit_all(
        self,
        results: Iterable[Any] | AsyncIterable[Any],
        wrap: Callable[[Any], Any] | None = None,
    ) -> None:
        """Pass on the results of one item, as far as there is room; close their iterator."""
        if isinstance(results, AsyncIterable):
            iterator: Any = aiter(results)
            try:
                async for result in iterator:
                    await self._emit(result if wrap is None else wrap(result))
            finally:
                await close_iterator(iterator)  # noqa: ASYNC102 - shielded there
        else:
            iterator = iter(results)
            try:
                for result in iterator:
                    await self._emit(result if wrap is None else wrap(result))
            finally:
                await close_iterator(iterator)  # noqa: ASYNC102 - shielded there
        self.out += 1

    async def _emit(self, result: object) -> None:
        if not self.output.has_room():
            await self.until_room(holding=True)
        self.output.items.append(result)
        self.emitted += 1
        if self.output.getters:
            self.output.wake_getter()
        if not self.emitted & _STRIDE:
            await yield_to_others()

    async def take(self, number: int = 0) -> Any:  # noqa: ANN401
        """Return the next item of an input, or END."""
        source = self.inputs[number]
        if isinstance(source, Buffer):
            if not source.items and not await self.until_item(source):
                return END
            item = source.items.popleft()
            if source.putters:
                source.wake_putter()
            return item
        while True:
            if isinstance(source, QueueSource):
                item = source.take() if await self.until_item(source) else END
            else:
                item = self.draw(number)
            if item is not DROPPED:
                return item
            await self.pause()

    def draw(self, number: int = 0) -> Any:  # noqa: ANN401
        """Return the next item of an iterator, DROPPED if it is to be left out, or END."""
        try:
            return next(self.inputs[number], END)  # type: ignore[arg-type]
        except BaseException as error:  # noqa: ASYNC103, BLE001 - raised there or later
            return self.source_failed(number, error)  # noqa: ASYNC104

    def source_failed(self, number: int, error: BaseException) -> Any:  # noqa: ANN401
        """Return END in place of the error of an iterator: it is raised after the items before.

        Raises:
            BaseException: the error is the caller's cancellation, or ends the program.
        """
        problem = error if isinstance(error, Exception) else own_cancellation(error)
        if problem is None:
            raise error
        self.inputs[number] = iter(())
        self.input_failed(number, problem)
        return END

    # ------------------------------------------------------------- waiting

    async def until_item(self, source: Buffer | QueueSource) -> bool:
        """Wait for an item, and count the time; return False if none will come."""
        self.idle += 1
        self._parked_for_item += 1
        self._starved -= time.monotonic()
        try:
            found = await source.until_item()
        finally:
            self._starved += time.monotonic()
            self._parked_for_item -= 1
            self.idle -= 1
        if isinstance(source, Buffer) and len(source.items) > 1 and source.getters:
            source.wake_getter()
        return found

    async def until_room(self, *, holding: bool = False) -> None:
        """Wait for room behind the stage, and count the time."""
        self.idle += not holding
        self._parked_for_room += 1
        self._blocked -= time.monotonic()
        try:
            await self.output.until_room()
        finally:
            self._blocked += time.monotonic()
            self._parked_for_room -= 1
            self.idle -= not holding
        if self.output.putters:
            self.output.wake_putter()

    async def back_off(self, seconds: float) -> None:
        """Wait before another attempt at an item, and count the time."""
        self._parked_for_retry += 1
        self._backed_off -= time.monotonic()
        try:
            await anyio.sleep(seconds)
        finally:
            self._backed_off += time.monotonic()
            self._parked_for_retry -= 1

    async def wait_for(self, rate_limit: Stage | None, limiter: Awaitable[None]) -> None:
        """Wait for a limiter, which may be of a rate_limit before this stage; count the time."""
        self._parked_for_limit += 1
        self._limited -= (since := time.monotonic())
        try:
            await (limiter if rate_limit is None else rate_limit.hold_up(limiter))
        except anyio.get_cancelled_exc_class():
            self.unbegun = since
            raise
        finally:
            self._limited += time.monotonic()
            self._parked_for_limit -= 1

    async def hold_up(self, limiter: Awaitable[None]) -> None:
        """As a rate_limit, let a call of the next stage wait; count the time while any waits."""
        if not self._holding_up:
            self._held_up -= time.monotonic()
        self._holding_up += 1
        try:
            await limiter
        finally:
            self._holding_up -= 1
            if not self._holding_up:
                self._held_up += time.monotonic()

    async def hold(self, limiter: Awaitable[None]) -> None:
        """Wait for a limiter with an item that no call has yet.

        **Cancelled**: the item stays held: it is counted as cancelled when the run ends.
        """
        self.held += 1
        self.idle += 1
        try:
            await limiter
        finally:
            self.idle -= 1
        self.held -= 1

    async def in_turn(
        self,
        key: Hashable,
        work: Callable[[], Awaitable[Any]],
        since: float,
    ) -> Any:  # noqa: ANN401
        """Work on an item when the earlier ones of its key are done, and count the time."""
        turns = self.turns
        assert turns is not None
        self._parked_for_key += 1
        self._serialised -= since
        try:
            await turns.begin(key)
        except anyio.get_cancelled_exc_class():
            self.unbegun = since
            raise
        finally:
            began = time.monotonic()
            self._serialised += began
            self._parked_for_key -= 1
        try:
            return await work()
        finally:
            self._worked += time.monotonic() - began
            turns.end(key)

    async def pause(self, seconds: float = 0.0) -> None:
        """Let other tasks run, for this long."""
        self.idle += 1
        try:
            await (anyio.sleep(seconds) if seconds else yield_to_others())
        finally:
            self.idle -= 1

    # ------------------------------------------------------------ accounts

    @property
    def depth(self) -> int:
        """Items that wait for this stage."""
        depth = 0
        for source in self.inputs:
            if isinstance(source, Buffer):
                depth += len(source.items)
        return depth

    @property
    def inside(self) -> int:
        """Items that this stage has received and not finished."""
        if self.in_order:
            working = len(self.output.slots) + self.first_out - self.settled
        else:
            working = self.concurrency - self.idle
        return self.depth + working + self.held

    @property
    def finished(self) -> int:
        """Items that have left the stage, in whatever way but a cancellation."""
        return self.out + self.filtered + self.failed

    @property
    def passed_on(self) -> int:
        """Results that left."""
        return self.emitted if self.spec.kind in ("flat_map", "batch") else self.out

    def not_begun(self, since: float) -> None:
        """Note that a call is cancelled before the function was called: see ``unbegun``."""
        self.unbegun = since

    def give_back(self, item: object, since: float) -> bool:
        """Return an item that was not begun to the queue it came from, if it came from one."""
        source = self.inputs[0]
        if not isinstance(source, QueueSource):
            return False
        source.keep_unbegun(item, since)
        return True

    def give_up(self) -> None:
        """Count the items inside as cancelled: the run has ended."""
        self.cancelled += self.inside
        self.ended = self.ended or time.monotonic()
        self.idle, self.settled, self.held, self.first_out = self.concurrency, 0, 0, False
        self.output.slots.clear()
        self.input_failed, self.keep = _raise, _forget
        for source in self.inputs:
            if isinstance(source, Buffer):
                source.items.clear()
            elif isinstance(source, QueueSource):
                source.return_unbegun()

    def drop_results(self) -> None:
        """Drop the results that the consumer has not taken: the run has ended."""
        self.undelivered += len(self.output.items)
        self.output.items.clear()

    def status(self) -> str:
        """Return the stage's part of the run's repr."""
        workers = self.spec.options.workers
        working = min(workers, self.concurrency - self.idle)
        queued = f", {self.depth} queued" if self.depth else ""
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.spec.name} {working}/{workers} busy{queued}{failed}"

    def report(self) -> StageReport:
        """Return the account of this moment."""
        now = time.monotonic()
        seconds = (self.ended or now) - self.started
        share = 1 / (seconds * self.concurrency) if seconds > 0 else 0.0
        starved = (self._starved + self._parked_for_item * now) * share
        blocked = (self._blocked + self._parked_for_room * now) * share
        backed_off = (self._backed_off + self._parked_for_retry * now) * share
        limited = (self._limited + self._parked_for_limit * now) * share
        # While calls of the next stage wait for it, a rate limit is what holds up the run.
        held_up = (self._held_up + bool(self._holding_up) * now) * share
        starved -= (by := min(starved, max(0.0, held_up - blocked)))
        blocked -= min(blocked, held_up - by)
        serialised = 0.0
        if self.turns is not None and seconds > 0:
            serialised = (self._serialised + self._parked_for_key * now) / (seconds * self._places)
            # There are more tasks than places: the rest of the places' time is idle.
            worked = self._worked / (seconds * self._places)
            starved = max(0.0, 1.0 - worked - blocked)
        return StageReport(
            name=self.spec.name,
            workers=self.spec.options.workers,
            entered=self.out + self.filtered + self.failed + self.cancelled + self.inside,
            out=self.out,
            filtered=self.filtered,
            failed=self.failed,
            cancelled=self.cancelled,
            inside=self.inside,
            emitted=self.passed_on,
            depth=self.depth,
            buffered=len(self.output.items) + self.undelivered,
            buffer=self.room,
            seconds=seconds,
            starved=min(1.0, starved),
            blocked=min(1.0, blocked),
            limits=self.spec.kind == "rate_limit",
            latency=self.histogram.latency(),
            queueing=None if self.queueing is self.histogram else self.queueing.latency(),
            retried=self.retried,
            backed_off=min(1.0, backed_off),
            limited=min(1.0, limited),
            serialised=min(1.0, serialised),
            held_loop=min(1.0, self.histogram.held / seconds) if seconds > 0 else 0.0,
            longest_hold=self.histogram.longest_hold,
            executor_size=self.executor_size,
        )


def _one(_: object) -> float:
    return 1.0


def _forget(_: Failure) -> None:
    pass


def _raise(_: int, error: Exception) -> None:
    raise error


# ------------------------------------------------------------------- latency


@final
class Histogram:
    """Counts durations in buckets, eight to a power of two: exact to within 6 %."""

    __slots__ = ("_counts", "held", "longest_hold")

    def __init__(self) -> None:
        self._counts = Counter[int]()
        # Seconds for which the calls held the event loop, in all and at most at a time.
        self.held: float = 0.0
        self.longest_hold: float = 0.0

    def add(self, seconds: float, weight: int = 1) -> None:
        """Count a duration, as this many."""
        mantissa, exponent = frexp(seconds)
        self._counts[exponent * _STEPS + int(mantissa * 2 * _STEPS)] += weight

    def add_hold(self, seconds: float) -> None:
        """Count a time in which the event loop was held."""
        self.held += seconds
        self.longest_hold = max(self.longest_hold, seconds)

    def latency(self) -> Latency | None:
        """Return the quantiles; None if nothing was counted."""
        if not self._counts:
            return None
        return Latency(self._quantile(0.5), self._quantile(0.9), self._quantile(0.99))

    def _quantile(self, share: float) -> float:
        missing = share * self._counts.total()
        for step in sorted(self._counts):
            missing -= self._counts[step]
            if missing <= 0:
                break
        exponent, place = divmod(step - _STEPS, _STEPS)
        return ldexp((place + _STEPS + 0.5) / (2 * _STEPS), exponent)


@final
class Sampled:
    """A worker's call, measured some of the time.

    Where calls are long all of them are measured; where they are short, one spell of calls in 128.
    That is chosen where the worker has just waited, so a call that is not measured pays nothing.

    Args:
        call: the call.
        histogram: of the stage; None: nothing is measured here.
    """

    __slots__ = ("_call", "_histogram", "_left", "_measured", "_short", "_total", "_weight")

    def __init__(self, call: Call, histogram: Histogram | None) -> None:
        self._call, self._histogram = call, histogram
        self._left, self._weight = _SPELLS, 1
        self._measured, self._total, self._short = 0, 0.0, False

    def choose(self) -> Call:
        """Return what to call until the worker has waited again."""
        if self._histogram is None:
            return self._call
        if self._short:
            self._left -= 1
            if self._left:
                return self._call
            self._left, self._weight = _SPELLS, _SPELLS
        return self.measured

    @coroutine
    def measured(self, item: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401
        """Call, and count how long it takes and how long it holds the loop, even if it raises.

        It drives the call itself, as ``await`` would (PEP 380): between two points where the call
        suspends, the loop runs nothing else.
        """
        histogram = self._histogram
        assert histogram is not None
        began = resumed = perf_counter()
        held = 0.0
        try:
            steps: Any = self._call(item).__await__()
            step, argument = steps.send, None
            while True:
                try:
                    suspended = step(argument)
                except StopIteration as end:
                    return end.value
                finally:
                    # An error that was thrown in has this frame in its traceback: a cycle.
                    argument = None
                    hold = perf_counter() - resumed
                    held += hold
                    if hold > histogram.longest_hold:
                        histogram.longest_hold = hold
                try:
                    step, argument = steps.send, (yield suspended)
                except GeneratorExit:
                    steps.close()
                    raise
                except BaseException as error:  # noqa: ASYNC103, BLE001 - thrown into the call
                    step, argument = steps.throw, error
                resumed = perf_counter()
        finally:
            seconds = perf_counter() - began
            self._measured += 1
            self._total += seconds
            self._short = self._measured >= _FIRST and self._total < _LONG * self._measured
            weight = self._weight if self._short else 1
            # Only what is usual for short calls stands for the calls that were not measured: a
            # pause of the system is one of its kind.
            histogram.held += held + min(held, _LONG) * (weight - 1)
            histogram.add(seconds, weight)
