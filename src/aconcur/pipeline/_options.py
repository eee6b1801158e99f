"""What can be asked of a stage: values, checked when the pipeline is described."""

from __future__ import annotations

__all__ = (
    "CALLING",
    "COLLECT",
    "RAISE",
    "SKIP",
    "THREADS",
    "Failure",
    "Fed",
    "Kind",
    "OnError",
    "Options",
    "Retry",
    "Runner",
    "Source",
    "Spec",
    "StageOptions",
    "Threads",
    "Via",
)

import random
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, Literal, Protocol, TypeAlias, TypedDict, TypeVar, final

from aconcur._core.on_error import COLLECT as COLLECT
from aconcur._core.on_error import RAISE as RAISE
from aconcur._core.on_error import SKIP as SKIP
from aconcur._core.on_error import OnError as OnError
from aconcur._core.validation import check_count, check_seconds, check_text
from aconcur.pipeline._queue import Queue

T = TypeVar("T")
Out = TypeVar("Out", covariant=True)


class Threads(Enum):
    """Where a blocking function is called."""

    THREADS = "threads"
    """In threads of the stage's own, as many as it has workers."""


THREADS: Final = Threads.THREADS


@dataclass(frozen=True, slots=True)
class Failure:
    """An item on which a stage failed."""

    item: Any
    """What the stage was given."""
    stage: str
    """The stage's name."""
    error: BaseException
    """What it raised at the last attempt."""
    attempts: int
    """How often it was tried, at least once."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Try an item again, each time after a longer wait.

    Before attempt n + 1 the stage's worker waits ``backoff`` × 2 ** (n - 1) seconds, at most
    ``longest``, less a part of it drawn by lot, so that those who failed together do not all come
    again together.

    Args:
        attempts: how often an item is tried in all, at least 1.
        backoff: seconds before the second attempt.
        longest: the most seconds to wait.
        jitter: the largest part of a wait that the lot takes off, 0 to 1.
        on: the errors after which it is tried again.

    Raises:
        ValueError: a number is out of its range.
        TypeError: ``on`` is no type of errors.

    Source: Marc Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    """

    attempts: int = 3
    backoff: float = 0.1
    longest: float = 30.0
    jitter: float = 0.5
    on: type[Exception] | tuple[type[Exception], ...] = Exception

    def __post_init__(self) -> None:
        check_count("attempts", self.attempts, 1)
        check_seconds("backoff", self.backoff)
        check_seconds("longest", self.longest)
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be from 0 to 1, not {self.jitter}")
        kinds = self.on if isinstance(self.on, tuple) else (self.on,)
        if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
            raise TypeError(f"on must be a type of errors or a tuple of such, not {self.on!r}")

    def delay(self, failed: int) -> float:
        """Return the seconds to wait after this many failed attempts."""
        # 2 ** 1024 is no float; long before, the wait is the longest.
        delay = min(self.longest, self.backoff * 2.0 ** min(failed - 1, 1000))
        return delay * (1 - self.jitter * random.random())


Reaction: TypeAlias = "OnError | Queue[Failure] | Callable[[Failure], Awaitable[object] | object]"


class Runner(Protocol):
    """Runs a blocking function and can stop it: :class:`aconcur.parallel.Pool`."""

    async def run(self, fn: Callable[[Any], Any], item: Any, /) -> Any:  # noqa: ANN401
        """Return ``fn(item)``; when cancelled, stop it."""


Via: TypeAlias = Literal[Threads.THREADS] | Executor | Runner
"""Where a blocking function runs."""


class StageOptions(TypedDict, total=False):
    """The options that stages of one item have in common."""

    workers: int
    """Items that the stage works on at once; 1."""
    ordered: bool
    """Whether results leave in the order in which their items came; True."""
    buffer: int | None
    """Results that may wait for the next stage; 2 for each worker, and at least 16."""
    timeout: float | None
    """Seconds that one attempt at an item may take; None: any. Not with threads and executors,
    which stop nothing; a pool's worker is killed and replaced."""
    retry: Retry | None
    """Whether a failed item is tried again."""
    on_error: Reaction
    """What becomes of a failed item: RAISE, SKIP, COLLECT, a function that is called with the
    :class:`Failure` (and awaited if it returns an awaitable), or a queue that it is put into."""
    name: str | None
    """The stage's name in reports and errors; the function's."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a stage, with their defaults, checked."""

    workers: int = 1
    ordered: bool = True
    buffer: int | None = None
    timeout: float | None = None
    retry: Retry | None = None
    on_error: Reaction = RAISE
    name: str | None = None

    def __post_init__(self) -> None:
        check_count("workers", self.workers, 1)
        check_text("name", self.name, also=" or None")
        if self.buffer is not None:
            check_count("buffer", self.buffer, 1)
        if self.timeout is not None:
            check_seconds("timeout", self.timeout, above=True)
        if self.retry is not None and not isinstance(self.retry, Retry):
            raise TypeError(f"retry must be a Retry, such as Retry(3), not {self.retry!r}")
        reaction = self.on_error
        if not isinstance(reaction, OnError | Queue) and not callable(reaction):
            raise TypeError(
                f"on_error must be RAISE, SKIP, COLLECT, a Queue or a function, not {reaction!r}"
            )

    @classmethod
    def given(cls, options: StageOptions) -> Options:
        """Return the options that were given to a stage.

        Raises:
            TypeError: there is no such option, or it is none of what it may be.
            ValueError: one is out of its range.
        """
        for name in options:
            if name not in StageOptions.__annotations__:
                known = ", ".join(StageOptions.__annotations__)
                raise TypeError(f"a stage has no option {name!r}: it has {known}")
        return cls(**options)

    @property
    def room(self) -> int:
        """Results that may wait for the next stage."""
        # Measured: below 16 the tasks switch for every few items, which costs twice the time.
        return self.buffer or max(16, 2 * self.workers)


Kind: TypeAlias = Literal["map", "filter", "flat_map", "batch", "rate_limit", "merge"]
CALLING: Final[tuple[Kind, ...]] = ("map", "filter", "flat_map")
"""The kinds of stage that call a function."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A stage as it was described."""

    kind: Kind
    function: Callable[[Any], Any]
    options: Options
    name: str
    via: Via | None = None
    size: int = 1  # of a batch, of a burst
    max_wait: float | None = None
    gap: float = 0.0
    others: tuple[Any, ...] = ()  # sources that merge here: see Source, Fed


Source: TypeAlias = Iterable[T] | AsyncIterable[T]


@final
@dataclass(frozen=True, slots=True)
class Fed(Generic[Out]):
    """A pipeline with its source, for :meth:`Pipeline.merge`. Made by :meth:`Pipeline.fed_by`."""

    specs: tuple[Spec, ...]
    source: Source[Any]
