"""CPU work in other processes, driven from the event loop.

:func:`open_pool` starts worker processes of its own, for asyncio and trio. :func:`map` uses any
executor that is there; :func:`cluster` gives one for many machines.
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
    "Pool",
    "PoolClosed",
    "PoolStatistics",
    "Progress",
    "RemoteError",
    "RemoteTraceback",
    "Results",
    "Shared",
    "TaskTimeout",
    "WorkerDied",
    "WorkerStartError",
    "cluster",
    "map",
    "open_pool",
    "usable_cpus",
)

from aconcur._core.cpus import usable_cpus as usable_cpus
from aconcur._core.on_error import COLLECT as COLLECT
from aconcur._core.on_error import RAISE as RAISE
from aconcur._core.on_error import SKIP as SKIP
from aconcur._core.on_error import OnError as OnError
from aconcur._worker.shared import Shared as Shared
from aconcur.parallel._cluster import Cluster as Cluster
from aconcur.parallel._cluster import cluster as cluster
from aconcur.parallel._errors import PoolClosed as PoolClosed
from aconcur.parallel._errors import RemoteError as RemoteError
from aconcur.parallel._errors import RemoteTraceback as RemoteTraceback
from aconcur.parallel._errors import TaskTimeout as TaskTimeout
from aconcur.parallel._errors import WorkerDied as WorkerDied
from aconcur.parallel._errors import WorkerStartError as WorkerStartError
from aconcur.parallel._executor import map as map  # noqa: A004 - as an executor's
from aconcur.parallel._executor_errors import ClusterUnreachable as ClusterUnreachable
from aconcur.parallel._executor_errors import ExecutorBroken as ExecutorBroken
from aconcur.parallel._options import Failure as Failure
from aconcur.parallel._options import Progress as Progress
from aconcur.parallel._pool import Pool as Pool
from aconcur.parallel._pool import open_pool as open_pool
from aconcur.parallel._results import Results as Results
from aconcur.parallel._statistics import PoolStatistics as PoolStatistics
