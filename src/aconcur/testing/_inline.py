"""Calls for threads, run where they are made: as one step of the task that waits for them.

Rule: only while an exploration runs, and only in place of what would start a real thread, whose
end no schedule decides.
"""

from __future__ import annotations

__all__ = ("calls_inline",)

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from contextvars import copy_context
from typing import Any, NoReturn, TypeVar

import anyio
from anyio.lowlevel import checkpoint

T = TypeVar("T")


@contextmanager
def calls_inline(backend: str) -> Iterator[None]:
    """Replace the ways into a thread during the block.

    asyncio's own, ``run_in_executor``, belongs to the explorer's loop already.
    """
    with ExitStack() as stack:
        if backend == "asyncio":
            from anyio._backends._asyncio import AsyncIOBackend

            stack.enter_context(_replaced(AsyncIOBackend, "run_sync_in_worker_thread", _method))
        else:
            import trio
            from anyio._backends._trio import TrioBackend

            stack.enter_context(_replaced(TrioBackend, "run_sync_in_worker_thread", _method))
            stack.enter_context(_replaced(trio.to_thread, "run_sync", _call))
        yield


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
        value = call(*args)
    except Exception as error:  # noqa: BLE001 - raised where it is asked for
        caught = error

        def fail() -> NoReturn:
            raise caught

        return fail
    return lambda: value


async def _of_backend(
    cls: object,  # noqa: ARG001 - a class method's signature
    func: Callable[..., T],
    args: tuple[Any, ...],
    abandon_on_cancel: bool = False,
    limiter: Any = None,
) -> T:
    return await _call(func, *args, abandon_on_cancel=abandon_on_cancel, limiter=limiter)


_method = classmethod(_of_backend)  # type: ignore[var-annotated]
