"""A pool for programs without an event loop."""

from __future__ import annotations

__all__ = ("SyncPool", "open_pool_sync")

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar, final

from anyio.from_thread import BlockingPortal, start_blocking_portal

from aconcur._pool_worker.shared import Shared
from aconcur.parallel._map.results import Results
from aconcur.parallel._pool.pool import Pool, open_pool
from aconcur.parallel._pool.statistics import PoolStatistics

T = TypeVar("T")
R = TypeVar("R")


@final
class SyncPool:
    """A :class:`Pool` whose methods block. Made by :func:`open_pool_sync`.

    Its event loop runs in a thread of its own, in which also the input of maps is drawn. Methods
    may be called in any thread.
    """

    def __init__(self, pool: Pool, portal: BlockingPortal) -> None:
        self._pool, self._portal = pool, portal

    def __repr__(self) -> str:
        return repr(self._pool).replace("Pool", "SyncPool", 1)

    def run(self, fn: Callable[..., R], *args: Any, **options: Any) -> R:  # noqa: ANN401
        """Return ``fn(*args)``, called in a worker: see :meth:`Pool.run`."""
        return self._portal.call(partial(self._pool.run, fn, *args, **options))

    def submit(self, fn: Callable[..., R], *args: Any, **options: Any) -> Future[R]:  # noqa: ANN401
        """Start a call and return its future. Cancelling that stops the call."""
        return self._portal.start_task_soon(partial(self._pool.run, fn, *args, **options))

    def map(
        self,
        fn: Callable[..., R],
        items: Iterable[Any],
        *more: Iterable[Any],
        **options: Any,  # noqa: ANN401
    ) -> Generator[R, None, None]:
        """Yield ``fn(item)`` for all items: see :meth:`Pool.map` for the options.

        Closing the generator, or leaving the loop over it, ends the map.
        """
        return self._iterate(self._pool.map(fn, items, *more, **options))

    def _iterate(self, results: Results[R]) -> Generator[R, None, None]:
        try:
            while part := self._portal.call(results.take_part):
                yield from part
        finally:
            self._portal.call(results.aclose)

    def share(self, value: T) -> Shared[T]:
        """Send a value to each worker once: see :meth:`Pool.share`."""
        return self._portal.call(self._pool.share, value)

    def statistics(self) -> PoolStatistics:
        """Return the pool's current figures."""
        return self._pool.statistics()


@contextmanager
def open_pool_sync(workers: int | None = None, **options: Any) -> Iterator[SyncPool]:  # noqa: ANN401
    """Open a pool of worker processes for a program without an event loop.

    ::

        with open_pool_sync() as pool:
            for result in pool.map(compute, numbers):
                ...

    Args:
        workers: how many; None: as many as this process may use processors.
        **options: those of :func:`open_pool`.

    Raises:
        Exception: those of :func:`open_pool`.
    """
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_pool(workers, **options)) as pool,
    ):
        yield SyncPool(pool, portal)
