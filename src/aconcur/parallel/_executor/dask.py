"""A Dask cluster as an executor. Needs the extra ``dask``."""

from __future__ import annotations

__all__ = ("Cluster", "cluster")

import logging
import time
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager, suppress
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast, final
from uuid import uuid4

import anyio
import anyio.to_thread

from aconcur._core.cpus import usable_cpus
from aconcur._core.validation import check_count, check_seconds
from aconcur._pool_worker.calls import Sealed, SealedCall, call_with_shared, forget
from aconcur._pool_worker.shared import Shared
from aconcur.errors import MissingRequirementError
from aconcur.parallel._errors import ClusterUnreachable
from aconcur.parallel._executor.call import ExecutorCall, joined, sender_for
from aconcur.parallel._pool.launch import check_main_for_spawn

if TYPE_CHECKING:
    from distributed import Client

# Seconds for which a count of workers is used. It only decides how much is in flight.
_FRESH: Final = 1.0
# Seconds to wait for a first worker before a warning.
_PATIENCE: Final = 2.0
# Seconds until a shared value is on the workers; scatter() waits as long for a first one.
_PLACING: Final = 30.0
_LOGGER: Final = logging.getLogger("aconcur.parallel")
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def _same(value: T) -> T:
    return value


@final
class _Placed:
    """A shared value on the workers. It is freed with its handle and the last call that may use it.

    Args:
        key: its key.
        held: distributed's future, which keeps it on the workers.
    """

    __slots__ = ("__weakref__", "held", "key")

    def __init__(self, key: str, held: Any) -> None:  # noqa: ANN401
        self.key: str = key
        self.held: Any = held


@final
class Cluster(Executor):
    """The workers of a scheduler, as an executor of PEP 3148. Made by :func:`cluster`.

    If a worker dies, the scheduler gives its calls to others. A call that kills four workers in a
    row fails with distributed's ``KilledWorker``.
    """

    def __init__(self, client: Client, workers: int) -> None:
        loop = client.loop
        assert loop is not None
        self._loop = loop
        self._client, self._scheduler = client, cast(Any, client.scheduler)
        # pure=False gives each call a name of its own, so two equal calls are made twice.
        self._executor: Executor = client.get_executor(pure=False)  # type: ignore[no-untyped-call]
        self._address = str(self._scheduler.address)
        self._shared: dict[str, _Placed] = {}
        self._workers, self._asked = workers, time.monotonic()

    def __repr__(self) -> str:
        return f"<Cluster {self.address}: {self.workers} workers>"

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return self._address

    @property
    def workers(self) -> int:
        """How many calls the workers run at once, as the scheduler reported in the last second."""
        if time.monotonic() - self._asked > _FRESH:
            self._asked = time.monotonic()
            self._loop.add_callback(self._ask)
        return self._workers

    async def _ask(self) -> None:
        with suppress(OSError):  # the connection is being closed or restored
            self._workers = sum((await self._scheduler.ncores()).values())

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call the function in a worker. Without a worker the call waits.

        Cost: a call takes milliseconds, see ``python -m benchmarks.parallel_cluster``. Put many
        short calls into one, as :func:`map` does.
        """
        if not self._shared:
            return self._executor.submit(fn, *args, **kwargs)
        # Dask brings what a call depends on to its worker, also to one that comes later. There it
        # is stored before the handles among the arguments are unpickled.
        call: Any = fn
        if not isinstance(fn, ExecutorCall):
            whole = fn, args, kwargs
            call = SealedCall(joined(sender_for(self).encode_call(fn, whole)))
        placed = list(self._shared.values())
        keys, held = tuple(one.key for one in placed), [one.held for one in placed]
        future = self._executor.submit(call_with_shared, call, keys, *held)
        future.add_done_callback(lambda _: placed.clear())
        return future

    async def share(self, value: T) -> Shared[T]:
        """Send a value to all workers once, and return a handle to pass to functions.

        A function gets the value by :meth:`Shared.get`, as from :meth:`Pool.share`. Workers that
        come later get it with their first call. It is freed when the handle is
        garbage-collected and the calls that were made before that have ended.

        **Cancelled**: waits until the value has been sent, and frees it.

        Raises:
            TimeoutError: the cluster has no workers.
            Exception: raised by pickling the value.
        """
        key = f"aconcur-{uuid4().hex}"
        sealed = joined(sender_for(self).encode_value(value))
        placed = _Placed(key, await anyio.to_thread.run_sync(self._place, key, sealed))
        add = self._loop.add_callback
        weakref.finalize(placed, add, self._free, key, placed.held).atexit = False
        self._shared[key] = placed
        shared = Shared(value, key)
        weakref.finalize(shared, self._shared.pop, key).atexit = False
        return shared

    def _place(self, key: str, sealed: Sealed) -> Any:  # noqa: ANN401
        """Send a value to all workers.

        As the result of a task, and not by ``scatter()``: Dask makes it again if all workers that
        have it are lost, where scattered data would be gone.
        """
        import dask.config

        client: Any = self._client
        # The value is part of the task, which Dask would warn of.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PiB"}):
            held = client.submit(_same, sealed, key=key, pure=False)
        client.sync(client._replicate, [held], callback_timeout=_PLACING)  # noqa: SLF001
        return held

    async def _free(self, key: str, held: Any) -> None:  # noqa: ANN401
        held.release()
        with suppress(OSError):
            await cast(Any, self._client)._run(forget, key)  # noqa: SLF001 - run() would block

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; wait for those under way, or cancel them."""
        self._executor.shutdown(wait=wait and not cancel_futures)


