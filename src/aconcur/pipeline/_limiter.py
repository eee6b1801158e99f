"""Limits on the rate and the number of calls, shared by stages, runs and plain code.

States of an ``acquire``
    *admitted* at once; or *queued* → *first* → *admitted*, or cancelled from either. Only the first
    in the queue looks at the clock, so each is admitted in its turn and a heavy one is not starved.

Invariants
    1. In every window of a limit's seconds, wherever it begins, at most its amount is admitted. A
       log of admissions is kept for that; a token bucket would let twice the amount through. Only
       with ``burst=`` is it a bucket, kept as one point in time.
    2. Nothing is taken before the moment of admission, and no await follows it: a cancelled
       ``acquire`` never has to give anything back.
    3. A task that leaves the head of the queue, for whatever reason, wakes the next one.
    4. Another attempt of a stage at an item queues before the first attempts: its item is older.
       Items that fail would else wait for all others between two attempts.

Who calls whom
    ``Limiter.acquire`` queues; ``_Window.until_room`` says how long the head must wait; ``release``
    (of a limit on concurrency) wakes the head early. A stage calls ``try_acquire`` first, so that
    it counts only the time in which it really waits. ``Pipeline.rate_limit`` makes a ``RateLimit``,
    which lends one ``Limiter`` to the runs of a pipeline; the next stage's calls wait for it.
"""

from __future__ import annotations

