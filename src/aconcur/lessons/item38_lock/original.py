"""Counters that threads share, and the lock they need.

Rule: `count += offset` reads, adds and writes; while Python
code runs between the read and the write, so may a thread.
Rule: only the holder of the lock is between the two.
"""

from __future__ import annotations

import platform
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import suppress
from itertools import repeat, takewhile
from queue import Empty, SimpleQueue
from select import select
from threading import (
    Barrier,
    BrokenBarrierError,
    Event,
    Lock,
    Thread,
)
from typing import TypeAlias

from aconcur.lessons.alone import alone
from aconcur.lessons.item38_lock.work import (
    WORKERS,
    Reading,
    at_least_one,
    line,
)

# A guess, in seconds. No count depends on it, only how long
# the attack on a locked counter takes.
PATIENCE = 0.05


class Counter:
    """A tally that loses updates."""

    def __init__(self) -> None:
        self.count = 0

    def increment(self, offset: int) -> None:
        """Add to a stale count."""
        self.count += offset


class LockingCounter:
    """A tally that loses nothing."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.count = 0

    def increment(self, offset: int) -> None:
        """Add the offset, alone.

        An error in it adds nothing and
        frees the lock.
        """
        with self.lock:
            self.count += offset


class CheckedCounter:
    """A tally whose count is checked before it is stored.

    `increment` is Counter's, word for word. The check runs
    between the read and the write of plain numbers too.
    """

    def __init__(
        self, check: Callable[[int], object]
    ) -> None:
        self._check = check
        self._count = 0

    @property
    def count(self) -> int:
        """The samples counted so far."""
        return self._count

    @count.setter
    def count(self, value: int) -> None:
        self._check(value)
        self._count = value

    def increment(self, offset: int) -> None:
        """Add to a stale count."""
        self.count += offset


AnyCounter: TypeAlias = (
    Counter | LockingCounter | CheckedCounter
)
Ended: TypeAlias = SimpleQueue[Exception | None]


def worker(
    counter: AnyCounter,
    offsets: Iterable[int],
) -> None:
    """Count a sensor's samples."""
    for offset in offsets:
        counter.increment(offset)


def outcome(ended: Ended) -> Exception | None:
    """Wait for a worker to end; return its error.

    It waits in slices: a Ctrl-C that comes just before an
    endless wait is seen only when that wait is over.
    """
    while True:
        with suppress(Empty):
            return ended.get(timeout=0.2)


def race(
    counter: AnyCounter,
    samples: Sequence[Iterable[int]],
    stop: Callable[[], object],
) -> int:
    """Give each worker a thread; count all.

    ``stop`` must let the workers end soon:
    nothing else can end a thread. Raises
    the first error of a worker.
    """
    ended: Ended = SimpleQueue()

    def run(offsets: Iterable[int]) -> None:
        error: Exception | None = None
        try:
            worker(counter, offsets)
        except Exception as raised:  # noqa: BLE001
            error = raised
        finally:
            ended.put(error)

    threads = [
        Thread(target=run, args=(offsets,))
        for offsets in samples
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in threads:
            if error := outcome(ended):
                raise error
    except BaseException:
        stop()
        raise
    finally:
        for thread in threads:
            if thread.is_alive():
                thread.join()
    return counter.count


def meet(barrier: Barrier) -> None:
    """Wait until all are here, or the barrier is broken."""
    with suppress(BrokenBarrierError):
        barrier.wait()


def attack(
    counter: AnyCounter,
    workers: int,
    patience: float | None = None,
) -> int:
    """Count one sample each; meet before anybody writes.

    A lock keeps the others out, so the meeting must fail:
    ``patience`` is its limit, in seconds. Without a lock it
    waits as long as it takes; no slow thread can miss it.
    """
    all_read = Barrier(
        at_least_one(workers), timeout=patience
    )
    sample = Reading(1, lambda: meet(all_read))
    return race(
        counter, [[sample]] * workers, all_read.abort
    )


def without_lock(workers: int) -> int:
    """Return what an unlocked counter shows: always 1."""
    return attack(Counter(), workers)


def with_lock(workers: int) -> int:
    """Return what a locked counter shows: ``workers``."""
    return attack(LockingCounter(), workers, PATIENCE)


def without_lock_checked(workers: int) -> int:
    """Return what a checked counter shows: always 1.

    The samples are plain numbers; the workers meet in the
    check.
    """
    all_read = Barrier(at_least_one(workers))
    counter = CheckedCounter(lambda _: meet(all_read))
    return race(counter, [[1]] * workers, all_read.abort)


def hammer(
    counter: AnyCounter,
    workers: int,
    sensor: Callable[[], Iterable[int]],
) -> int:
    """Count a sensor's samples by each worker."""
    stop = Event()
    samples = [
        takewhile(lambda _: not stop.is_set(), sensor())
        for _ in range(at_least_one(workers))
    ]
    return race(counter, samples, stop.set)


def let_others_run() -> None:
    """Make the shortest call that lets go of the GIL."""
    select([], [], [], 0)


def count_many(workers: int, times: int) -> int:
    """Count ``times`` samples each; wait in the lock."""
    sample = Reading(1, let_others_run)
    return hammer(
        LockingCounter(),
        workers,
        lambda: repeat(sample, times),
    )


def read_first(times: int) -> Iterator[int]:
    """Yield samples, waiting before each."""
    for _ in range(times):
        let_others_run()
        yield 1


def count_many_read_first(workers: int, times: int) -> int:
    """Count ``times`` samples each; wait, then lock."""
    return hammer(
        LockingCounter(), workers, lambda: read_first(times)
    )


def count_alone(times: int) -> int:
    """Count ``times`` samples; the lock is always free."""
    counter = LockingCounter()
    worker(counter, repeat(1, times))
    return counter.count


def count_alone_unlocked(times: int) -> int:
    """Count ``times`` samples without a lock."""
    counter = Counter()
    worker(counter, repeat(1, times))
    return counter.count


def not_negative(count: int) -> None:
    """Check a count."""
    if count < 0:
        raise ValueError(
            f"a count must not be negative: {count}"
        )


def main(size: int) -> None:
    """Show the loss: by construction, then by luck."""
    print(
        f"{WORKERS} threads add 1 each,"
        " and all read before anyone writes:"
    )
    for what, entry in {
        "no lock": without_lock,
        "no lock, checked count": without_lock_checked,
        "threading.Lock": with_lock,
    }.items():
        print(line(what, entry(WORKERS), WORKERS))
    print(
        f"{WORKERS} threads add 1 {size} times each, left"
        f" to luck (Python {platform.python_version()}):"
    )
    counters: dict[str, AnyCounter] = {
        "no lock": Counter(),
        "no lock, checked count": CheckedCounter(
            not_negative
        ),
        "threading.Lock": LockingCounter(),
    }
    for what, counter in counters.items():
        count = hammer(
            counter, WORKERS, lambda: repeat(1, size)
        )
        print(line(what, count, WORKERS * size))


if __name__ == "__main__":
    with alone(
        __file__,
        __doc__,
        size=100_000,
        unit="updates a thread",
    ) as size:
        main(size)
