"""Tasks that work for a block, and end with it."""

from __future__ import annotations

__all__ = ("tasks_beside",)

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def tasks_beside() -> AsyncIterator[TaskGroup]:
    """Give a block a task group that is cancelled when the block ends.

    What the block raises is raised as it is, where a bare task group wraps it in a group. A task
    that fails may cancel the block by the group's ``cancel_scope``; that ends quietly, so let the
    task note its error for whoever comes after.

    Raises:
        BaseExceptionGroup: what a task raised, if the block raised nothing.
    """
    left_by: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            try:
                yield tasks
            except BaseException as error:
                left_by = error
                raise
            finally:
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup:
        if left_by is None:
            raise
    else:
        return
    raise left_by
