"""The workers of the stages: take an item, call or hold it, pass the result on.

A worker is one task for the whole run. Stages that call a function use ``_work``, or
``_work_in_order`` if several workers must keep the order; the others ``_batch``, ``_pace`` and
``_forward``.

Rule 1: room is looked for before an item is taken.
Rule 2: for an item nothing is counted and no clock is read but what the account needs.
Rule 3: between two points where other tasks run, a worker adds at most _STRIDE results or fills the
room that there is; and all workers of a stage together drop about _STRIDE items.
"""

from __future__ import annotations

__all__ = ("awaiting", "listed", "work")

import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Generator, Iterator
from contextlib import nullcontext
from contextvars import Context, copy_context
from dataclasses import replace
from functools import partial
from inspect import isawaitable
from types import coroutine
from typing import Any, Final, Self, final

import anyio

from aconcur._core.wait_queue import WaitQueue
from aconcur.pipeline._buffer import DROPPED, END, PENDING, Buffer
from aconcur.pipeline._callers import CallerFailed
from aconcur.pipeline._errors import forget_frames
from aconcur.pipeline._failures import apply_policy, item_of, settle
from aconcur.pipeline._limiter import limited, trying_again
from aconcur.pipeline._resource import with_resource
from aconcur.pipeline._sources.source import QueueSource
from aconcur.pipeline._spec import NO_TIMEOUT, NO_TIMEOUT_INSIDE, Spec
from aconcur.pipeline._stage import Call, Sampled, Stage
from aconcur.pipeline._timeouts import Deadline

# Measured: the yields cost 2 %.
_STRIDE: Final = 127
# A failed item takes as long as so many that a filter drops: 25 µs.
_FAILED: Final = 15
_NOTHING: Final = (deque[Any](), WaitQueue())


async def work(stage: Stage, number: int) -> None:
    """Be one worker of the stage, to the end of its input.

    Args:
        stage: whose worker.
        number: which of its workers, from 0.

    **Cancelled**: the item that it holds is counted as cancelled.
    """
    trying_again.set(False)  # of this worker: the run may be part of another attempt
    resource = stage.spec.options.resource
    try:
        if resource is None:
            await _serve(stage, number, stage.call)
        else:
            await with_resource(resource, stage.spec.name, partial(_serve_with, stage, number))
    except anyio.get_cancelled_exc_class() as error:
        forget_frames(error)
        raise
    finally:
        left, stage = stage.worker_left, None  # type: ignore[assignment]
    left()


async def _serve_with(stage: Stage, number: int, resource: object) -> None:
    """Work on items with the worker's resource, which the function takes first."""
    spec = stage.spec
    function = partial(spec.function, resource)
    plain = spec.is_async and spec.options.context != "item"
    call = function if plain else awaiting(replace(spec, function=function))
    await _serve(stage, number, call)


async def _serve(stage: Stage, number: int, call: Call) -> None:
    """Work on items to the end of the input; until then the worker holds one, or waits."""
    stage.idle -= 1
    try:
        if stage.spec.calls:
            deadline = stage.deadlines.for_worker() if stage.deadlines else None
            with deadline or nullcontext():
                call = _composed(stage, call, deadline)
                await (_work_in_order if stage.in_order else _work)(stage, call, deadline)
        elif stage.spec.kind == "batch":
            await _batch(stage)
        elif stage.spec.kind == "rate_limit":
            await _pace(stage)
        else:
            await _forward(stage, number)
    finally:
        stage.idle += 1


# ------------------------------------------------------------------- the call


def _composed(stage: Stage, call: Call, deadline: Deadline | None) -> Call:
    """Return what a worker calls with an item: the function, its limit, and the stage's kind."""
    if deadline is not None:
        plain = stage.tracker is None and stage.spec.kind == "map" and not stage.limits
        plain = plain and stage.turns is None
        call = deadline.before(call) if plain else deadline.around(call)
    # The wait for a limiter or a key counts neither for the attempt's time limit nor for latency.
    if stage.measured is not None and stage.measured_outside is None:
        call = Sampled(call, stage.measured).measured
    for limit in reversed(stage.limits):
        call = limited(partial(stage.wait_for, limit.stage), call, limit.limiter, limit.weight)
    if stage.tracker is not None:
        call = stage.tracker.wrap(call)
    elif stage.spec.kind == "filter":
        call = partial(_filtered, stage, call)
    elif stage.spec.kind == "flat_map":
        call = partial(listed if stage.in_order else partial(_emitted, stage), call)
    return call if stage.turns is None else partial(_in_turn, stage, call, deadline)


