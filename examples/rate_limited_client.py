"""A client of an API that allows 50 requests a second, and refuses any more.

``python examples/rate_limited_client.py [REQUESTS]``

The API runs here too: it counts requests, and answers 429 to clients that are too fast. The client
stays below the limit, so that it is never refused, with as many requests in flight as it needs.
"""

from __future__ import annotations

import sys
from collections import deque

import anyio

from aconcur.pipeline import COLLECT, Limiter, Retry, stage

LIMIT, LATENCY = 50, 0.2


class TooManyRequestsError(Exception):
    """The API's 429."""


class Api:
    """Answers after a while; allows LIMIT requests in any one second."""

    def __init__(self) -> None:
        self.refused, self.under_way, self.most = 0, 0, 0
        self._times = deque[float](maxlen=LIMIT)

    async def get(self, number: int) -> str:
        """Return a customer."""
        now = anyio.current_time()
        if len(self._times) == LIMIT and now - self._times[0] < 1:
            self.refused += 1
            raise TooManyRequestsError(number)
        self._times.append(now)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await anyio.sleep(LATENCY)
        self.under_way -= 1
        return f"customer {number}"


async def main(requests: int) -> None:
    """Ask for many customers, a little slower than is allowed."""
    api = Api()
    customers = stage(
        api.get,
        workers=20,
        limiter=Limiter(LIMIT * 0.9),
        timeout=5,
        # In case the API allows less than it says. A real client adds delay=retry_after.
        retry=Retry(4, backoff=1, on=TooManyRequestsError),
        on_error=COLLECT,
    )
    async with customers.open(range(requests)) as run:
        names = [name async for name in run]
    print(f"{len(names)} of {requests} customers in {run.report.seconds:.1f} s, ", end="")
    print(f"{api.refused} refused, at most {api.most} requests under way")
    print(run.report)


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 100)
