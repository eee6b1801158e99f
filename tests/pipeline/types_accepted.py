"""What mypy and pyright must understand of pipelines. Checked by them, never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Self, assert_type

from aconcur.parallel import open_pool
from aconcur.pipeline import (
    COLLECT,
    THREADS,
    Consumer,
    Failure,
    Fed,
    Journal,
    KeyedLimiter,
    Limiter,
    Pipeline,
    PipelineReport,
    Queue,
    Retry,
    Run,
    Service,
    StageOptions,
    flow,
    retry_after,
    stage,
)
from aconcur.process import Command


async def download(url: str) -> bytes:
    return url.encode()


async def save(data: bytes, *, folder: Path) -> Path:
    return folder / str(len(data))


def measure(path: Path) -> int:
    return len(str(path))


def lines(path: Path) -> list[str]:
    return [str(path)]


async def parts(path: Path) -> AsyncIterator[str]:
    yield str(path)


class Session:
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""

    def convert(self, price: float) -> int:
        return int(price)

    async def pages(self, price: float) -> AsyncIterator[bytes]:
        yield str(price).encode()


@asynccontextmanager
async def open_session() -> AsyncGenerator[Session]:
    yield Session()


async def charge(session: Session, url: str) -> float:
    return session.convert(len(url))


class Shop:
    async def price(self, size: int) -> float:
        return float(size)

    def tax(self, price: float) -> complex:
        return complex(price)


async def report(_: Failure) -> None: ...


def chains(executor: Executor, dead: Queue[Failure]) -> None:
    first = stage(download, workers=4, timeout=30, retry=Retry(3, backoff=0.2))
    assert_type(first, Pipeline[str, bytes])
    per_host = KeyedLimiter[str](lambda url: url[:9], 5, concurrency=2)
    assert_type(stage(download, limiter=per_host), Pipeline[str, bytes])
    assert_type(stage(download, limiter=Limiter(5), weight=len), Pipeline[str, bytes])
    assert_type(stage(download, workers=4, key=str.lower), Pipeline[str, bytes])
    charged = stage(charge, resource=open_session, workers=8, retry=Retry(3))
    assert_type(charged, Pipeline[str, float])
    assert_type(charged.map(Session.convert, resource=open_session), Pipeline[str, int])
    assert_type(charged.filter(Session.convert, resource=Session), Pipeline[str, float])
    assert_type(charged.flat_map(Session.pages, resource=Session), Pipeline[str, bytes])
    Retry(on=lambda error: error.errno == 11 if isinstance(error, OSError) else 0.5)
    Retry(on=(OSError, KeyError), delay=retry_after, within=60, budget=0.1)
    Retry(delay=lambda error, failed: failed * 2 if error.args else None)
    Retry(delay=1, on_retry=lambda failure, seconds: print(failure.item, round(seconds)))
    second = first.map(partial(save, folder=Path()), on_error=COLLECT)
    assert_type(second, Pipeline[str, Path])
    assert_type(second.map(measure, via=THREADS), Pipeline[str, int])
    assert_type(second.map(measure, via=executor, workers=2), Pipeline[str, int])
    assert_type(second.map(measure).map(Shop().price).map(Shop().tax), Pipeline[str, complex])
    assert_type(second.map(lambda path: path.name), Pipeline[str, str])
    assert_type(second.map(str), Pipeline[str, str])
    assert_type(second.flat_map(lines, via=THREADS), Pipeline[str, str])
    assert_type(second.flat_map(parts), Pipeline[str, str])
    assert_type(second.filter(lambda path: path.name), Pipeline[str, Path])
    assert_type(second.filter(measure, on_error=dead), Pipeline[str, Path])
    assert_type(second.filter(measure, on_error=report), Pipeline[str, Path])
    assert_type(second.batch(10, max_wait=1.5), Pipeline[str, list[Path]])
    assert_type(first | stage(len), Pipeline[str, int])


async def on_a_pool(sizes: Pipeline[str, Path], queue: Queue[int]) -> None:
    async with open_pool(2) as pool:
        assert_type(sizes.map(measure, via=pool), Pipeline[str, int])
        assert_type(stage(measure, via=pool, context="item"), Pipeline[Path, int])
    options: StageOptions = {"workers": 4, "buffer": 64}
    assert_type(stage(download, **options), Pipeline[str, bytes])
    with queue.consumer() as consumer, queue.from_thread() as end:
        assert_type(consumer, Consumer)
        assert_type(end.get(timeout=1), int)


def moving(texts: Pipeline[str, str], pages: Pipeline[str, bytes], queue: Queue[bytes]) -> None:
    assert_type(pages.rate_limit(10, per=60, burst=2), Pipeline[str, bytes])
    assert_type(pages.rate_limit(10, weight=len), Pipeline[str, bytes])
    assert_type(pages.merge(queue, [b"a"]), Pipeline[str, bytes])
    assert_type(pages.merge(pages.fed_by(["a"]), name="all"), Pipeline[str, bytes])
    assert_type(texts.merge([1, 2]), Pipeline[str, str | int])
    assert_type(texts.fed_by(["a"]), Fed[str])
    assert_type(pages.through(Command("gzip"), workers=4), Pipeline[str, bytes])
    assert_type(pages.through(Command("tar") | Command("gzip")), Pipeline[str, bytes])


async def runs(pipeline: Pipeline[str, int], urls: Iterable[str], queue: Queue[str]) -> None:
    assert_type(await pipeline.collect(urls), list[int])
    assert_type(await pipeline.run(queue), PipelineReport)
    journal = Journal("run.db")
    assert_type(
        await pipeline.run(urls, journal=journal, key=lambda url: url, progress=print),
        PipelineReport,
    )
    assert_type(await pipeline.collect(urls, journal=journal, key=len, progress=True), list[int])
    assert_type(pipeline.run_sync(["a"]), PipelineReport)
    assert_type(flow(str).batch(100, weight=len), Pipeline[str, list[str]])
    assert_type(flow(str).filter(str.isupper).map(len), Pipeline[str, int])
    assert_type(pipeline | flow(int), Pipeline[str, int])
    async with pipeline.open(urls, progress=print, total=3) as shown:
        assert_type(shown, Run[int])
    async with pipeline.serve() as service:
        assert_type(service, Service[str, int])
        assert_type(await service.submit("a"), int)
    assert_type(await pipeline.collect(urls, via=THREADS), list[int])
    assert_type(pipeline.fed_by(urls, via=THREADS, ahead=4), Fed[int])
    for size in pipeline.iter_sync(urls):
        assert_type(size, int)
    async with pipeline.open(urls) as run:
        assert_type(run, Run[int])
        async for result in run:
            assert_type(result, int)
    async for url in queue:
        assert_type(url, str)
    assert_type(await queue.get_many(), list[str])


def variance(narrow: Pipeline[object, bool]) -> Pipeline[str, int]:
    """Take anything and give a bool: that is a pipeline from str to int."""
    return narrow