async def _in_turn(stage: Stage, call: Call, deadline: Deadline | None, item: Any) -> Any:  # noqa: ANN401
    """Work on an item to its end, retries included, before the next one of its key."""
    key_of: Any = stage.spec.options.key
    since = time.monotonic()

    async def work() -> Any:  # noqa: ANN401
        try:
            return await call(item)
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: ASYNC103, BLE001 - judged there
            if stage.unbegun is not None:
                stage.unbegun = since
            return await settle(  # noqa: ASYNC102, ASYNC104 - the worker raises it
                stage, call, deadline, item, error
            )

    return await stage.in_turn(key_of(item_of(stage, item)), work, since)


def awaiting(spec: Spec) -> Call:
    """Return the stage's function, which may be a plain one, as one to await.

    Raises:
        CallerFailed: raised by the call, where a timeout cannot work.
    """
    function, timed = spec.function, spec.options.timeout is not None

    async def call(item: Any) -> Any:  # noqa: ANN401
        result = function(item)
        if isawaitable(result):
            return await result
        if timed:
            late = NO_TIMEOUT_INSIDE if isinstance(result, AsyncIterable) else NO_TIMEOUT
            raise CallerFailed(ValueError(late.format(spec.name)))
        return result

    if spec.options.context != "item":
        return call
    outside = copy_context()

    async def isolated(item: Any) -> Any:  # noqa: ANN401
        context = outside.copy()
        result = await _in_context(context, call(item))
        if spec.kind == "flat_map":
            return _isolated_results(context, result)
        return result

    return isolated


@coroutine
def _in_context(context: Context, awaitable: Awaitable[Any]) -> Generator[Any, Any, Any]:
    """Drive an awaitable as ``await`` does (PEP 380), each step in the context."""
    steps: Any = awaitable.__await__()
    step, argument = steps.send, None
    while True:
        try:
            suspended = context.run(step, argument)
        except StopIteration as end:
            return end.value
        finally:
            # An error that was thrown in has this frame in its traceback: a cycle.
            argument = None
        try:
            step, argument = steps.send, (yield suspended)
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:  # noqa: ASYNC103, BLE001 - thrown into the awaitable
            step, argument = steps.throw, error


def _isolated_results(context: Context, results: Any) -> Any:  # noqa: ANN401
    """Return the results, iterated over in the context."""
    if isinstance(results, AsyncIterable):
        return _InContextAsync(context, context.run(aiter, results))
    return _InContext(context, context.run(iter, results))


@final
class _InContext:
    __slots__ = ("_context", "_iterator")

    def __init__(self, context: Context, iterator: Iterator[Any]) -> None:
        self._context, self._iterator = context, iterator

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:  # noqa: ANN401
        return self._context.run(next, self._iterator)

    async def aclose(self) -> None:  # as close_iterator calls it
        if isinstance(self._iterator, Generator):
            self._context.run(self._iterator.close)


@final
class _InContextAsync:
    __slots__ = ("_context", "_iterator")

    def __init__(self, context: Context, iterator: AsyncIterator[Any]) -> None:
        self._context, self._iterator = context, iterator

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401
        return await _in_context(self._context, anext(self._iterator))

    async def aclose(self) -> None:
        if hasattr(self._iterator, "aclose"):
            await _in_context(self._context, self._iterator.aclose())


async def _filtered(stage: Stage, call: Call, item: object) -> object:
    if await call(item):
        return item
    stage.filtered += 1
    return DROPPED


async def _emitted(stage: Stage, call: Call, item: object) -> object:
    await stage.emit_all(await call(item))
    return DROPPED


async def listed(call: Call, item: object) -> list[Any]:
    """Return all results of a call that returns an iterable."""
    results = await call(item)
    if isinstance(results, AsyncIterable):
        return [result async for result in results]
    return list(results)


