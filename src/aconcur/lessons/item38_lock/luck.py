"""Count in threads, left to luck: how much is lost, in %.

Rule: any Python from 3.6 up can run this file by itself;
`versions.py` does so with every interpreter there is.
"""

import asyncio
import json
import sys
import threading
import typing

WORKERS = 5


class Plain:
    """An attribute: no call between read and write."""

    def __init__(self) -> None:
        self.count = 0

    def increment(self) -> None:
        """Add 1."""
        self.count += 1


class Property:
    """The same statement; reading and writing are calls."""

    def __init__(self) -> None:
        self._count = 0

    @property
    def count(self) -> int:
        """The count."""
        return self._count

    @count.setter
    def count(self, value: int) -> None:
        self._count = value

    def increment(self) -> None:
        """Add 1."""
        self.count += 1


class ByName(Plain):
    """Reading and writing are calls that stand there."""

    def increment(self) -> None:
        """Add 1."""
        count = getattr(self, "count")  # noqa: B009
        setattr(self, "count", count + 1)  # noqa: B010


class Locking(Plain):
    """A lock around both."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def increment(self) -> None:
        """Add 1, alone."""
        with self.lock:
            self.count += 1


# Python 3.6 has no other way to write it.
Counter = typing.Union[Plain, Property]  # noqa: UP007


def threads(counter: Counter, times: int) -> float:
    """Count by five threads; return the percentage lost."""

    def run() -> None:
        ready.wait()
        for _ in range(times):
            counter.increment()

    ready = threading.Barrier(WORKERS)
    started = [
        threading.Thread(target=run) for _ in range(WORKERS)
    ]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return lost(counter, times)


def tasks(counter: Counter, times: int) -> float:
    """Count by five tasks that await inside the update."""

    async def sensor() -> int:
        await asyncio.sleep(0)
        return 1

    async def run() -> None:
        for _ in range(times):
            counter.count += await sensor()

    async def all_of_them() -> None:
        await asyncio.gather(
            *[run() for _ in range(WORKERS)]
        )

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(all_of_them())
    finally:
        loop.close()
    return lost(counter, times)


def lost(counter: Counter, times: int) -> float:
    """Return how many of the updates are missing, in %."""
    expected = WORKERS * times
    return 100.0 * (expected - counter.count) / expected


def main(times: int) -> None:
    """Print one line of JSON."""
    print(
        json.dumps(
            {
                "version": sys.version.split()[0],
                "row": {
                    "+=": threads(Plain(), times),
                    "+= of a property": threads(
                        Property(), times
                    ),
                    "getattr, setattr": threads(
                        ByName(), times
                    ),
                    "with Lock": threads(Locking(), times),
                    # A turn of the loop an update: fewer.
                    "+= await": tasks(
                        Plain(), max(times // 100, 1)
                    ),
                },
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
