"""Background tasks that end with a block."""

from __future__ import annotations

__all__ = ("scoped_tasks",)

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def scoped_tasks() -> AsyncIterator[TaskGroup]:
    """Give a block a task group that is cancelled when the block ends.

    An exception of the block is raised unchanged, where a bare task group would wrap it in an
    exception group. A task may end the block without an error by cancelling the group's
    ``cancel_scope``; it must then record the reason for the code that follows.

    Raises:
        BaseExceptionGroup: a task failed, which cancels the block, and the block raised nothing
            else.
    """
    block_error: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            try:
                yield tasks
            except BaseException as error:
                block_error = error
                raise
            finally:
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup:
        if block_error is None or isinstance(block_error, anyio.get_cancelled_exc_class()):
            raise
    else:
        return
    raise block_error
