"""The pool and its peers, each behind one face: map a list, make one call, in processes kept warm.

Each is opened in a process of its own, by ``benchmarks.rival_process``, with its own defaults.
"""

from __future__ import annotations

__all__ = ("CALLERS", "MAPPERS", "OPTIONS", "WORKERS", "Caller", "Mapper", "loop_of", "open_own")

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager
from functools import partial
from typing import Any, Final, TypeAlias

from benchmarks.parallel_work import as_coroutine, in_turn

WORKERS: Final = 2

Function: TypeAlias = Callable[[Any], Any]
Mapper: TypeAlias = Callable[[Function, Sequence[Any], int], object]
"""Maps a function over items, so many of them in a message, and returns when all is done."""
Caller: TypeAlias = Callable[[int, Callable[..., Any], tuple[Any, ...]], object]
"""Makes so many calls of a function, one after the other, each when the last is done."""

OPTIONS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}
"""The loops: anyio's name and options of each."""


def loop_of(name: str) -> AbstractContextManager[Any]:
    """Run an event loop in a thread, while this one sleeps: a portal of anyio's to it."""
    from anyio.from_thread import start_blocking_portal

    backend, options = OPTIONS[name]
    return start_blocking_portal(backend, options)


@contextmanager
def open_own(loop: str = "asyncio", **options: Any) -> Iterator[tuple[Any, Any]]:
    """Open a pool of ours in a loop; yield the loop's portal and the pool."""
    from aconcur.parallel import open_pool

    with (
        loop_of(loop) as portal,
        portal.wrap_async_context_manager(open_pool(WORKERS, **options)) as pool,
    ):
        yield portal, pool


def _chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


# ------------------------------------------------------------------------ maps


@contextmanager
def _collect(loop: str) -> Iterator[Mapper]:
    async def work(fn: Function, items: Sequence[Any]) -> list[Any]:
        found: list[Any] = await pool.map(fn, items).collect()
        return found

    with open_own(loop) as (portal, pool):
        yield lambda fn, items, _: portal.call(work, fn, items)


@contextmanager
def _async_for(loop: str) -> Iterator[Mapper]:
    async def work(fn: Function, items: Sequence[Any]) -> list[Any]:
        return [result async for result in pool.map(fn, items)]

    with open_own(loop) as (portal, pool):
        yield lambda fn, items, _: portal.call(work, fn, items)


@contextmanager
def _executor() -> Iterator[Mapper]:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(WORKERS) as executor:
        yield lambda fn, items, chunk: list(executor.map(fn, items, chunksize=chunk))


@contextmanager
def _mp_map() -> Iterator[Mapper]:
    import multiprocessing

    with multiprocessing.Pool(WORKERS) as pool:
        yield lambda fn, items, chunk: pool.map(fn, items, chunksize=chunk or None)


@contextmanager
def _mp_imap() -> Iterator[Mapper]:
    import multiprocessing

    with multiprocessing.Pool(WORKERS) as pool:
        yield lambda fn, items, chunk: list(pool.imap(fn, items, chunksize=chunk))


@contextmanager
def _loky() -> Iterator[Mapper]:
    import loky

    with loky.ProcessPoolExecutor(WORKERS) as executor:
        yield lambda fn, items, chunk: list(executor.map(fn, items, chunksize=chunk))


@contextmanager
def _joblib() -> Iterator[Mapper]:
    import joblib

    with joblib.Parallel(n_jobs=WORKERS) as parallel:
        yield lambda fn, items, _: parallel(joblib.delayed(fn)(item) for item in items)


@contextmanager
def _mpire() -> Iterator[Mapper]:
    from mpire.pool import WorkerPool

    with WorkerPool(WORKERS, keep_alive=True) as pool:
        yield lambda fn, items, chunk: pool.map(
            fn, [(item,) for item in items], chunk_size=chunk, iterable_len=len(items)
        )


