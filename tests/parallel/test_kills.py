"""Workers are killed at random; every item is accounted for."""

from __future__ import annotations

import pytest

from aconcur.parallel import StartMethod
from benchmarks.parallel_kills import Account, rounds_of_kills
from tests.support.backends import BACKENDS


# Every way of starting and every loop, twice or once: workers know nothing of the loop, and all
# pairs of them are tried in test_workers.py and, for as long as one likes, by the benchmark.
@pytest.mark.parametrize(
    ("start", "anyio_backend"),
    [
        pytest.param(start, BACKENDS[loop], id=f"{start}-{loop}")
        for start, loop in (
            ("exec", "asyncio"),
            ("exec", "trio"),
            ("forkserver", "uvloop"),
            ("fork", "trio"),
            ("fork", "uvloop"),
            ("spawn", "asyncio"),
        )
    ],
    indirect=["anyio_backend"],
)
async def test_no_item_is_lost_however_workers_die(start: StartMethod) -> None:
    account = Account()
    await rounds_of_kills(start, 0.01, account, kills=6)
    assert account.rounds == 1
    assert account.clean, account
