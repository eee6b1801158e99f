"""A cluster of Dask's as an executor. Needs the extra ``dask``."""

from __future__ import annotations

__all__ = ("Cluster", "cluster")

import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast, final

import anyio
import anyio.to_thread

from aconcur._core.validation import check_seconds
from aconcur.errors import MissingRequirementError
from aconcur.parallel._executor_errors import ClusterUnreachable

if TYPE_CHECKING:
    from distributed import Client

# Seconds for which a count of workers will do: it decides how much is under way, and no more.
_FRESH: Final = 1.0
P = ParamSpec("P")
R = TypeVar("R")


@final
class Cluster(Executor):
    """The workers of a scheduler, as an executor of PEP 3148. Made by :func:`cluster`.

    A worker that dies costs nothing but time: the scheduler has its calls done by others. A call
    that four workers in turn do not survive fails with distributed's ``KilledWorker``.
    """

    def __init__(self, client: Client, workers: int) -> None:
        loop = client.loop
        assert loop is not None
        self._loop = loop
        self._scheduler = cast(Any, client.scheduler)
        # A call has a name of its own: two equal ones are two calls.
        self._executor: Executor = client.get_executor(pure=False)  # type: ignore[no-untyped-call]
        self._address = str(self._scheduler.address)
        self._workers, self._asked = workers, time.monotonic()

    def __repr__(self) -> str:
        return f"<Cluster {self.address}: {self.workers} workers>"

    @property
    def address(self) -> str:
        """Where the scheduler is."""
        return self._address

    @property
    def workers(self) -> int:
        """How many calls the workers run at once, as the scheduler said within the last second."""
        if time.monotonic() - self._asked > _FRESH:
            self._asked = time.monotonic()
            self._loop.add_callback(self._ask)
        return self._workers

    async def _ask(self) -> None:
        with suppress(OSError):  # the connection is being closed, or mended
            self._workers = sum((await self._scheduler.ncores()).values())

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Have a worker call the function; it waits where there is no worker.

        Cost: see ``python -m benchmarks.parallel_cluster``: a call takes milliseconds, so put many
        short ones into one, as :func:`map` does.
        """
        return self._executor.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and wait for those under way or call them off."""
        self._executor.shutdown(wait=wait and not cancel_futures)


@asynccontextmanager
async def cluster(
    address: str,
    *,
    timeout: float = 10.0,  # noqa: ASYNC109 - for the connection alone
    security: Any = None,  # noqa: ANN401 - distributed's Security; it is not imported here
) -> AsyncIterator[Cluster]:
    """Connect to a scheduler of Dask's, and yield its workers as an executor.

    ::

        async with cluster("tcp://10.0.0.7:8786") as executor:
            async for answer in parallel.map(gcd, pairs, executor=executor):
                print(answer)

    ``dask scheduler`` starts one, ``dask worker ADDRESS`` a worker, on any machine. Workers need
    this library in the version that the caller has, and the modules that functions come from; what
    ``__main__`` defines travels by value. A pipeline's stage takes the executor by ``via=``.

    Pickles cross the network, and unpickling runs code: connect to schedulers that you trust, and
    on networks that you do not own over TLS.

    Args:
        address: ``tcp://HOST:PORT`` or ``HOST:PORT``; ``tls://`` with ``security``.
        timeout: seconds to wait for the scheduler.
        security: a ``distributed.Security``, for TLS.

    Raises:
        ClusterUnreachable: no scheduler answers.
        MissingRequirementError: the extra ``dask`` is not installed.
        TypeError: ``timeout`` is no number.
        ValueError: it is not above 0, or ``address`` is none.

    **Cancelled**, or when the block ends: calls that are left are called off and the connection is
    closed. Scheduler and workers go on; what a worker runs cannot be stopped.
    """
    check_seconds("timeout", timeout, above=True)
    try:
        from distributed import Client
        from distributed.comm.addressing import parse_address, parse_host_port
    except ImportError:
        raise MissingRequirementError("module distributed", "pip install 'aconcur[dask]'") from None
    try:
        # A client that is made for what is no address is left half made.
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
        executor = Cluster(client, sum(threads.values()))
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(client.close)