@contextmanager
def _pebble() -> Iterator[Mapper]:
    from pebble import ProcessPool

    with ProcessPool(WORKERS) as pool:
        yield lambda fn, items, chunk: list(pool.map(fn, items, chunksize=chunk).result())
        pool.stop()


@contextmanager
def _aiomultiprocess_pool() -> Iterator[tuple[Any, Any]]:
    import aiomultiprocess

    async def enter() -> Any:
        return await stack.enter_async_context(aiomultiprocess.Pool(WORKERS))

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        pool = runner.run(enter())
        try:
            yield runner, pool
        finally:
            pool.terminate()
            runner.run(pool.join())


@contextmanager
def _aiomultiprocess() -> Iterator[Mapper]:
    async def work(fn: Function, items: Sequence[Any], chunk: int) -> list[Any]:
        if chunk == 1:
            return list(await pool.map(as_coroutine, [(fn, item) for item in items]))
        calls = [(in_turn, (fn, part)) for part in _chunks(items, chunk)]
        return [one for part in await pool.map(as_coroutine, calls) for one in part]

    with _aiomultiprocess_pool() as (runner, pool):
        yield lambda fn, items, chunk: runner.run(work(fn, items, chunk))


@contextmanager
def _dask_client() -> Iterator[Any]:
    import distributed

    dask: Any = distributed  # without types
    with (
        dask.LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        dask.Client(cluster) as client,
    ):
        yield client


@contextmanager
def _dask() -> Iterator[Mapper]:
    with _dask_client() as client:
        executor = client.get_executor(pure=False)

        def work(fn: Function, items: Sequence[Any], chunk: int) -> list[Any]:
            calls = [(fn, part) for part in _chunks(items, chunk)]
            return [result for part in executor.map(in_turn, calls) for result in part]

        yield work


async def _by_hand(
    run: Callable[..., Coroutine[Any, Any, Any]], fn: Function, items: Sequence[Any], chunk: int
) -> list[Any]:
    """Map by hand: cut the items into chunks, start a task for each, put the results in order."""
    import anyio

    parts = _chunks(items, chunk)
    found: list[list[Any]] = [[]] * len(parts)
    limiter = anyio.CapacityLimiter(WORKERS)

    async def one(number: int) -> None:
        found[number] = await run(in_turn, (fn, parts[number]), limiter=limiter)

    async with anyio.create_task_group() as tasks:
        for number in range(len(parts)):
            tasks.start_soon(one, number)
    return [result for part in found for result in part]


@contextmanager
def _to_process() -> Iterator[Mapper]:
    from anyio.to_process import run_sync

    with loop_of("asyncio") as portal:
        yield lambda fn, items, chunk: portal.call(_by_hand, run_sync, fn, items, chunk)


@contextmanager
def _trio_parallel() -> Iterator[Mapper]:
    from trio_parallel import run_sync

    with loop_of("trio") as portal:
        # Its limiter is trio's own: the two that anyio's tasks wait for are enough.
        async def run(fn: Function, argument: Any, *, limiter: Any) -> Any:
            async with limiter:
                return await run_sync(fn, argument)

        yield lambda fn, items, chunk: portal.call(_by_hand, run, fn, items, chunk)


MAPPERS: Final[dict[str, Callable[[], AbstractContextManager[Mapper]]]] = {
    "aconcur, collect()": partial(_collect, "asyncio"),
    "aconcur, async for": partial(_async_for, "asyncio"),
    "aconcur, async for, uvloop": partial(_async_for, "uvloop"),
    "aconcur, async for, trio": partial(_async_for, "trio"),
    "ProcessPoolExecutor.map": _executor,
    "multiprocessing.Pool.map": _mp_map,
    "multiprocessing.Pool.imap": _mp_imap,
    "anyio.to_process": _to_process,
    "trio-parallel": _trio_parallel,
    "aiomultiprocess": _aiomultiprocess,
    "loky": _loky,
    "joblib": _joblib,
    "mpire": _mpire,
    "pebble": _pebble,
    "dask": _dask,
}


# ------------------------------------------------------------------- one call


