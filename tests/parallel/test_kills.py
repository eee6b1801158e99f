"""Workers are killed at random; every item is accounted for."""

from __future__ import annotations

from aconcur.parallel._starting import Method
from benchmarks.parallel_kills import Account, rounds_of_kills


async def test_no_item_is_lost_however_workers_die(start: Method) -> None:
    account = Account()
    await rounds_of_kills(start, 0.01, account, kills=6)
    assert account.rounds == 1
    assert account.clean, account
