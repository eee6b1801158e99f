"""Which failed items are tried again, and after how long.

Rule: nothing here waits. A ``Retry`` is an immutable value that answers one question at a time:
how many seconds before the next attempt, or None.
"""

from __future__ import annotations

__all__ = ("Delay", "On", "OnRetry", "Retry", "retry_after", "share_of_retries")

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeAlias

from aconcur._core.validation import check_count, check_number, check_plain_function, check_seconds
from aconcur.pipeline._errors import Failure, ItemCancelledError

Judge: TypeAlias = "Callable[[Exception], bool | float | timedelta]"
On: TypeAlias = "type[Exception] | tuple[type[Exception], ...] | Judge"
"""Types of errors; or a function of an error."""

Delay: TypeAlias = "float | Callable[[Exception, int], float | timedelta | None]"
"""Seconds before another attempt; or a function of the error and of how many attempts failed."""

OnRetry: TypeAlias = "Callable[[Failure, float], Awaitable[object] | object]"
"""Called with each failed attempt that another follows, and the seconds until then."""

# Attempts that a budget allows a run in any case: a share of few items would be none.
_FREE: Final = 10


@dataclass(frozen=True, slots=True)
class Retry:
    """Try a failed item again, after a wait that doubles each time.

    ::

        Retry(5, on=lambda error: getattr(error, "status", 0) >= 500, delay=retry_after, within=60)

    Before attempt n + 1 the worker waits ``backoff`` × 2 ** (n - 1) seconds, at most ``longest``,
    minus random jitter, so that simultaneous failures do not retry in lockstep. An item whose
    function raised CancelledError (:exc:`ItemCancelledError`) is tried again only if ``on`` names
    that error: a cancel is a request to stop.

    Args:
        attempts: how often an item is tried in all, at least 1.
        backoff: seconds before the second attempt.
        longest: the most seconds that ``backoff`` grows to.
        jitter: the largest share of such a wait that is taken off at random, 0 to 1.
        on: the errors after which an item is tried again: a type or a tuple of types; or a function
            that is called with the error and returns whether to try again, or after how many
            seconds (a number or a timedelta).
        delay: seconds before another attempt, in place of ``backoff``, ``longest`` and ``jitter``;
            or a function of the error and the number of failed attempts that returns them, or None
            for the usual wait. :func:`retry_after` does what a server asks for.
        within: seconds. No attempt begins later than this after the first one failed; an item whose
            next wait would be longer is not tried again. None: unlimited.
        budget: the most attempts after the first ones in a stage of a run, as a share of the items
            that it has finished, beyond 10 that are always allowed. With 0.1 a server that fails
            always gets 1.1 times the calls, not ``attempts`` times. None: unlimited.
        on_retry: called with the :class:`Failure` of each attempt that another one follows and with
            the seconds until then; awaited if it returns an awaitable.

    Raises:
        TypeError: a number is none, or ``on`` is neither a type of errors nor a function.
        ValueError: a number is out of its range.

    Source: Marc Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015; for the
    budget: Google, Site Reliability Engineering, chapter 21, 2016.
    """

    attempts: int = 3
    backoff: float = 0.1
    longest: float = 30.0
    jitter: float = 0.5
    on: On = Exception
    delay: Delay | None = None
    within: float | None = None
    budget: float | None = None
    on_retry: OnRetry | None = None

    def __post_init__(self) -> None:
        check_count("attempts", self.attempts, 1)
        check_seconds("backoff", self.backoff)
        check_seconds("longest", self.longest)
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be from 0 to 1, not {self.jitter}")
        if self._kinds is not None:
            if not all(isinstance(one, type) and issubclass(one, Exception) for one in self._kinds):
                raise TypeError(
                    "on must be a type of errors, a tuple of such types or a function of an error, "
                    f"not {self.on!r}"
                )
        else:
            check_plain_function("on", self.on)
        if callable(self.delay):
            check_plain_function("delay", self.delay)
        elif self.delay is not None:
            check_seconds("delay", self.delay)
        if self.within is not None:
            check_seconds("within", self.within)
        if self.budget is not None:
            check_number("budget", self.budget)
        if self.on_retry is not None and not callable(self.on_retry):
            raise TypeError(f"on_retry must be a function or None, not {self.on_retry!r}")

    @property
    def _kinds(self) -> tuple[type[Exception], ...] | None:
        """The types of errors after which an item is tried again; None if a function says."""
        if isinstance(self.on, tuple):
            return self.on
        return None if callable(self.on) and not isinstance(self.on, type) else (self.on,)

    def next_delay(
        self, error: Exception, failed: int, *, elapsed: float = 0.0, retried: float = 0.0
    ) -> float | None:
        """Return the seconds to wait before another attempt, or None if there is to be none.

        Args:
            error: of the last attempt.
            failed: how many attempts have failed, from 1.
            elapsed: seconds since the first attempt failed.
            retried: of the stage: attempts after the first ones, beyond the free ones, for each
                item that it has finished.

        Raises:
            TypeError: a function returned something else than a number of seconds.
            ValueError: it returned a negative number.
        """
        if failed >= self.attempts or (self.budget is not None and retried >= self.budget):
            return None
        answer = self._answer(error)
        if answer is False:
            return None
        seconds = self._usual(error, failed) if answer is True else answer
        if self.within is not None and elapsed + seconds > self.within:
            return None
        return seconds

    def _answer(self, error: Exception) -> bool | float:
        kinds = self._kinds
        if isinstance(error, ItemCancelledError):
            # ``Exception`` includes it, but is not written with cancellations in mind.
            return any(issubclass(kind, ItemCancelledError) for kind in kinds or ())
        if kinds is not None:
            return isinstance(error, kinds)
        answer: Any = self.on(error)  # type: ignore[operator]
        return answer if isinstance(answer, bool) else _seconds("on", answer)

    def _usual(self, error: Exception, failed: int) -> float:
        wanted = self.delay(error, failed) if callable(self.delay) else self.delay
        if wanted is not None:
            return _seconds("delay", wanted)
        # 2.0 ** 1024 overflows; the wait reaches the longest one long before.
        seconds = min(self.longest, self.backoff * 2.0 ** min(failed - 1, 1000))
        return seconds * (1 - self.jitter * random.random())


def share_of_retries(retried: int, finished: int) -> float:
    """Return what a budget is compared with: retries beyond the free ones, for each item."""
    return (retried - _FREE) / max(1, finished) if retried >= _FREE else -1.0


def _seconds(name: str, answer: object) -> float:
    if isinstance(answer, timedelta):
        answer = answer.total_seconds()
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        expected = "True, False or seconds" if name == "on" else "seconds or None"
        raise TypeError(f"{name}= must return {expected}, not {answer!r}")
    if not 0 <= answer < math.inf:
        raise ValueError(f"{name}= must return seconds from 0 on, not {answer!r}")
    return float(answer)


def retry_after(error: Exception, failed: int = 1) -> float | None:  # noqa: ARG001 - a Delay
    """Return the seconds that a server asked for in ``Retry-After``; None if it did not.

    For ``Retry(delay=retry_after)``. Finds the headers where HTTP clients keep them: in
    ``error.response.headers`` (httpx, requests) or ``error.headers`` (aiohttp, urllib). The header
    holds seconds or a date; a date in the past gives 0.

    Args:
        error: of a request.
        failed: is not used.

    Source: RFC 9110, section 10.2.3.
    """
    headers: Any = getattr(getattr(error, "response", error), "headers", None)
    if not hasattr(headers, "get"):
        return None
    value = headers.get("Retry-After", headers.get("retry-after"))
    if value is None:
        return None
    text = str(value).strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
