"""Wrong chains. Each error is expected: mypy (warn_unused_ignores) fails if one is not found."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aconcur.pipeline import THREADS, Limiter, Pipeline, Queue, Retry, flow, stage
from aconcur.process import Command


async def download(url: str) -> bytes:
    return url.encode()


def count(numbers: list[int]) -> int:
    return len(numbers)


async def fetch(link: str, url: str) -> bytes:
    return (link + url).encode()


@asynccontextmanager
async def open_link() -> AsyncGenerator[str]:
    yield "link"


@asynccontextmanager
async def open_number() -> AsyncGenerator[int]:
    yield 1


async def wrong(pipeline: Pipeline[str, bytes], queue: Queue[int]) -> None:
    pipeline.map(count)  # type: ignore[arg-type]
    pipeline.map(count, via=THREADS)  # type: ignore[call-overload]
    pipeline.map(download)  # type: ignore[arg-type]
    pipeline.map(lambda data: data.no_such_method())  # type: ignore[attr-defined]
    pipeline.flat_map(count)  # type: ignore[arg-type]
    pipeline.filter(count)  # type: ignore[arg-type]
    pipeline | stage(count)  # type: ignore[arg-type]
    await pipeline.collect([1, 2])  # type: ignore[list-item]
    await pipeline.run(queue)  # type: ignore[arg-type]
    flow(int).map(download)  # type: ignore[arg-type]
    flow(str).batch(100, weight="size")  # type: ignore[call-overload]
    pipeline.open(["a"], total="3")  # type: ignore[arg-type]
    async with pipeline.serve() as service:
        await service.submit(3)  # type: ignore[arg-type]
        text: str = await service.submit("a")  # type: ignore[assignment]
        del text
    await pipeline.run(["a"], via="threads")  # type: ignore[arg-type]
    await pipeline.run([1], via=THREADS)  # type: ignore[list-item]
    await pipeline.run(["a"], key=abs)  # type: ignore[arg-type]
    await pipeline.run(["a"], progress=3)  # type: ignore[arg-type]
    await pipeline.run(["a"], journal="run.db")  # type: ignore[arg-type]
    stage(download, worker=3)  # type: ignore[call-overload]
    stage(download, via=THREADS, workers="3")  # type: ignore[call-overload]
    results: list[str] = await pipeline.collect(["a"])  # type: ignore[assignment]
    del results
    texts: Pipeline[str, str] = stage(str)
    texts.through(Command("gzip"))  # type: ignore[misc]
    pipeline.through("gzip")  # type: ignore[arg-type]
    pipeline.through(Command("gzip"), via=THREADS)  # type: ignore[call-arg]
    pipeline.fed_by([1])  # type: ignore[list-item]
    stage(download, limiter=3)  # type: ignore[call-overload]
    stage(download, limiter=Limiter("3"))  # type: ignore[arg-type]
    stage(download, limiter=Limiter(3), weight="size")  # type: ignore[call-overload]
    stage(download, key="host")  # type: ignore[call-overload]
    stage(fetch)  # type: ignore[arg-type]
    stage(download, resource=open_link)  # type: ignore[arg-type]
    stage(fetch, resource=open_number)  # type: ignore[misc]
    stage(fetch, resource=open_link, via=THREADS)  # type: ignore[call-overload]
    pipeline.map(fetch, resource=open_link)  # type: ignore[arg-type]
    stage(download, retry=3)  # type: ignore[call-overload]
    stage(download, retry=Retry(on="ValueError"))  # type: ignore[arg-type]
    stage(download, retry=Retry(delay="1 s"))  # type: ignore[arg-type]
    pipeline.rate_limit("3")  # type: ignore[arg-type]
    pipeline.rate_limit(3, weight=1)  # type: ignore[arg-type]
    pipeline.merge(3)  # type: ignore[arg-type]
    pipeline.merge([3]).map(len)  # type: ignore[arg-type]
    await queue.put("a")  # type: ignore[arg-type]
