"""Fit a linear model of numpy by gradients that workers compute, each for a part of the data.

``python examples/gradient.py [pool] [executor] [cluster]``. The data are sent to each worker once
(:meth:`Pool.share`, :meth:`Cluster.share`, or an executor's initializer); in each round only the
weights go out, and one gradient comes back from each part.

The same with others, for comparison::

    Parallel(n_jobs=-1)(delayed(gradient)(x, y, w) for x, y in parts)   # joblib: data as memmaps
    client.gather(client.map(gradient, futures_of_parts, w=w))          # Dask alone
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeAlias

import anyio
import numpy as np
import numpy.typing as npt

from aconcur import parallel
from aconcur.parallel import Shared

Array: TypeAlias = npt.NDArray[np.float64]
Data: TypeAlias = tuple[Array, Array]
Gradients: TypeAlias = Callable[[Array], parallel.Results[Array]]

PARTS = 8
ROWS, COLUMNS = 40_000, 16
_data: list[Data] = []  # in a worker of the executor


def make_data() -> tuple[Data, Array]:
    """Return inputs and targets, and the weights that made them."""
    random = np.random.default_rng(7)
    weights = random.normal(size=COLUMNS)
    inputs = random.normal(size=(ROWS, COLUMNS))
    return (inputs, inputs @ weights + 0.01 * random.normal(size=ROWS)), weights


def gradient(data: Data, weights: Array, part: int) -> Array:
    """Return the gradient of the squared error over one part of the rows."""
    size = ROWS // PARTS
    inputs, targets = (one[part * size : (part + 1) * size] for one in data)
    found: Array = 2 * inputs.T @ (inputs @ weights - targets) / ROWS
    return found


def shared_gradient(data: Shared[Data], weights: Array, part: int) -> Array:
    """Run in a worker of a pool or a cluster."""
    return gradient(data.get(), weights, part)


def keep(data: Data) -> None:
    """Run first in each worker of the executor."""
    _data.append(data)


def kept_gradient(weights: Array, part: int) -> Array:
    """Run in a worker of the executor."""
    return gradient(_data[0], weights, part)


@asynccontextmanager
async def gradients(where: str, data: Data) -> AsyncGenerator[Gradients, None]:
    """Yield a function that starts a round: given the weights, it maps over all parts."""
    parts = range(PARTS)
    if where == "pool":
        async with parallel.open_pool() as pool:
            held = pool.share(data)
            yield lambda weights: pool.map(partial(shared_gradient, held, weights), parts)
    elif where == "executor":
        context: Any = get_context("spawn")
        with ProcessPoolExecutor(None, context, keep, (data,)) as executor:
            yield lambda weights: parallel.map(
                partial(kept_gradient, weights), parts, executor=executor
            )
    else:
        async with parallel.cluster() as cluster:
            far = await cluster.share(data)
            yield lambda weights: parallel.map(
                partial(shared_gradient, far, weights), parts, executor=cluster
            )


async def main(ways: list[str]) -> None:
    """Fit in each way, and print how far the weights are from the true ones."""
    data, true = make_data()
    for where in ways:
        weights: Array = np.zeros(COLUMNS)
        async with gradients(where, data) as start_round:
            for _ in range(30):
                found = await start_round(weights).collect()
                weights = weights - 0.3 * np.sum(found, axis=0)
        print(f"{where}: off by {np.abs(weights - true).max():.0e}")


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:] or ["pool", "executor"])
