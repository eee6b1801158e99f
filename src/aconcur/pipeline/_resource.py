"""A resource for each worker of a stage: opened when the worker starts, closed when it ends.

Rule 1: it is opened and closed in the worker's task, so it may hold task groups and cancel scopes.
Rule 2: it is opened before an item is taken, so an error of opening it loses none.
Rule 3: it is closed under a shield, whatever ends the worker, and before the worker counts as
gone: the run ends after all are closed, and an error of closing one ends the run.
"""

from __future__ import annotations

__all__ = ("OpenResource", "check_resource", "with_resource")

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from inspect import isasyncgenfunction, iscoroutinefunction
from math import inf
from typing import Any, TypeAlias, TypeVar

import anyio

R = TypeVar("R")

OpenResource: TypeAlias = Callable[[], AbstractAsyncContextManager[R]]
"""Returns the context manager of a worker's resource."""


def check_resource(opener: Any) -> None:  # noqa: ANN401
    """Refuse what does not return an async context manager, as far as one can tell.

    Raises:
        TypeError: it is not a function, or one of another kind.
    """
    if not callable(opener):
        raise TypeError(
            f"resource must be a function that returns an async context manager, not {opener!r}: "
            "each worker opens one"
        )
    if iscoroutinefunction(opener) or isasyncgenfunction(opener):
        raise TypeError(
            f"resource must return an async context manager, and {opener.__name__} is a coroutine "
            "or generator function: decorate it with contextlib.asynccontextmanager"
        )


async def with_resource(
    opener: OpenResource[Any], stage: str, use: Callable[[Any], Awaitable[None]]
) -> None:
    """Open the resource of a worker, use it, and close it in whatever way the use ends.

    Args:
        opener: returns its context manager.
        stage: the name of the worker's stage, for errors.
        use: is passed what the context manager returns.

    Raises:
        TypeError: ``opener`` returned something else.
    """
    left: BaseException | None = None
    did = "opening"
    # Around the resource: scopes that it holds end inside this one.
    with anyio.CancelScope() as scope:
        try:
            manager: Any = opener()
            if not hasattr(manager, "__aenter__"):
                raise TypeError(
                    f"resource= must return an async context manager, and returned {manager!r}"
                )
            async with manager as resource:
                did = "using"
                try:
                    await use(resource)
                except BaseException as error:
                    left = error
                    raise
                finally:
                    did = "closing"
                    scope.shield = True
            if left is not None:
                # It suppressed the error, and would make the items so far look like all there are.
                scope.shield = False
                if isinstance(left, anyio.get_cancelled_exc_class()) and not _is_cancelled():
                    # A task that ends by a cancellation of its own would end the run in silence.
                    raise RuntimeError(
                        "the resource's own cancel scope was cancelled while a worker used it: "
                        "raise an error there instead"
                    )
                raise left
        except Exception as error:
            if error is not left:
                error.add_note(f"raised by {did} the resource of stage {stage!r}")
            raise
        finally:
            # Its traceback refers to this frame: a cycle.
            left = None


def _is_cancelled() -> bool:
    """Return whether a scope around this task is cancelled."""
    return anyio.current_effective_deadline() == -inf
