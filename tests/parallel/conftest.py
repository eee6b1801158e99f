"""Pools for the tests: quick ones, unless the way of starting is what is tested."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aconcur.parallel import Pool, open_pool
from tests.support.backends import BACKENDS

# Workers know nothing of the loop. test_workers.py tries all pairs.
LOOPS = {"exec": "trio", "forkserver": "asyncio", "fork": "uvloop", "spawn": "asyncio"}


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try each way of starting on one loop, where a test asks for ``start``."""
    marks = metafunc.definition.iter_markers("parametrize")
    if "start" in metafunc.fixturenames and not any("start" in mark.args[0] for mark in marks):
        pairs = [
            pytest.param(start, BACKENDS[loop], id=f"{start}-{loop}")
            for start, loop in LOOPS.items()
        ]
        mark = pytest.mark.parametrize(
            ("start", "anyio_backend"), pairs, indirect=["anyio_backend"]
        )
        metafunc.definition.add_marker(mark)


@pytest.fixture
async def pool(no_leaked_tasks: None) -> AsyncIterator[Pool]:  # noqa: ARG001 - it looks when this is closed
    async with open_pool(2, start="fork") as opened:
        yield opened
