"""Count in threads; print how many updates were lost, in %.

Rule: plain enough for any Python from 3.6 up, alone in its
file: `versions.py` runs it in every interpreter there is.
"""

import asyncio
import json
import sys
import threading

WORKERS = 5


class Plain(object):
    def __init__(self):
        self.count = 0

    def increment(self):
        self.count += 1


class Checked(Plain):
    @property
    def count(self):
        return self._count

    @count.setter
    def count(self, value):
        self._count = value


class ByName(Plain):
    def increment(self):
        setattr(self, "count", getattr(self, "count") + 1)


class Locking(Plain):
    def __init__(self):
        Plain.__init__(self)
        self.lock = threading.Lock()

    def increment(self):
        with self.lock:
            self.count += 1


def threads(counter, times):
    """Count by five threads; return the percentage lost."""

    def run():
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


def tasks(counter, times):
    """Count by five tasks that await inside the update."""

    async def sensor():
        await asyncio.sleep(0)
        return 1

    async def run():
        for _ in range(times):
            counter.count += await sensor()

    async def all_of_them():
        await asyncio.gather(
            *[run() for _ in range(WORKERS)]
        )

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(all_of_them())
    finally:
        loop.close()
    return lost(counter, times)


def lost(counter, times):
    """Return how many of the updates are missing, in %."""
    expected = WORKERS * times
    return 100.0 * (expected - counter.count) / expected


def main(times):
    """Print one line of JSON."""
    print(
        json.dumps(
            {
                "version": sys.version.split()[0],
                "row": {
                    "+=": threads(Plain(), times),
                    "+= of a property": threads(
                        Checked(), times
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
