"""Pools for the tests: quick ones, unless the way of starting is what is tested."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aconcur.parallel import Pool, open_pool

METHODS = ("exec", "forkserver", "fork", "spawn")


@pytest.fixture(params=METHODS)
def start(request: pytest.FixtureRequest) -> str:
    method: str = request.param
    return method


@pytest.fixture
async def pool(no_leaked_tasks: None) -> AsyncIterator[Pool]:  # noqa: ARG001 - it looks when this is closed
    async with open_pool(2, start="fork") as opened:
        yield opened
