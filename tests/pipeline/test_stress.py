"""Under random timeouts nothing is lost or doubled; Ctrl-C ends a run and leaves nothing.

``python -m benchmarks.pipeline_stress`` does the same with more items, beside other queues.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from benchmarks.pipeline_stress import (
    Outcome,
    end,
    interrupt,
    pipeline,
    queue,
    queue_iterated,
)
from tests.support.backends import BACKENDS

NATIVE = pytest.mark.parametrize("anyio_backend", [BACKENDS["asyncio"], BACKENDS["uvloop"]])


@NATIVE
@pytest.mark.parametrize("case", [queue, queue_iterated, pipeline])
async def test_timed_out_at_random(case: Callable[[int], Awaitable[Outcome]]) -> None:
    outcome = await case(150)
    assert outcome.timeouts
    assert sorted(outcome.came) == list(range(150))


@pytest.mark.parametrize("how", ["break", "cancel", "error"])
async def test_ended_with_threads_at_work(how: str) -> None:
    assert await end(how) > 0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_ends_a_run_and_its_threads(backend: str) -> None:
    assert interrupt(backend) > 0
