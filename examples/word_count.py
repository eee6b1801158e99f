"""Count the words of 2 000 files: in a pool, over an executor, on a cluster.

``python examples/word_count.py [pool] [executor] [cluster] [FILES]`` makes the files in a temporary
folder, counts them in each way that is named (pool and executor by default), and prints the seconds
that each took. The cluster is one of Dask's on this machine (``pip install 'aconcur[dask]'``).

The same with others, for comparison::

    with ProcessPoolExecutor() as executor:            # chunksize by hand, nothing on trio
        totals = sum(executor.map(count_words, files, chunksize=64), Counter())
    dask.bag.read_text(files).str.split().flatten().frequencies().compute()
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from aconcur import parallel
from aconcur.parallel import Results

WORDS = ("ship", "sail", "sea", "wind", "whale", "harbour", "rope", "star", "deck", "tide")


def write_files(folder: Path, count: int) -> list[Path]:
    """Write files of random words, the same ones in every run."""
    chosen = random.Random(7)
    files = [folder / f"{number}.txt" for number in range(count)]
    for file in files:
        file.write_text(" ".join(chosen.choices(WORDS, k=400)))
    return files


def count_words(file: Path) -> Counter[str]:
    """Return how often each word stands in a file. Runs in a worker."""
    return Counter(file.read_text().split())


async def counts(where: str, files: list[Path]) -> AsyncIterator[Counter[str]]:
    """Yield the counts of each file. Only the line that opens the workers differs."""
    results: Results[Counter[str]]
    if where == "pool":
        async with parallel.open_pool() as pool:
            async for one in pool.map(count_words, files):
                yield one  # noqa: ASYNC119 - iterated to its end
    elif where == "executor":
        with ProcessPoolExecutor(mp_context=get_context("spawn")) as executor:
            results = parallel.map(count_words, files, executor=executor)
            async for one in results:
                yield one  # noqa: ASYNC119 - iterated to its end
    else:
        async with parallel.cluster() as cluster:
            results = parallel.map(count_words, files, executor=cluster)
            async for one in results:
                yield one  # noqa: ASYNC119 - iterated to its end


async def main(ways: list[str], count: int) -> None:
    """Count in each way, and demand the same totals."""
    with TemporaryDirectory() as folder:
        files = write_files(Path(folder), count)
        known: Counter[str] | None = None
        for where in ways:
            began = time.perf_counter()
            totals = Counter[str]()
            async for one in counts(where, files):
                totals.update(one)
            print(f"{where}: {time.perf_counter() - began:.2f} s", file=sys.stderr)
            assert known is None or totals == known
            known = totals
    assert known is not None
    for word, number in known.most_common(3):
        print(word, number)
    print("words", known.total())


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[1:] if one.isdigit()]
    names = [one for one in sys.argv[1:] if not one.isdigit()]
    anyio.run(main, names or ["pool", "executor"], numbers[0] if numbers else 2000)