@asynccontextmanager
async def cluster(
    address: str | None = None,
    *,
    workers: int | None = None,
    timeout: float = 10.0,  # noqa: ASYNC109 - for the connection alone
    security: Any = None,  # noqa: ANN401 - distributed's Security; it is not imported here
) -> AsyncIterator[Cluster]:
    """Connect to a Dask scheduler, and yield its workers as an executor.

    ::

        async with cluster("tcp://10.0.0.7:8786") as executor:
            async for answer in parallel.map(gcd, pairs, executor=executor):
                print(answer)

    ``dask scheduler`` starts a scheduler, ``dask worker ADDRESS`` a worker, on any machine. Workers
    need the same version of this library and the modules that functions come from. Functions that
    ``__main__`` defines are sent by value. A pipeline's stage takes the executor as ``via=``.

    Pickles cross the network, and unpickling runs code: connect to schedulers that you trust, and
    use TLS on networks that you do not own.

    If the scheduler has no workers yet, the block begins after two seconds, with a warning in the
    log of ``aconcur.parallel``.

    Args:
        address: ``tcp://HOST:PORT`` or ``HOST:PORT``; ``tls://`` with ``security``. None: start a
            scheduler and workers on this machine, for the time of the block.
        workers: how many worker processes to start on this machine; None: the number of processors
            that this process may use.
        timeout: seconds to wait for the scheduler.
        security: a ``distributed.Security``, for TLS.

    Raises:
        ClusterUnreachable: no scheduler answers.
        WorkerStartError: without an address: ``__main__`` has no guard, or is not a file. Dask
            starts workers by multiprocessing's "spawn".
        MissingRequirementError: the extra ``dask`` is not installed.
        TypeError: ``timeout`` is not a number.
        ValueError: ``timeout`` is not more than 0, or ``address`` is not an address.

    **Cancelled**, or when the block ends: pending calls are cancelled and the connection is closed.
    Scheduler and workers go on, except those that were started here; a call that a worker runs
    cannot be stopped.
    """
    check_seconds("timeout", timeout, above=True)
    if workers is not None:
        check_count("workers", workers, 1)
    try:
        from distributed import Client
        from distributed.comm.addressing import parse_address, parse_host_port
    except ImportError:
        raise MissingRequirementError("module distributed", "pip install 'aconcur[dask]'") from None
    if address is None:
        check_main_for_spawn("cluster() without an address", "Start 'dask worker' yourself")
        async with (
            _local_cluster(workers or usable_cpus()) as local,
            cluster(local, timeout=timeout, security=security) as executor,
        ):
            yield executor
        return
    if workers is not None:
        raise TypeError(f"workers={workers} is for a local cluster: {address} has its own")
    try:
        # A client that was given something else than an address is left half built.
        parse_host_port(parse_address(address)[1])
    except ValueError as error:
        raise ValueError(f"address must be tcp://HOST:PORT, not {address!r}: {error}") from None
    connect = partial(
        Client, address, timeout=timeout, security=security, set_as_default=False, name="aconcur"
    )
    try:
        client = await anyio.to_thread.run_sync(connect)
    except (OSError, ValueError) as error:
        raise ClusterUnreachable(address, timeout, str(error)) from error
    try:
        threads = await anyio.to_thread.run_sync(client.nthreads)
        if not threads:
            threads = await _wait_for_a_worker(client, address)
        executor = Cluster(client, sum(threads.values()))
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(client.close)


async def _wait_for_a_worker(client: Client, address: str) -> dict[str, int]:
    """Wait for the first worker, and log a warning if none comes soon."""
    ends = time.monotonic() + _PATIENCE
    threads: dict[str, int] = {}
    while not threads and time.monotonic() < ends:
        await anyio.sleep(0.1)
        threads = await anyio.to_thread.run_sync(client.nthreads)
    if not threads:
        _LOGGER.warning(
            "the scheduler at %s has no workers, so calls wait: start one with 'dask worker %s'",
            address,
            address,
        )
    return threads


@asynccontextmanager
async def _local_cluster(workers: int) -> AsyncIterator[str]:
    """Start a scheduler and workers on this machine, and yield its address."""
    from distributed import LocalCluster

    # Dask would leave its "dask-scratch-space" behind.
    folder = TemporaryDirectory(prefix="aconcur-", ignore_cleanup_errors=True)
    start = partial(
        LocalCluster,
        n_workers=workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        silence_logs=logging.ERROR,
        local_directory=folder.name,
        scheduler_kwargs={"local_directory": folder.name},
    )
    with anyio.CancelScope(shield=True):
        local = await anyio.to_thread.run_sync(start)
    try:
        yield str(local.scheduler_address)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(local.close)
            await anyio.to_thread.run_sync(folder.cleanup)
