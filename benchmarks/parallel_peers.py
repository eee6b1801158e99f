"""The peers of benchmarks.parallel, each behind one face: map a list, in processes kept warm."""

from __future__ import annotations

__all__ = ("PEERS", "Map", "OwnLoop", "gcd_in", "open_peer")

import asyncio
import math
import multiprocessing
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import Any, Final, Self, TypeAlias

from aconcur.parallel import Pool, open_pool

WORKERS: Final = 2
Map: TypeAlias = Callable[[Callable[[Any], Any], Sequence[Any], int], object]
"""Maps a function over items, so many of them in a message, and returns when all is done."""


class OwnLoop:
    """A loop with an open pool, which runs one coroutine after the other."""

    def __init__(self, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._options = options
        self._stop = asyncio.Event()
        self.pool: Pool
        self._task: asyncio.Task[None]

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self.run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._close())
        self._runner.__exit__(None, None, None)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end."""
        return self._runner.run(work)

    async def _open(self) -> None:
        opened = asyncio.Event()

        async def hold() -> None:
            async with open_pool(WORKERS, **self._options) as self.pool:
                opened.set()
                await self._stop.wait()

        self._task = asyncio.create_task(hold())
        await opened.wait()
        await self.pool.map(abs, range(5000)).collect()

    async def _close(self) -> None:
        self._stop.set()
        await self._task


def gcd_in(pair: tuple[int, int]) -> int:
    return math.gcd(*pair)


@contextmanager
def _aconcur() -> Iterator[Map]:
    with OwnLoop() as loop:

        async def work(fn: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
            return await loop.pool.map(fn, items).collect()

        yield lambda fn, items, _: loop.run(work(fn, items))


@contextmanager
def _aconcur_loop() -> Iterator[Map]:
    with OwnLoop() as loop:

        async def work(fn: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
            return [result async for result in loop.pool.map(fn, items)]

        yield lambda fn, items, _: loop.run(work(fn, items))


@contextmanager
def _executor() -> Iterator[Map]:
    with ProcessPoolExecutor(WORKERS) as executor:
        yield lambda fn, items, chunk: list(executor.map(fn, items, chunksize=chunk))


@contextmanager
def _mp_map() -> Iterator[Map]:
    with multiprocessing.Pool(WORKERS) as pool:
        yield lambda fn, items, _: pool.map(fn, items)


@contextmanager
def _mp_imap() -> Iterator[Map]:
    with multiprocessing.Pool(WORKERS) as pool:
        yield lambda fn, items, chunk: list(pool.imap(fn, items, chunksize=chunk))


@contextmanager
def _loky() -> Iterator[Map]:
    import loky

    executor = loky.ProcessPoolExecutor(WORKERS)
    try:
        yield lambda fn, items, chunk: list(executor.map(fn, items, chunksize=chunk))
    finally:
        executor.shutdown(kill_workers=True)


@contextmanager
def _joblib() -> Iterator[Map]:
    import joblib

    with joblib.Parallel(n_jobs=WORKERS) as parallel:
        yield lambda fn, items, _: parallel(joblib.delayed(fn)(item) for item in items)


@contextmanager
def _mpire() -> Iterator[Map]:
    from mpire.pool import WorkerPool

    with WorkerPool(WORKERS, keep_alive=True, start_method="forkserver") as pool:
        yield lambda fn, items, chunk: pool.map(
            fn, [(item,) for item in items], chunk_size=chunk, iterable_len=len(items)
        )


@contextmanager
def _pebble() -> Iterator[Map]:
    from pebble import ProcessPool

    with ProcessPool(WORKERS) as pool:
        yield lambda fn, items, chunk: list(pool.map(fn, items, chunksize=chunk).result())
        pool.stop()


@contextmanager
def _aiomultiprocess() -> Iterator[Map]:
    import aiomultiprocess

    async def call(fn: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return list(await pool.map(_as_coroutine, [(fn, item) for item in items]))

    async def enter() -> Any:
        return await stack.enter_async_context(aiomultiprocess.Pool(WORKERS))

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        pool = runner.run(enter())
        try:
            yield lambda fn, items, _: runner.run(call(fn, items))
        finally:
            pool.terminate()
            runner.run(pool.join())


async def _as_coroutine(call: tuple[Callable[[Any], Any], Any]) -> Any:
    return call[0](call[1])


@contextmanager
def _dask() -> Iterator[Map]:
    import distributed

    dask: Any = distributed  # without types
    with (
        dask.LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        dask.Client(cluster) as client,
    ):
        executor = client.get_executor(pure=False)

        def work(fn: Callable[[Any], Any], items: Sequence[Any], chunk: int) -> list[Any]:
            chunks = [(fn, items[at : at + chunk]) for at in range(0, len(items), chunk)]
            return [result for part in executor.map(_whole, chunks) for result in part]

        yield work


def _whole(chunk: tuple[Callable[[Any], Any], Sequence[Any]]) -> list[Any]:
    return [chunk[0](item) for item in chunk[1]]


PEERS: Final = {
    "aconcur, collect()": _aconcur,
    "aconcur, async for": _aconcur_loop,
    "ProcessPoolExecutor.map": _executor,
    "multiprocessing.Pool.map": _mp_map,
    "multiprocessing.Pool.imap": _mp_imap,
    "loky": _loky,
    "joblib": _joblib,
    "mpire": _mpire,
    "pebble": _pebble,
    "aiomultiprocess": _aiomultiprocess,
    "dask": _dask,
}


def open_peer(name: str, stack: ExitStack) -> Map | None:
    """Start a peer; None, and a line on stdout, if it is not installed."""
    try:
        return stack.enter_context(PEERS[name]())
    except ImportError as error:
        print(f"({name} is left out: {error})")
        return None
