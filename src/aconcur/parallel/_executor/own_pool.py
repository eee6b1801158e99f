"""A pool that is opened for one map and closed with it."""

from __future__ import annotations

__all__ = ("map_in_own_pool",)

from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any

from aconcur.parallel._map.job import Job, MapOptions
from aconcur.parallel._pool.pool import Pool, new_supervisor


def map_in_own_pool(
    fn: Callable[..., Any],
    items: Iterable[Any] | AsyncIterable[Any],
    options: MapOptions,
    workers: int | None,
) -> Job:
    """Open a pool and start a map in it. The map's end closes the pool."""
    supervisor = new_supervisor(workers)
    supervisor.start()
    try:
        job = Pool(supervisor).begin(fn, items, options)
    except BaseException:
        supervisor.stop()
        raise
    job.own(supervisor)
    return job
