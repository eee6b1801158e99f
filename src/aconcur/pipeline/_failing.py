"""What becomes of an item on which a stage fails: tried again, raised, skipped, handed on."""

from __future__ import annotations

__all__ = ("judge",)

import asyncio
from functools import partial
from inspect import isawaitable
from reprlib import Repr
from typing import TYPE_CHECKING, Any, Final

import anyio

from aconcur._core.wait_queue import in_trio
from aconcur.pipeline._calls import Call
from aconcur.pipeline._errors import ItemCancelledError
from aconcur.pipeline._link import GONE
from aconcur.pipeline._options import COLLECT, RAISE, SKIP, Failure
from aconcur.pipeline._queue import Queue
from aconcur.pipeline._watch import Hand

if TYPE_CHECKING:
    from aconcur.pipeline._stage import Stage


class _Short(Repr):
    maxother = maxstring = 60

    def repr_bytes(self, item: bytes, _: int) -> str:
        """Cut first: what repr() makes of a large item is four times as large."""
        cut = self.maxstring - 10
        return repr(item) if len(item) <= cut else f"{item[:cut]!r}… ({len(item)} bytes)"


_SHORT: Final = _Short()


async def judge(stage: Stage, call: Call, hand: Hand, item: Any, error: BaseException) -> Any:  # noqa: ANN401
    """Return the result of another attempt, or GONE; or raise."""
    attempts = 1
    options = stage.spec.options
    while True:
        error = hand.judged(error)
        if not isinstance(error, Exception):
            if not isinstance(error, asyncio.CancelledError) or _being_cancelled():
                stage.cancelled += 1
                raise error
            foreign, error = error, ItemCancelledError()
            error.__cause__ = foreign
        retry = options.retry
        if retry is None or attempts >= retry.attempts or not isinstance(error, retry.on):
            break
        try:
            await anyio.sleep(retry.delay(attempts))
            attempts += 1
            return await call(item)
        except BaseException as another:  # noqa: ASYNC103, BLE001 - judged in the next round
            error = another
    if stage.trace is None:
        return await _react(stage, Failure(item, stage.spec.name, error, attempts))
    return await stage.trace.failed(item, error, attempts, partial(_react, stage))


async def _react(stage: Stage, failure: Failure) -> Any:  # noqa: ANN401
    reaction = stage.spec.options.on_error
    if reaction is RAISE:
        stage.failed += 1
        stage.keep(failure)
        _add_note(failure)
        raise failure.error
    if reaction is COLLECT:
        stage.keep(failure)
    elif reaction is not SKIP:
        try:
            if isinstance(reaction, Queue):
                await reaction.put(failure)
            elif isawaitable(said := reaction(failure)):
                await said
        except Exception:
            stage.failed += 1
            raise
        except BaseException:
            stage.cancelled += 1
            raise
    stage.failed += 1
    return GONE


def _being_cancelled() -> bool:
    """Return whether asyncio's cancellation is this task's: on trio it never is."""
    task = None if in_trio() else asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _add_note(failure: Failure) -> None:
    try:
        shown = _SHORT.repr(failure.item)
    except Exception:  # noqa: BLE001 - an item's __repr__ is not ours
        shown = f"a {type(failure.item).__name__}"
    after = f" at attempt {failure.attempts}" if failure.attempts > 1 else ""
    failure.error.add_note(f"in stage {failure.stage!r}{after}, item: {shown}")
