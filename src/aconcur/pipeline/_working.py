"""The workers of stages that call a function: take an item, call, pass the result on.

Rule 1: nothing is counted and no clock is read for an item but what the account needs.
Rule 2: between two points where other tasks run, a worker adds at most _STRIDE results, or as many
as there is room for.
"""

from __future__ import annotations

__all__ = ("work",)

from collections import deque
from typing import Any, Final

from aconcur._core.wait_queue import WaitQueue
from aconcur.pipeline._failing import judge
from aconcur.pipeline._latency import Sampled
from aconcur.pipeline._link import END, GONE, PENDING, Link
from aconcur.pipeline._moving import move
from aconcur.pipeline._options import CALLING
from aconcur.pipeline._stage import Stage
from aconcur.pipeline._watch import NO_LIMIT

# Measured: the yields cost 2 %.
_STRIDE: Final = 127
_NOTHING: Final = (deque[Any](), WaitQueue())


async def work(stage: Stage, number: int) -> None:
    """Be one worker of the stage, to the end of the source.

    Args:
        stage: whose worker.
        number: which of its workers, from 0.

    **Cancelled**: what it holds is counted as cancelled.
    """
    if stage.spec.kind not in CALLING:
        await move(stage, number)
    elif stage.in_order:
        await _work_in_order(stage)
    else:
        await _work(stage)


async def _work(stage: Stage) -> None:
    """Pass results on as they come."""
    output, sources = stage.output, stage.sources
    results, getters, capacity = output.items, output.getters, output.capacity
    link = sources[0] if isinstance(sources[0], Link) else None
    waiting, putters = (link.items, link.putters) if link else _NOTHING
    high, quiet = min(capacity, _STRIDE), 0
    stage.idle -= 1
    try:
        with stage.watch.hand() if stage.watch else NO_LIMIT as hand:
            calls = Sampled(stage.make_call(hand), stage.histogram)
            call = calls.choose()
            while True:
                if len(results) >= high:
                    hand.stop()
                    if len(results) >= capacity:
                        await stage.until_room()
                    else:
                        await stage.rest()
                    high = min(capacity, len(results) + _STRIDE)
                    call = calls.choose()
                if link is None:
                    if (item := next(sources[0], END)) is END:  # type: ignore[arg-type]
                        break
                else:
                    if not waiting:
                        hand.stop()
                        if not await stage.until_item(link):
                            break
                        call = calls.choose()
                    item = waiting.popleft()
                    if putters and not link.putter_woken:
                        link.wake_putter()
                try:
                    result = await call(item)
                except BaseException as error:  # noqa: ASYNC103, BLE001 - judged there
                    result = await judge(stage, call, hand, item, error)  # noqa: ASYNC102
                if result is not GONE:
                    results.append(result)
                    stage.out += 1
                    if getters and not output.getter_woken:
                        output.wake_getter()
                else:
                    quiet += 1
                    if not quiet & _STRIDE:
                        hand.stop()
                        await stage.rest()
    finally:
        stage.idle += 1
    stage.left()


async def _work_in_order(stage: Stage) -> None:
    """Pass results on in order, with a place in the row kept for each.

    Who finishes the first item under work moves all finished results behind it, at once. The
    first has no slot: as long as none overtakes, no slot is made.
    """
    output, sources = stage.output, stage.sources
    results, slots = output.items, output.slots
    getters, capacity = output.getters, output.capacity
    link = sources[0] if isinstance(sources[0], Link) else None
    waiting, putters = (link.items, link.putters) if link else _NOTHING
    one_for_one = stage.spec.kind != "flat_map"
    high, quiet = min(capacity, _STRIDE), 0
    stage.idle -= 1
    try:
        with stage.watch.hand() if stage.watch else NO_LIMIT as hand:
            calls = Sampled(stage.make_call(hand), stage.histogram)
            call = calls.choose()
            while True:
                if len(results) + len(slots) >= high:
                    hand.stop()
                    if len(results) + len(slots) >= capacity:
                        await stage.until_room()
                    else:
                        await stage.rest()
                    high = min(capacity, len(results) + len(slots) + _STRIDE)
                    call = calls.choose()
                if link is None:
                    if (item := next(sources[0], END)) is END:  # type: ignore[arg-type]
                        break
                else:
                    if not waiting:
                        hand.stop()
                        if not await stage.until_item(link):
                            break
                        call = calls.choose()
                        if len(results) + len(slots) >= capacity:
                            link.wake_getter()
                            continue
                    item = waiting.popleft()
                    if putters and not link.putter_woken:
                        link.wake_putter()
                if stage.first_out or slots:
                    slots.append(slot := [PENDING])
                else:
                    slot, stage.first_out = None, True
                try:
                    result = await call(item)
                except BaseException as error:  # noqa: ASYNC103, BLE001 - judged there
                    try:
                        result = await judge(stage, call, hand, item, error)  # noqa: ASYNC102
                    except BaseException:
                        stage.leave_row(slot)
                        raise
                if slot is None:
                    stage.first_out = False
                    if one_for_one and result is not GONE:
                        results.append(result)
                        stage.out += 1
                    else:
                        stage.flush(result)
                else:
                    slot[0] = result
                    stage.gone += result is GONE
                if slots and not stage.first_out:
                    while slots and (result := slots[0][0]) is not PENDING:
                        slots.popleft()
                        stage.gone -= result is GONE
                        stage.flush(result)
                if getters and results and not output.getter_woken:
                    output.wake_getter()
                if result is GONE:
                    quiet += 1
                    if not quiet & _STRIDE:
                        hand.stop()
                        await stage.rest()
    finally:
        stage.idle += 1
    stage.left()
