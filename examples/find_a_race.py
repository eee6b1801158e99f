"""Find the order of wake-ups that breaks a cache, and prove that the mended one has none.

``python examples/find_a_race.py``; the same in pytest is one line above an async test:
``@pytest.mark.explore``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.lowlevel import checkpoint

from aconcur.testing import explore, replay


class Cache:
    """Asks for each key once, or so it hopes: between its test and its write it awaits."""

    def __init__(self) -> None:
        self.entries: dict[str, int] = {}
        self.asked = 0

    async def fetch(self, key: str) -> int:
        """Ask a server, which takes a while."""
        await checkpoint()
        self.asked += 1
        return len(key)

    async def get(self, key: str) -> int:
        """Return the entry; ask if it is not there."""
        if key not in self.entries:
            self.entries[key] = await self.fetch(key)
        return self.entries[key]


class LockedCache(Cache):
    """Lets one task at a time test and write."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = anyio.Lock()

    async def get(self, key: str) -> int:
        """Return the entry; ask if it is not there."""
        async with self.lock:
            return await super().get(key)


def two_readers_of(make: Callable[[], Cache]) -> Callable[[], Awaitable[None]]:
    """Return a scenario: all that it uses is made anew for each schedule."""

    async def two_readers() -> None:
        cache = make()
        async with anyio.create_task_group() as group:
            group.start_soon(cache.get, "key")
            group.start_soon(cache.get, "key")
        assert cache.asked == 1, f"asked {cache.asked} times"

    return two_readers


def main() -> None:
    """Explore both caches on asyncio, and replay the failure on trio."""
    found = explore(two_readers_of(Cache))
    print(found)
    assert found.failure is not None
    again = replay(two_readers_of(Cache), found.failure.token, backend="trio")
    print("the same on trio:", again.summary())
    print("with a lock:", explore(two_readers_of(LockedCache), bound=3).check())


if __name__ == "__main__":
    main()
