"""Wrong chains. Each error is expected: mypy (warn_unused_ignores) fails if one is not found."""

from __future__ import annotations

from aconcur.pipeline import THREADS, Pipeline, Queue, stage


async def download(url: str) -> bytes:
    return url.encode()


def count(numbers: list[int]) -> int:
    return len(numbers)


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
    stage(download, worker=3)  # type: ignore[call-overload]
    stage(download, via=THREADS, workers="3")  # type: ignore[call-overload]
    results: list[str] = await pipeline.collect(["a"])  # type: ignore[assignment]
    del results
    await queue.put("a")  # type: ignore[arg-type]
