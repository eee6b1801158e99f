"""CPU work in other processes, driven from an event loop of asyncio or trio.

:func:`open_pool` starts worker processes. :func:`map` uses an executor that the caller has;
:func:`cluster` makes one of the workers of a Dask cluster.
"""

from __future__ import annotations

__all__ = (
    "COLLECT",
    "RAISE",
    "SKIP",
    "Cluster",
    "ClusterUnreachable",
    "ExecutorBroken",
    "Failure",
    "OnError",
    "OnProgress",
    "Pool",
    "PoolClosed",
    "PoolStatistics",
    "RemoteError",
    "RemoteTraceback",
    "Results",
    "Shared",
    "StartMethod",
    "Submitted",
    "SyncPool",
    "TaskCancelled",
    "TaskTimeout",
    "WorkerDied",
    "WorkerStartError",
    "cluster",
    "map",
    "open_pool",
    "open_pool_sync",
    "usable_cpus",
)

from aconcur._core.cpus import usable_cpus as usable_cpus
from aconcur._core.on_error import COLLECT as COLLECT
from aconcur._core.on_error import RAISE as RAISE
from aconcur._core.on_error import SKIP as SKIP
from aconcur._core.on_error import OnError as OnError
from aconcur._pool_worker.shared import Shared as Shared
from aconcur._pool_worker.task import TaskCancelled as TaskCancelled
from aconcur.parallel._errors import ClusterUnreachable as ClusterUnreachable
from aconcur.parallel._errors import ExecutorBroken as ExecutorBroken
from aconcur.parallel._errors import PoolClosed as PoolClosed
from aconcur.parallel._errors import RemoteError as RemoteError
from aconcur.parallel._errors import RemoteTraceback as RemoteTraceback
from aconcur.parallel._errors import TaskTimeout as TaskTimeout
from aconcur.parallel._errors import WorkerDied as WorkerDied
from aconcur.parallel._errors import WorkerStartError as WorkerStartError
from aconcur.parallel._executor.dask import Cluster as Cluster
from aconcur.parallel._executor.dask import cluster as cluster
from aconcur.parallel._executor.map import map as map  # noqa: A004 - as an executor's
from aconcur.parallel._map.job import Failure as Failure
from aconcur.parallel._map.job import OnProgress as OnProgress
from aconcur.parallel._map.results import Results as Results
from aconcur.parallel._pool.launch import StartMethod as StartMethod
from aconcur.parallel._pool.pool import Pool as Pool
from aconcur.parallel._pool.pool import Submitted as Submitted
from aconcur.parallel._pool.pool import open_pool as open_pool
from aconcur.parallel._pool.statistics import PoolStatistics as PoolStatistics
from aconcur.parallel._pool.sync import SyncPool as SyncPool
from aconcur.parallel._pool.sync import open_pool_sync as open_pool_sync