__all__ = (
    "AnyLimiter",
    "KeyedLimiter",
    "Limiter",
    "LimiterStatistics",
    "RateLimit",
    "Weight",
    "limited",
    "trying_again",
)

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import (
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Hashable,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf
from threading import Lock
from typing import Any, Final, Generic, Never, TypeAlias, TypeVar, final

import anyio

from aconcur._core.loops import Loop, current_loop
from aconcur._core.validation import check_count, check_number, check_plain_function, check_seconds
from aconcur._core.wait_queue import Waiter, make_waiter, wake, yield_to_others
from aconcur.pipeline._timeouts import loop_clock

Item = TypeVar("Item", contravariant=True)
_NO_LOOP: Final = object()
# As asyncio.get_running_loop, but it answers None where that raises.
_running_loop: Final = asyncio._get_running_loop  # noqa: SLF001
# Admissions without a wait between two points where other tasks run.
_STRIDE: Final = 127
trying_again: Final = ContextVar("trying_again", default=False)
"""Whether a worker of a stage makes another attempt at an item."""
# Keys that a KeyedLimiter has before it looks for idle ones.
_FEW: Final = 1000
# Admitted amounts, and points in time, are sums of floats, and these are not exact.
_ROUNDING: Final = 1e-9
# Admissions within this part of a window are one entry of its log.
_SLOTS: Final = 4096


@final
@dataclass(frozen=True, slots=True)
class LimiterStatistics:
    """What a limiter does at one moment."""

    waiting: int
    """Tasks that wait in :meth:`Limiter.acquire`."""
    running: int
    """Calls that were admitted and not released; 0 without ``concurrency``."""
    used: tuple[float, ...]
    """The weight admitted in the last seconds, for each window; with ``burst`` first how much of it
    is used up."""


@final
class _Window:
    """One limit: an amount in so many seconds.

    Admissions that are close together are one entry of the log, which counts until the last of them
    is over. So the log stays short, and a window still never admits too much.
    """

    __slots__ = ("amount", "last", "limit", "log", "seconds", "slot_ends", "used")

    def __init__(self, amount: float, seconds: float) -> None:
        self.amount, self.seconds = amount, seconds
        self.limit = amount * (1 + _ROUNDING)
        self.log = deque[list[float]]()  # until when it counts, and how much
        self.last = [0.0, 0.0]  # of the log, while the slot has not ended
        self.slot_ends = -inf
        self.used = 0.0

    def forget(self, now: float) -> None:
        """Leave out what was admitted before the window."""
        log = self.log
        while log and log[0][0] <= now:
            self.used -= log.popleft()[1]
        if not log:
            self.used, self.slot_ends = 0.0, -inf

    def until_room(self, now: float, weight: float) -> float:
        """Return the seconds until so much more may be admitted; 0 if it may now."""
        self.forget(now)
        excess = self.used + weight - self.limit
        if excess <= 0:
            return 0.0
        for until, amount in self.log:
            excess -= amount
            if excess <= 0:
                return until - now
        return self.log[-1][0] - now

    def add(self, now: float, weight: float) -> None:
        """Count what is admitted now."""
        if now < self.slot_ends:
            self.last[0] = now + self.seconds
            self.last[1] += weight
        else:
            self.last = [now + self.seconds, weight]
            self.log.append(self.last)
            self.slot_ends = now + self.seconds / _SLOTS
        self.used += weight

    def shift(self, seconds: float) -> None:
        """Follow another clock."""
        for entry in self.log:
            entry[0] += seconds
        self.slot_ends = -inf


def _never() -> bool:
    return False


@final
class _Bucket:
    """As many at once as it holds, then one after the other: kept as one point in time.

    Source: the generic cell rate algorithm, ITU-T I.371, 2004.
    """

    __slots__ = ("_full", "amount", "gap")

    def __init__(self, amount: float, gap: float) -> None:
        self.amount, self.gap = amount, gap
        self._full = -inf  # when the bucket will be full

    def used(self, now: float) -> float:
        """Return how much is missing from it."""
        return max(0.0, self._full - now) / self.gap

    def until_room(self, now: float, weight: float) -> float:
        """Return the seconds until so much may be admitted; 0 if it may now."""
        seconds = self._full - now - (self.amount - weight) * self.gap
        return seconds if seconds > _ROUNDING else 0.0

    def add(self, now: float, weight: float) -> None:
        """Count what is admitted now."""
        self._full = max(self._full, now) + weight * self.gap

    def shift(self, seconds: float) -> None:
        """Follow another clock."""
        self._full += seconds


@final
class _Turn:
    """A task in the queue."""

    __slots__ = ("again", "waiter")

    def __init__(self, again: bool) -> None:
        self.again = again
        self.waiter: Waiter | None = None


@final
class _Done:
    """An awaitable that returns at once: it costs less than a coroutine."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        return _AT_ITS_END


# All that ``await`` needs of an iterator.
_AT_ITS_END: Final[Generator[Any, Any, None]] = iter(())  # type: ignore[assignment]
_DONE: Final[Coroutine[Any, Any, None]] = _Done()  # type: ignore[assignment]


@final
class _Weighted(AbstractAsyncContextManager[None]):
    __slots__ = ("_limiter", "_weight")

    def __init__(self, limiter: Limiter, weight: float) -> None:
        self._limiter, self._weight = limiter, weight

    def __aenter__(self) -> Coroutine[Any, Any, None]:
        limiter, weight = self._limiter, self._weight
        return _DONE if limiter.try_acquire(weight) else limiter._wait(weight)  # noqa: SLF001 - the same module

    def __aexit__(self, *_: object) -> Coroutine[Any, Any, None]:
        return self._limiter.__aexit__()


@final
class Limiter:
    """A limit on the rate of calls, on how many run at once, or both.

    ::

        limiter = Limiter(100, per=60, concurrency=5)
        async with limiter:
            await client.get(url)
        async with limiter(weight=350):  # such as tokens of a model, or kilobytes
            ...
        await stage(fetch, workers=20, limiter=limiter, retry=Retry(3)).run(urls)

    In every span of ``per`` seconds, wherever it begins, at most ``rate`` calls are admitted (or
    calls that weigh ``rate`` together). The first ones go at once; ``burst=1`` spaces calls evenly
    instead. Tasks are admitted in the order in which they came; a heavy one that waits holds up the
    lighter ones behind it.

    One limiter may serve many stages, runs and plain code, on one event loop at a time. A stage
    admits each attempt at an item, not only the first one. It may be created before a loop runs,
    and used on another loop later: earlier admissions still count.

    Args:
        rate: calls, or weight, in ``per`` seconds, more than 0. None: unlimited.
        per: seconds, more than 0.
        concurrency: calls that run at once, at least 1. None: unlimited.
        windows: further limits as pairs (rate, per): ``Limiter(10, windows=[(1000, 3600)])``.
        burst: calls, or weight, that are admitted at once after a pause, and at the start; at least
            1. Then in any ``t`` seconds at most ``burst + rate * t / per`` are admitted, with
            ``burst=1`` never two less than ``per / rate`` seconds apart. None: ``rate`` at once,
            and no more than ``rate`` in any ``per`` seconds.

    Raises:
        TypeError: a number is none.
        ValueError: a number is out of its range, or nothing is limited, or there is a burst without
            a rate.

    Cost: about 3 µs without a wait, 0.95 × aiolimiter's (``python -m benchmarks.limiter``, CPython
    3.11, two cores), and a log of at most 4 096 entries for each window: calls within 1/4096 of it
    are counted as if they were admitted with the last of them.
    """

    __slots__ = (
        "_asyncio_loop",
        "_bound",
        "_bucket",
        "_clock",
        "_concurrency",
        "_loop",
        "_most",
        "_running",
        "_streak",
        "_waiting",
        "_windows",
    )

    def __init__(
        self,
        rate: float | None = None,
        per: float = 1.0,
        *,
        concurrency: int | None = None,
        windows: Iterable[tuple[float, float]] = (),
        burst: float | None = None,
    ) -> None:
        limits = [*([] if rate is None else [(rate, per)]), *windows]
        for amount, seconds in limits:
            check_number("rate", amount, above=True)
            check_seconds("per", seconds, above=True)
        if concurrency is not None:
            check_count("concurrency", concurrency, 1)
        elif not limits:
            raise ValueError("a Limiter limits something: give rate=, concurrency= or windows=")
        self._bucket: _Bucket | None = None
        if burst is not None:
            check_number("burst", burst)
            if rate is None:
                raise ValueError(f"burst={burst} is of a rate: give rate= too, or omit it")
            if burst < 1:
                raise ValueError(f"burst must be at least 1, not {burst}")
            self._bucket = _Bucket(burst, per / rate)
            del limits[0]
        self._windows = tuple(_Window(amount, seconds) for amount, seconds in limits)
        self._concurrency = concurrency
        self._most = inf if concurrency is None else concurrency
        self._waiting = deque[_Turn]()
        self._running = self._streak = 0
        self._loop: Loop | None = None
        self._asyncio_loop: object = _NO_LOOP
        self._clock: Callable[[], float] = time.monotonic
        self._bound = (0.0, 0.0)  # the loop's clock and the system's, when it was bound

    def __repr__(self) -> str:
        limits = [f"{window.amount:g} per {window.seconds:g} s" for window in self._windows]
        if (bucket := self._bucket) is not None:
            limits.insert(0, f"1 per {bucket.gap:g} s, burst {bucket.amount:g}")
        if self._concurrency is not None:
            limits.append(f"{self._running}/{self._concurrency} running")
        waiting = f", {len(self._waiting)} waiting" if self._waiting else ""
        return f"<Limiter {', '.join(limits)}{waiting}>"

    async def acquire(self, weight: float = 1.0) -> None:
        """Wait until a call may begin. With ``concurrency``, :meth:`release` must follow.

        Args:
            weight: how much it counts, at least 0. It counts as one call for ``concurrency``.

        Raises:
            TypeError: ``weight`` is not a number.
            ValueError: it is negative, or more than the limit ever admits.
            RuntimeError: no event loop runs, or tasks of another loop wait here.

        **Cancelled**: nothing was taken. Without a wait it is a point where cancellation can come
        once in 128 calls only.
        """
        if not self.try_acquire(weight):
            await self._wait(weight)

    async def _wait(self, weight: float, *, again: bool = False) -> None:
        self._check_possible(weight)
        turn = _Turn(again)
        place = sum(other.again for other in self._waiting) if again else len(self._waiting)
        self._waiting.insert(place, turn)
        self._streak = 0
        try:
            await yield_to_others()
            while (seconds := self._until(turn, weight)) > 0:
                turn.waiter = make_waiter()
                with anyio.move_on_after(None if seconds == inf else seconds):
                    await turn.waiter
            self._admit(self._now(), weight)
        finally:
            first = self._waiting[0] is turn
            self._waiting.remove(turn)
            if first:
                self._wake_first()

    def try_acquire(self, weight: float = 1.0) -> bool:
        """Let a call begin if it may begin now, and return whether it may.

        Args:
            weight: as for :meth:`acquire`.

        Raises:
            TypeError, ValueError, RuntimeError: as for :meth:`acquire`.
        """
        if weight != 1.0:
            check_number("weight", weight)
        # The common case first; everything else finds out with _now().
        now = self._clock() if _running_loop() is self._asyncio_loop else self._now()
        if self._waiting or self._streak >= _STRIDE or self._running >= self._most:
            return False
        for window in self._windows:
            if window.log and window.log[0][0] <= now:
                window.forget(now)
            if window.used + weight > window.limit:
                self._check_possible(weight)
                return False
        if self._bucket is not None and self._bucket.until_room(now, weight):
            self._check_possible(weight)
            return False
        self._streak += 1
        self._admit(now, weight)
        return True

    def release(self) -> None:
        """Let another call begin in place of one that has ended.

        Raises:
            RuntimeError: no call runs, or there is no ``concurrency`` to give back.
        """
        if not self._running:
            what = "no call runs" if self._concurrency else "it has no concurrency= to give back"
            raise RuntimeError(f"release() of {self!r}: {what}")
        self._running -= 1
        self._wake_first()

    def __call__(self, weight: float = 1.0) -> AbstractAsyncContextManager[None]:
        """Return the block in which a call of this weight is made."""
        return _Weighted(self, weight)

    def __aenter__(self) -> Coroutine[Any, Any, None]:
        return _DONE if self.try_acquire() else self._wait(1.0)

    def __aexit__(self, *_: object) -> Coroutine[Any, Any, None]:
        self._end()
        return _DONE

    def statistics(self) -> LimiterStatistics:
        """Return what it does now."""
        used: list[float] = []
        now = 0.0 if self._loop is None else self._clock()
        if self._bucket is not None:
            used.append(self._bucket.used(now))
        for window in self._windows:
            window.forget(now)
            used.append(window.used)
        return LimiterStatistics(len(self._waiting), self._running, tuple(used))

    # ----------------------------------------------------------- within

    def _end(self) -> None:
        if self._concurrency is not None:
            self.release()

    def _admit(self, now: float, weight: float) -> None:
        for window in self._windows:
            window.add(now, weight)
        if self._bucket is not None:
            self._bucket.add(now, weight)
        if self._concurrency is not None:
            self._running += 1

    def _until(self, turn: _Turn, weight: float) -> float:
        """Return the seconds until the call may begin; infinity: after something else."""
        now = self._now()
        if self._waiting[0] is not turn or self._running >= self._most:
            return inf
        return max([limit.until_room(now, weight) for limit in self._limits()], default=0.0)

    def _limits(self) -> Sequence[_Window | _Bucket]:
        return self._windows if self._bucket is None else (self._bucket, *self._windows)

    def _check_possible(self, weight: float) -> None:
        for limit in self._limits():
            if weight > limit.amount:
                raise ValueError(
                    f"weight must be at most {limit.amount:g}, not {weight:g}: {self!r} would "
                    "never admit it"
                )

    def _wake_first(self) -> None:
        if self._waiting and (waiter := self._waiting[0].waiter) is not None:
            wake(waiter)

    def _now(self) -> float:
        loop = current_loop()
        if loop is None or loop is not self._loop:
            self._bind(loop)
        return self._clock()

    def _bind(self, loop: Loop | None) -> None:
        """Follow the clock of another loop: earlier admissions still count."""
        if loop is None:
            raise RuntimeError(f"no event loop runs here: use {self!r} in a task")
        if getattr(self._asyncio_loop, "is_closed", _never)():
            # Tasks that waited or ran when it was closed will not go on.
            self._waiting.clear()
            self._running = 0
        if self._waiting or self._running:
            raise RuntimeError(
                f"{self!r} is in use on another event loop: give each loop its own limiter"
            )
        clock = loop_clock()
        now, system = clock(), time.monotonic()
        before, then = self._bound
        shift = now - (before + system - then)
        for limit in self._limits():
            limit.shift(shift)
        self._loop, self._clock, self._bound = loop, clock, (now, system)
        self._asyncio_loop = loop if loop is _running_loop() else _NO_LOOP

    def _is_idle(self) -> bool:
        """Return whether it would admit anything now, as a new one would."""
        statistics = self.statistics()
        return not (statistics.waiting or statistics.running or any(statistics.used))


@final
class KeyedLimiter(Generic[Item]):
    """A :class:`Limiter` for each key: for each host, tenant or account.

    ::

        per_host = KeyedLimiter(lambda url: urlsplit(url).hostname, 5, concurrency=2)
        async with per_host(url):
            ...
        stage(fetch, workers=64, ordered=False, limiter=per_host)

    In a stage a worker that waits for its key holds its item, so the stage needs more workers than
    items of one key may wait, or the other keys wait too.

    Args:
        key: a plain function that returns the hashable key of an item.
        rate, per, concurrency, windows, burst: of each key's :class:`Limiter`.

    Raises:
        TypeError, ValueError: as for :class:`Limiter`; or ``key`` is not a plain function.

    Limiters of keys that are idle are forgotten from time to time.
    """

    __slots__ = ("_key", "_limiters", "_make", "_streak")

    def __init__(
        self,
        key: Callable[[Item], Hashable],
        rate: float | None = None,
        per: float = 1.0,
        *,
        concurrency: int | None = None,
        windows: Iterable[tuple[float, float]] = (),
        burst: float | None = None,
    ) -> None:
        check_plain_function("key", key)
        limits = tuple(windows)

        def make() -> Limiter:
            return Limiter(rate, per, concurrency=concurrency, windows=limits, burst=burst)

        make()
        self._key, self._make = key, make
        self._limiters = OrderedDict[Hashable, Limiter]()
        self._streak = 0

    def __repr__(self) -> str:
        return f"<KeyedLimiter of {len(self._limiters)} keys>"

    def of(self, item: Item) -> Limiter:
        """Return the limiter of an item's key."""
        key = self._key(item)
        limiter = self._limiters.get(key)
        if limiter is None:
            if len(self._limiters) >= _FEW:
                self._forget_idle()
            limiter = self._limiters[key] = self._make()
        self._streak += 1
        if self._streak >= _STRIDE:
            # Where each key admits a few calls, other tasks run after as many in all.
            self._streak = 0
            limiter._streak = _STRIDE  # noqa: SLF001 - the same module
        return limiter

    def __call__(self, item: Item, weight: float = 1.0) -> AbstractAsyncContextManager[None]:
        """Return the block in which a call for this item is made."""
        return self.of(item)(weight)

    def _forget_idle(self) -> None:
        """Look at two of the keys, in turn: with each new one, so that no call pays for all."""
        for _ in range(2):
            key, limiter = self._limiters.popitem(last=False)
            if not limiter._is_idle():  # noqa: SLF001 - the same module
                self._limiters[key] = limiter