# --------------------------------------------------------------- with a function


async def _work(stage: Stage, function: Call, deadline: Deadline | None) -> None:
    """Pass results on as they come."""
    output, inputs = stage.output, stage.inputs
    results, getters, capacity = output.items, output.getters, output.capacity
    buffer = inputs[0] if isinstance(inputs[0], Buffer) else None
    queue = inputs[0] if isinstance(inputs[0], QueueSource) else None
    waiting, putters = (buffer.items, buffer.putters) if buffer else _NOTHING
    high, dropped = min(capacity, _STRIDE), 0
    stride = max(1, _STRIDE // stage.concurrency)
    calls = Sampled(function, stage.measured_outside)
    call = calls.choose()
    while True:
        if len(results) >= high:
            if deadline is not None:
                deadline.stop()
            await (stage.until_room() if len(results) >= capacity else stage.pause())
            high = min(capacity, len(results) + _STRIDE)
            call = calls.choose()
        if buffer is not None:
            if not waiting:
                if deadline is not None:
                    deadline.stop()
                if not await stage.until_item(buffer):
                    break
                call = calls.choose()
            item = waiting.popleft()
            if putters and not buffer.putter_woken:
                buffer.wake_putter()
        elif queue is None:
            try:
                item = next(inputs[0], END)  # type: ignore[arg-type]
            except BaseException as error:  # noqa: ASYNC103, BLE001 - raised there or later
                item = stage.source_failed(0, error)
            if item is END:
                break
            if item is DROPPED:  # recorded items were passed over
                await stage.pause()
                continue
        else:
            if queue.may_run_out():
                if deadline is not None:
                    deadline.stop()
                if not await stage.until_item(queue):
                    break
                call = calls.choose()
            if (item := queue.take()) is DROPPED:
                continue
        try:
            result = await call(item)
        except BaseException as error:  # noqa: ASYNC103, BLE001 - judged there
            result = await apply_policy(stage, call, deadline, item, error)  # noqa: ASYNC102
            dropped += _FAILED
        if result is not DROPPED:
            results.append(result)
            stage.out += 1
            if getters and not output.getter_woken:
                output.wake_getter()
        else:
            dropped += 1
            if dropped >= stride:
                dropped = 0
                if deadline is not None:
                    deadline.stop()
                await stage.pause()


async def _work_in_order(stage: Stage, function: Call, deadline: Deadline | None) -> None:
    """Pass results on in order, with a slot for each item under work.

    The worker that finishes the first item under work moves all finished results behind it too.
    The first item has no slot: as long as none overtakes another, no slot is made.
    """
    output, inputs = stage.output, stage.inputs
    results, slots = output.items, output.slots
    getters, capacity = output.getters, output.capacity
    buffer = inputs[0] if isinstance(inputs[0], Buffer) else None
    queue = inputs[0] if isinstance(inputs[0], QueueSource) else None
    waiting, putters = (buffer.items, buffer.putters) if buffer else _NOTHING
    one_for_one = stage.spec.kind != "flat_map"
    high, dropped = min(capacity, _STRIDE), 0
    stride = max(1, _STRIDE // stage.concurrency)
    calls = Sampled(function, stage.measured_outside)
    call = calls.choose()
    while True:
        if len(results) + len(slots) >= high:
            if deadline is not None:
                deadline.stop()
            full = len(results) + len(slots) >= capacity
            await (stage.until_room() if full else stage.pause())
            high = min(capacity, len(results) + len(slots) + _STRIDE)
            call = calls.choose()
        if buffer is not None:
            if not waiting:
                if deadline is not None:
                    deadline.stop()
                if not await stage.until_item(buffer):
                    break
                call = calls.choose()
                if len(results) + len(slots) >= capacity:
                    buffer.wake_getter()
                    continue
            item = waiting.popleft()
            if putters and not buffer.putter_woken:
                buffer.wake_putter()
        elif queue is None:
            try:
                item = next(inputs[0], END)  # type: ignore[arg-type]
            except BaseException as error:  # noqa: ASYNC103, BLE001 - raised there or later
                item = stage.source_failed(0, error)
            if item is END:
                break
            if item is DROPPED:  # recorded items were passed over
                await stage.pause()
                continue
        else:
            if queue.may_run_out():
                if deadline is not None:
                    deadline.stop()
                if not await stage.until_item(queue):
                    break
                call = calls.choose()
                if len(results) + len(slots) >= capacity:
                    queue.pass_on()
                    continue
            if (item := queue.take()) is DROPPED:
                continue
        if stage.first_out or slots:
            slots.append(slot := [PENDING])
        else:
            slot, stage.first_out = None, True
        try:
            result = await call(item)
        except BaseException as error:  # noqa: ASYNC103, BLE001 - judged there
            try:
                result = await apply_policy(stage, call, deadline, item, error)  # noqa: ASYNC102
            except BaseException:
                stage.drop_slot(slot)
                raise
            dropped += _FAILED
        if slot is None:
            stage.first_out = False
            if one_for_one and result is not DROPPED:
                results.append(result)
                stage.out += 1
            else:
                stage.emit_ready(result)
        else:
            slot[0] = result
            stage.settled += result is DROPPED
        if slots and not stage.first_out:
            while slots and (ready := slots[0][0]) is not PENDING:
                slots.popleft()
                stage.settled -= ready is DROPPED
                stage.emit_ready(ready)
        if getters and results and not output.getter_woken:
            output.wake_getter()
        if result is DROPPED:
            dropped += 1
            if dropped >= stride:
                dropped = 0
                if deadline is not None:
                    deadline.stop()
                await stage.pause()


# ------------------------------------------------------------ without a function


async def _batch(stage: Stage) -> None:
    """Gather items until there are enough, or until the first has waited long enough."""
    output, size, max_wait = stage.output, stage.spec.size, stage.spec.max_wait
    weigh = stage.spec.weigh or _one
    first: Any = END  # the item that would have exceeded the last batch
    while True:
        if not output.has_room():
            await stage.until_room()
        if first is END:
            if (first := await stage.take()) is END:
                return
            stage.held += 1
        batch, total, first = [first], weigh(item_of(stage, first)), END
        with anyio.move_on_after(max_wait):
            while total < size and (item := await stage.take()) is not END:
                stage.held += 1
                total += weigh(item_of(stage, item))
                if total > size:
                    first = item
                    break
                batch.append(item)
        stage.held -= len(batch)
        stage.out += len(batch)
        stage.emitted += 1
        output.items.append(batch if stage.tracker is None else stage.tracker.join(batch))
        if output.getters:
            output.wake_getter()
        await stage.pause()


def _one(_: object) -> float:
    return 1.0


async def _pace(stage: Stage) -> None:
    """Pass on one item at a time, each when it is due: when a task of the next stage can take it.

    If that stage calls a function, its attempts wait for the limiter. The item then weighs nothing
    here, and is due when all who asked earlier have been admitted.
    """
    output, limiter, weigh = stage.output, stage.limiter, stage.weigh
    assert limiter is not None
    while True:
        if not output.has_room():
            await stage.until_room()
        # Taken first, then held: after the last item there is no wait.
        if (item := await stage.take()) is END:
            return
        await stage.hold(limiter.acquire(weigh(item_of(stage, item))))
        _pass_on(stage, item)
        # The task that takes the item is the next to ask.
        await stage.pause()


async def _forward(stage: Stage, number: int) -> None:
    """Pass on the items of one of the inputs."""
    queue = stage.inputs[number]
    while True:
        if not stage.output.has_room():
            await stage.until_room()
        if isinstance(queue, QueueSource) and await stage.until_item(queue):
            if not stage.output.has_room():
                queue.pass_on()
                continue
            if (item := queue.take()) is DROPPED:
                await stage.pause()
                continue
        elif (item := await stage.take(number)) is END:
            return
        _pass_on(stage, item)
        if not stage.out & _STRIDE:
            await stage.pause()


def _pass_on(stage: Stage, item: Any) -> None:  # noqa: ANN401
    stage.out += 1
    stage.output.items.append(item if stage.tracker is None else stage.tracker.passed(item))
    if stage.output.getters:
        stage.output.wake_getter()
