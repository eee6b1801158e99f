"""What becomes of an item on which a stage fails: tried again, raised, skipped, handed on.

The order in which an error is judged:

1. A time limit that expired makes it a TimeoutError (``Deadline.translate``).
2. ``CallerFailed``: the executor, pool or thread could not run the function. The run ends with the
   cause, and a journal notes that the item is to be done again. ``on_error`` is not asked: the item
   did nothing wrong.
3. A cancellation of the worker goes on; an item of a queue on which the function was not called
   yet goes back to the queue. A CancelledError that the function raised by itself becomes
   an ItemCancelledError of the item.
4. ``retry`` may try again; then ``on_error`` decides.

Rule: no error is kept in a local variable of a frame that is in its own traceback. Such a cycle
keeps the item, and all locals of the failed call, until the garbage collector runs.
"""

from __future__ import annotations

__all__ = ("apply_policy", "item_of", "note_failure", "settle")

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isawaitable
from reprlib import Repr
from traceback import clear_frames
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio

from aconcur.pipeline._buffer import DROPPED
from aconcur.pipeline._callers import CallerFailed
from aconcur.pipeline._errors import Failure, forget_frames, own_cancellation
from aconcur.pipeline._limiter import trying_again
from aconcur.pipeline._queue.queue import Queue, has_reader
from aconcur.pipeline._retry import share_of_retries
from aconcur.pipeline._spec import COLLECT, RAISE, SKIP

if TYPE_CHECKING:
    from aconcur.pipeline._stage import Stage
    from aconcur.pipeline._timeouts import Deadline

Call: TypeAlias = Callable[[Any], Awaitable[Any]]
_LOGGER: Final = logging.getLogger("aconcur.pipeline")
# Without a handler of the program's own, Python would print warnings to stderr.
_LOGGER.addHandler(logging.NullHandler())


class _Short(Repr):
    maxother = maxstring = 60

    def repr_bytes(self, item: bytes, _: int) -> str:
        """Cut first: the repr of a large item is four times as large."""
        cut = self.maxstring - 10
        return repr(item) if len(item) <= cut else f"{item[:cut]!r}… ({len(item)} bytes)"


_SHORT: Final = _Short()


async def apply_policy(
    stage: Stage,
    call: Call,
    deadline: Deadline | None,
    item: Any,  # noqa: ANN401
    error: BaseException,
) -> Any:  # noqa: ANN401
    """Return the result of another attempt, or DROPPED; or raise.

    Args:
        stage: the stage that failed.
        call: tries the item again.
        deadline: of the worker, if its calls have a time limit.
        item: the item, or what carries it.
        error: the error of the first attempt.
    """
    if isinstance(error, _SettledError):
        last = error.take()
        try:
            raise last
        finally:
            del last, error
    attempts = 1
    retry = stage.spec.options.retry
    first_failed = None if retry is None or retry.within is None else anyio.current_time()
    failure: Failure | None = None
    try:
        while True:
            error = _judged(stage, deadline, item, error, attempts)
            if retry is None:
                break
            try:
                delay = retry.next_delay(
                    error,
                    attempts,
                    elapsed=0.0 if first_failed is None else anyio.current_time() - first_failed,
                    retried=share_of_retries(stage.retried, stage.finished),
                )
                if delay is None:
                    break
                if retry.on_retry is not None:
                    failure = Failure(item_of(stage, item), stage.spec.name, error, attempts)
                    if isawaitable(said := retry.on_retry(failure, delay)):
                        await said
            except Exception:
                stage.failed += 1
                raise
            except BaseException:
                stage.cancelled += 1
                raise
            finally:
                failure = None
            _log(logging.INFO, "retried in %.3g s", stage, item, error, attempts, delay)
            stage.retried += 1
            try:
                await stage.back_off(delay)
                attempts += 1
                again = trying_again.set(True)
                try:
                    return await call(item)
                finally:
                    trying_again.reset(again)
            except BaseException as another:  # noqa: ASYNC103, BLE001 - judged in the next round
                error = another
        if stage.tracker is None:
            return await _react(stage, Failure(item, stage.spec.name, error, attempts))
        return await stage.tracker.failed(item, error, attempts, partial(_react, stage))
    finally:
        del error


class _SettledError(BaseException):
    """Carries an error to the worker that is not to be judged again.

    Args:
        error: what apply_policy() raised.
    """

    def __init__(self, error: BaseException) -> None:
        self._error: BaseException | None = error

    def take(self) -> BaseException:
        """Return the error, and keep a reference to nothing."""
        error, self._error = self._error, None
        self.args = ()
        assert error is not None
        forget_frames(self)
        return error