AnyLimiter: TypeAlias = Limiter | KeyedLimiter[Never]
"""What admits the attempts of a stage."""

Weight: TypeAlias = Callable[[Never], float]
"""Returns how much an item counts."""


@final
class RateLimit:
    """The limit of a ``rate_limit()``: one limiter for all runs of the pipeline.

    A limiter serves one event loop at a time: a run on a second one, in another thread, gets a
    limiter of its own.

    Args:
        make: makes the limiter.
        weight: how much an item counts; None: 1.
    """

    __slots__ = ("_limiter", "_lock", "_loop", "_make", "_runs", "weight")

    def __init__(self, make: Callable[[], Limiter], weight: Weight | None) -> None:
        self._make = make
        self.weight: Weight | None = weight
        self._limiter, self._lock = make(), Lock()
        self._runs = 0
        self._loop: Loop | None = None

    @contextmanager
    def lent(self) -> Iterator[Limiter]:
        """Lend the limiter to a run, as long as the block lasts."""
        loop = current_loop()
        with self._lock:
            shared = not self._runs or loop is self._loop
            if shared:
                self._runs, self._loop = self._runs + 1, loop
        if not shared:
            yield self._make()
            return
        try:
            yield self._limiter
        finally:
            with self._lock:
                self._runs -= 1
                if not self._runs:
                    self._loop = None


def limited(
    wait_for: Callable[[Awaitable[None]], Awaitable[None]],
    call: Callable[[Any], Awaitable[Any]],
    limiter: AnyLimiter,
    weight: Weight | None,
) -> Callable[[Any], Awaitable[Any]]:
    """Return a stage's call, each attempt of which waits for the limiter.

    Args:
        wait_for: awaits, and counts the time.
        call: the call without a limit.
        limiter: what admits an attempt.
        weight: how much an item counts.
    """
    weigh: Callable[[Any], float] | None = weight

    async def attempt(item: Any) -> Any:  # noqa: ANN401
        one = limiter if isinstance(limiter, Limiter) else limiter.of(item)
        amount = 1.0 if weigh is None else weigh(item)
        if not one.try_acquire(amount):
            again = trying_again.get()
            await wait_for(one._wait(amount, again=again))  # noqa: SLF001 - the same module
        try:
            return await call(item)
        finally:
            one._end()  # noqa: SLF001 - the same module

    return attempt