@contextmanager
def _own_run(loop: str) -> Iterator[Caller]:
    async def work(times: int, fn: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        for _ in range(times):
            await pool.run(fn, *arguments)

    with open_own(loop) as (portal, pool):
        yield lambda *call: portal.call(work, *call)


@contextmanager
def _awaited(loop: str, module: str) -> Iterator[Caller]:
    from importlib import import_module

    run = import_module(module).run_sync

    async def work(times: int, fn: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        for _ in range(times):
            await run(fn, *arguments)

    with loop_of(loop) as portal:
        yield lambda *call: portal.call(work, *call)


@contextmanager
def _in_executor(kind: str) -> Iterator[Caller]:
    """As the standard library has it: ``loop.run_in_executor``."""
    from concurrent.futures import ProcessPoolExecutor

    async def work(times: int, fn: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(times):
            await loop.run_in_executor(executor, fn, *arguments)

    if kind == "thread":
        executor: Any = None
        with loop_of("asyncio") as portal:
            yield lambda *call: portal.call(work, *call)
        return
    if kind == "loky":
        import loky

        executor = loky.ProcessPoolExecutor(WORKERS)
    else:
        executor = ProcessPoolExecutor(WORKERS)
    with executor, loop_of("asyncio") as portal:
        yield lambda *call: portal.call(work, *call)


@contextmanager
def _mp_apply() -> Iterator[Caller]:
    import multiprocessing

    with multiprocessing.Pool(WORKERS) as pool:
        yield _repeated(pool.apply)


@contextmanager
def _mpire_apply() -> Iterator[Caller]:
    from mpire.pool import WorkerPool

    with WorkerPool(WORKERS, keep_alive=True) as pool:
        yield _repeated(pool.apply)


@contextmanager
def _pebble_schedule() -> Iterator[Caller]:
    from pebble import ProcessPool

    with ProcessPool(WORKERS) as pool:
        yield _repeated(lambda fn, arguments: pool.schedule(fn, args=arguments).result())
        pool.stop()


@contextmanager
def _joblib_call() -> Iterator[Caller]:
    import joblib

    with joblib.Parallel(n_jobs=WORKERS) as parallel:
        yield _repeated(lambda fn, arguments: parallel([joblib.delayed(fn)(*arguments)]))


@contextmanager
def _aiomultiprocess_apply() -> Iterator[Caller]:
    async def work(times: int, fn: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        for _ in range(times):
            await pool.apply(as_coroutine, (((partial(fn, *arguments[:-1])), arguments[-1]),))

    with _aiomultiprocess_pool() as (runner, pool):
        yield lambda *call: runner.run(work(*call))


@contextmanager
def _dask_submit() -> Iterator[Caller]:
    with _dask_client() as client:
        yield _repeated(lambda fn, arguments: client.submit(fn, *arguments, pure=False).result())


def _repeated(call: Callable[[Callable[..., Any], tuple[Any, ...]], object]) -> Caller:
    def work(times: int, fn: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        for _ in range(times):
            call(fn, arguments)

    return work


CALLERS: Final[dict[str, Callable[[], AbstractContextManager[Caller]]]] = {
    "aconcur, run()": partial(_own_run, "asyncio"),
    "aconcur, run(), uvloop": partial(_own_run, "uvloop"),
    "aconcur, run(), trio": partial(_own_run, "trio"),
    "anyio.to_process": partial(_awaited, "asyncio", "anyio.to_process"),
    "anyio.to_process, trio": partial(_awaited, "trio", "anyio.to_process"),
    "trio-parallel": partial(_awaited, "trio", "trio_parallel"),
    "ProcessPoolExecutor": partial(_in_executor, "process"),
    "multiprocessing.Pool.apply": _mp_apply,
    "aiomultiprocess": _aiomultiprocess_apply,
    "loky": partial(_in_executor, "loky"),
    "joblib": _joblib_call,
    "mpire": _mpire_apply,
    "pebble": _pebble_schedule,
    "dask": _dask_submit,
    "a thread, for comparison": partial(_in_executor, "thread"),
}