async def settle(
    stage: Stage,
    call: Call,
    deadline: Deadline | None,
    item: Any,  # noqa: ANN401
    error: BaseException,
) -> Any:  # noqa: ANN401
    """Do as :func:`apply_policy`, within a call of the worker, which will not judge it again."""
    try:
        return await apply_policy(stage, call, deadline, item, error)
    except BaseException as last:  # noqa: ASYNC103, BLE001 - the worker raises what it carries
        raise _SettledError(last) from None  # noqa: ASYNC104
    finally:
        del error


def _judged(
    stage: Stage,
    deadline: Deadline | None,
    item: Any,  # noqa: ANN401
    error: BaseException,
    attempts: int,
) -> Exception:
    """Return the error as one of the item; raise it if it is not."""
    since, stage.unbegun = stage.unbegun, None
    try:
        if deadline is not None:
            error = deadline.translate(error)
        if isinstance(error, CallerFailed):
            stage.cancelled += 1
            error = error.error
            if stage.tracker is not None:
                stage.tracker.unstarted(item, error)
            note = f"stage {stage.spec.name!r} cannot call its function any more"
            if note not in getattr(error, "__notes__", ()):  # all workers meet the same error
                error.add_note(note)
            raise error
        if isinstance(error, Exception):
            return error
        if (own := own_cancellation(error)) is None:
            if since is None or attempts > 1 or not stage.give_back(item_of(stage, item), since):
                stage.cancelled += 1
            raise error
        return own
    finally:
        del error


def item_of(stage: Stage, item: Any) -> Any:  # noqa: ANN401
    """Return the item itself: with a journal, something carries it."""
    return item if stage.tracker is None else getattr(item, "item", item)


async def _react(stage: Stage, failure: Failure) -> Any:  # noqa: ANN401
    reaction = stage.spec.options.on_error
    if reaction is RAISE:
        stage.failed += 1
        stage.keep(failure)
        note_failure(stage, failure, "ends the run")
        try:
            raise failure.error
        finally:
            del failure
    level, what = (logging.INFO, "skipped") if reaction is SKIP else (logging.INFO, "failed")
    _log(level, what, stage, failure.item, failure.error, failure.attempts)
    if reaction is COLLECT:
        stage.keep(failure)
    elif reaction is not SKIP:
        try:
            if isinstance(reaction, Queue):
                await _put_failure(reaction, failure, stage)
            elif isawaitable(said := reaction(failure)):
                await said
        except Exception:
            stage.failed += 1
            raise
        except BaseException:
            stage.cancelled += 1
            raise
    stage.failed += 1
    _forget_locals(failure.error)
    return DROPPED


async def _put_failure(queue: Queue[Failure], failure: Failure, stage: Stage) -> None:
    if queue.full() and not queue.statistics().closed and not has_reader(queue):
        raise RuntimeError(
            f"stage {stage.spec.name!r} waits for room in its on_error= queue, which is full "
            f"({queue.maxsize}) and which no task has read yet: create it without maxsize, or read "
            "it during the run, inside its consumer() block"
        )
    await queue.put(failure)


def _forget_locals(error: BaseException) -> None:
    """Free the local variables of the failed call; the traceback keeps its lines."""
    seen: set[int] = set()
    rest: list[BaseException | None] = [error]
    while rest:
        one = rest.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            clear_frames(one.__traceback__)
            rest += (one.__cause__, one.__context__)


def note_failure(stage: Stage, failure: Failure, what: str) -> None:
    """Add the item and the stage to the error, and log what becomes of it."""
    after = f" at attempt {failure.attempts}" if failure.attempts > 1 else ""
    shown = _shown(failure.item)
    failure.error.add_note(f"in stage {failure.stage!r}{after}, item: {shown}")
    _log(logging.WARNING, what, stage, failure.item, failure.error, failure.attempts)


def _shown(item: Any) -> str:  # noqa: ANN401
    try:
        return _SHORT.repr(item)
    except Exception:  # noqa: BLE001 - an item's __repr__ is the program's
        return f"a {type(item).__name__}"


def _log(
    level: int,
    what: str,
    stage: Stage,
    item: Any,  # noqa: ANN401
    error: BaseException,
    attempts: int,
    *args: object,
) -> None:
    """Log what became of an attempt, as ``stage: item: what: error``."""
    if _LOGGER.isEnabledFor(level):
        name = stage.spec.name
        shown = _shown(item_of(stage, item))
        _LOGGER.log(
            level,
            f"%s: %s at attempt %d, {what}: %s",
            name,
            shown,
            attempts,
            *args,
            # A handler may keep the record: not the error, with the locals of the call.
            repr(error),
            extra={"stage": name, "item": shown, "attempt": attempts},
        )
