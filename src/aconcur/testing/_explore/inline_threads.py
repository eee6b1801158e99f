"""Calls for threads, run where they are made: as one step of the task that waits for them.

Rule: only while an exploration runs, and only in place of what would start a real thread, whose
end no schedule decides. Such a call cannot wait for the loop, which waits for its end.
"""

from __future__ import annotations

__all__ = ("calls_inline", "in_call", "note_callback")

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from contextvars import copy_context
from functools import partial
from typing import Any, NoReturn, TypeVar

import anyio
import anyio.from_thread
from anyio._core._eventloop import claim_worker_thread
from anyio.lowlevel import checkpoint

from aconcur.testing._explore.errors import CallIntoLoopError
from aconcur.testing._explore.uncontrolled import refused

T = TypeVar("T")


class _Here(threading.local):
    promised: list[Any] | None = None
    """What the loop is to set for the call that runs in this thread; None where none does."""


_here = _Here()


@contextmanager
def in_call() -> Iterator[None]:
    """Let the block, a call for a thread, be refused to wait for the loop."""
    before, promised = _here.promised, list[Any]()
    _here.promised = promised
    try:
        yield
    finally:
        _here.promised = before
        for one in promised:
            for name in _waits(one):
                vars(one).pop(name, None)


def note_callback(callback: object, args: tuple[object, ...]) -> None:
    """Refuse to the call that runs here to wait for the callback that it gives to the loop.

    The callbacks of ``run_coroutine_threadsafe`` and of its like hold the future that they answer.
    A call that only leaves a callback behind, and goes on, is as good in a step as in a thread.
    """
    if _here.promised is None:
        return
    held = [getattr(callback, "__self__", None), *args]
    for cell in getattr(callback, "__closure__", None) or ():
        with suppress(ValueError):  # an empty cell
            held.append(cell.cell_contents)
    for one in held:
        for name in _waits(one):
            _here.promised.append(one)
            vars(one)[name] = partial(_wait, one, name)


def _waits(one: object) -> tuple[str, ...]:
    """Return the names of the methods that wait for a thing to be set."""
    if isinstance(one, Future):
        return "result", "exception"
    return ("wait",) if isinstance(one, threading.Event) else ()


def _wait(one: Any, name: str, timeout: float | None = None) -> object:
    """Stand for such a method."""
    there = one.done() if isinstance(one, Future) else one.is_set()
    if _here.promised is not None and not there:
        raise refused(CallIntoLoopError(f"{type(one).__name__}.{name}"))
    return getattr(type(one), name)(one, timeout)


@contextmanager
def calls_inline(backend: str) -> Iterator[None]:
    """Replace the ways into a thread during the block.

    asyncio's own, ``run_in_executor``, belongs to the explorer's loop already.
    """
    with ExitStack() as stack:
        if backend == "asyncio":
            from anyio._backends._asyncio import AsyncIOBackend

            stack.enter_context(_replaced(AsyncIOBackend, "run_sync_in_worker_thread", _method))
            _refuse_answers(stack, AsyncIOBackend)
        else:
            import trio
            from anyio._backends._trio import TrioBackend

            stack.enter_context(_replaced(TrioBackend, "run_sync_in_worker_thread", _method))
            stack.enter_context(_replaced(trio.to_thread, "run_sync", _call))
            _refuse_answers(stack, TrioBackend)
            for owner, name, said in (
                (trio._threads, "_send_message_to_trio", "trio.from_thread.run"),
                (trio.from_thread, "check_cancelled", "trio.from_thread.check_cancelled"),
            ):
                stack.enter_context(_replaced(owner, name, _refusing(owner, name, said)))
        yield


def _refuse_answers(stack: ExitStack, backend: type[Any]) -> None:
    portal = anyio.from_thread.BlockingPortal
    for owner, name, said in (
        (backend, "run_async_from_thread", "anyio.from_thread.run"),
        (backend, "run_sync_from_thread", "anyio.from_thread.run_sync"),
        (backend, "check_cancelled", "anyio.from_thread.check_cancelled"),
        (portal, "_check_running", "BlockingPortal.start_task_soon"),
    ):
        stack.enter_context(_replaced(owner, name, _refusing(owner, name, said)))


def _refusing(owner: Any, name: str, said: str) -> object:
    """Return the function, refused to calls that run inline."""
    really = getattr(owner, name)

    def call(*args: object, **options: object) -> object:
        if _here.promised is not None:
            raise refused(CallIntoLoopError(said))
        return really(*args, **options)

    # A class method is bound to its class by now.
    return staticmethod(call) if isinstance(vars(owner)[name], classmethod) else call


@contextmanager
def _replaced(owner: Any, name: str, stand_in: object) -> Iterator[None]:
    before = vars(owner)[name]
    setattr(owner, name, stand_in)
    try:
        yield
    finally:
        setattr(owner, name, before)


async def _call(
    sync_fn: Callable[..., T],
    *args: Any,
    thread_name: str | None = None,  # noqa: ARG001 - trio's signature
    abandon_on_cancel: bool = False,
    limiter: Any = None,
) -> T:
    """Do as the threads' ``run_sync``, in no thread."""
    await checkpoint()
    async with limiter or nullcontext():
        # Others go on before the call and after it, as beside a thread.
        with anyio.CancelScope(shield=not abandon_on_cancel):
            await checkpoint()
            answer: Callable[[], T] = _outcome(copy_context().run, sync_fn, *args)
            await checkpoint()
        return answer()


def _outcome(call: Callable[..., T], *args: Any) -> Callable[[], T]:
    """Call, and return what returns or raises the outcome later."""
    try:
        with in_call():
            value = call(*args)
    except Exception as error:  # noqa: BLE001 - raised where it is asked for
        caught = error

        def fail() -> NoReturn:
            raise caught

        return fail
    return lambda: value


async def _of_backend(
    cls: type[Any],
    func: Callable[..., T],
    args: tuple[Any, ...],
    abandon_on_cancel: bool = False,
    limiter: Any = None,
) -> T:
    token = cls.current_token()

    def call() -> T:
        # As in anyio's own threads: or `from_thread` says that there is no loop.
        with claim_worker_thread(cls, token):
            return func(*args)

    return await _call(call, abandon_on_cancel=abandon_on_cancel, limiter=limiter)


_method = classmethod(_of_backend)
