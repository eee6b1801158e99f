"""The description of stages: their options, checked when the pipeline is described.

Rule: nothing here runs. A ``Spec`` is an immutable value, shared by all runs of a pipeline.
"""

from __future__ import annotations

__all__ = (
    "COLLECT",
    "NO_TIMEOUT",
    "NO_TIMEOUT_INSIDE",
    "RAISE",
    "SKIP",
    "THREADS",
    "Fed",
    "ItemContext",
    "Kind",
    "OnError",
    "Options",
    "Reaction",
    "Runner",
    "SerialKey",
    "Source",
    "Spec",
    "StageOptions",
    "Threads",
    "Via",
    "check_source",
    "function_spec",
)

from collections.abc import AsyncIterable, Awaitable, Callable, Hashable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import BuiltinFunctionType
from typing import (
    Any,
    Final,
    Generic,
    Literal,
    Never,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
    final,
)

from aconcur._core.on_error import COLLECT as COLLECT
from aconcur._core.on_error import RAISE as RAISE
from aconcur._core.on_error import SKIP as SKIP
from aconcur._core.on_error import OnError as OnError
from aconcur._core.validation import check_count, check_plain_function, check_seconds, check_text
from aconcur.pipeline._errors import Failure
from aconcur.pipeline._limiter import AnyLimiter, KeyedLimiter, Limiter, RateLimit, Weight
from aconcur.pipeline._queue.queue import Queue
from aconcur.pipeline._resource import OpenResource, check_resource
from aconcur.pipeline._retry import Retry

T = TypeVar("T")
Out = TypeVar("Out", covariant=True)


class Threads(Enum):
    """Where a blocking function is called."""

    THREADS = "threads"
    """In threads of the stage's own, as many as it has workers."""


THREADS: Final = Threads.THREADS


Reaction: TypeAlias = "OnError | Queue[Failure] | Callable[[Failure], Awaitable[object] | object]"


class Runner(Protocol):
    """Runs a blocking function and can stop it: :class:`aconcur.parallel.Pool`."""

    @property
    def run(self) -> Callable[..., Awaitable[Any]]:
        """The coroutine function that makes a call: of ``fn, item`` it returns ``fn(item)``.

        When it is cancelled it stops the call.
        """


Via: TypeAlias = Literal[Threads.THREADS] | Executor | Runner
"""Where a blocking function runs."""


ItemContext: TypeAlias = Literal["item", "worker"]
"""Whether each item, or each worker, has a copy of the run's context."""


SerialKey: TypeAlias = Callable[[Never], Hashable]
"""Returns the key of an item."""


class StageOptions(TypedDict, total=False):
    """The options that :func:`stage` and its methods have in common, as a dict of keywords.

    workers: items that the stage works on at once; 1.
    ordered: whether results leave in the order in which their items came; True.
    buffer: results that may wait for the next stage; 2 for each worker, and at least 16.
    timeout: seconds for one attempt at an item; None: any.
    retry: a :class:`Retry`, if failed items are to be tried again; None.
    on_error: what becomes of a failed item; RAISE.
    name: the stage's name in reports and errors; the function's.
    context: whether items share context variables: "item" or "worker"; None: by where they run.
    limiter: a :class:`Limiter` or :class:`KeyedLimiter` that admits each attempt; None.
    weight: a function of the item: how much it counts for the limiter; None: 1.
    key: a function of the item; items of one key are worked on one at a time; None: no keys.

    :meth:`Pipeline.map` describes them in full.
    """

    workers: int
    ordered: bool
    buffer: int | None
    timeout: float | None
    retry: Retry | None
    on_error: Reaction
    name: str | None
    context: ItemContext | None
    limiter: AnyLimiter | None
    weight: Weight | None
    key: SerialKey | None


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
    context: ItemContext | None = None
    limiter: AnyLimiter | None = None
    weight: Weight | None = None
    key: SerialKey | None = None
    resource: OpenResource[Any] | None = None

    def __post_init__(self) -> None:
        if self.workers != 1:
            check_count("workers", self.workers, 1)
        if self.name is not None:
            check_text("name", self.name, also=" or None")
        if not isinstance(self.ordered, bool):
            raise TypeError(f"ordered must be True or False, not {self.ordered!r}")
        if self.buffer is not None:
            check_count("buffer", self.buffer, 1)
        if self.timeout is not None:
            check_seconds("timeout", self.timeout, above=True)
        if self.retry is not None and not isinstance(self.retry, Retry):
            raise TypeError(f"retry must be a Retry, such as Retry(3), not {self.retry!r}")
        if self.context not in (None, "item", "worker"):
            raise ValueError(f"context must be 'item', 'worker' or None, not {self.context!r}")
        if self.limiter is not None and not isinstance(self.limiter, Limiter | KeyedLimiter):
            raise TypeError(f"limiter must be a Limiter or a KeyedLimiter, not {self.limiter!r}")
        if self.weight is not None:
            check_plain_function("weight", self.weight)
            if self.limiter is None:
                raise ValueError("weight= is for a limiter: give limiter= too, or omit it")
        if self.key is not None:
            check_plain_function("key", self.key)
        if self.resource is not None:
            check_resource(self.resource)
            if self.key is not None:
                raise ValueError(
                    "resource= and key= exclude each other: with keys more tasks than workers take "
                    "items, and each would open a resource"
                )
        reaction = self.on_error
        if not isinstance(reaction, OnError | Queue) and not callable(reaction):
            raise TypeError(
                f"on_error must be RAISE, SKIP, COLLECT, a Queue or a function, not {reaction!r}"
            )


Kind: TypeAlias = Literal["map", "filter", "flat_map", "batch", "rate_limit", "merge"]


@dataclass(frozen=True, slots=True)
class Spec:
    """A stage as it was described."""

    kind: Kind
    function: Callable[[Any], Any]
    options: Options
    name: str
    via: Via | None = None
    size: float = 1  # of a batch
    weigh: Weight | None = None  # of the items of a batch; None: each counts 1
    max_wait: float | None = None
    limit: RateLimit | None = None  # of a rate_limit
    others: tuple[Any, ...] = ()  # sources that merge here: see Source, Fed
    calls: bool = False  # whether its workers call the function
    is_async: bool = False  # whether the function is known to return an awaitable
    named: bool = True  # whether the name tells the stage from others: see Journal
    detail: str = ""  # what else tells it from others


def function_spec(
    kind: Kind, function: Callable[[Any], Any], options: Options, via: Via | None
) -> Spec:
    """Return the description of a stage that calls a function.

    Raises:
        TypeError: the function cannot be used here, or not with ``via``.
        ValueError: a timeout could not stop the function.
    """
    if not callable(function):
        raise TypeError(f"a stage needs a function, not {function!r}")
    plain: Any = function
    while isinstance(plain, partial):
        plain = plain.func
    name = str(getattr(plain, "__name__", type(plain).__name__))
    # An object that is called is what its __call__ is.
    forms = (plain, getattr(plain, "__call__", None))  # noqa: B004
    is_async = any(map(iscoroutinefunction, forms))
    generates = any(isgeneratorfunction(form) or isasyncgenfunction(form) for form in forms)
    if kind != "flat_map" and generates:
        raise TypeError(
            f"{name} is a generator function, and {kind}() would take the generator for the "
            "result: use flat_map()"
        )
    if via is not None:
        _check_via(via, name, is_async=is_async)
        if options.resource is not None:
            raise ValueError(
                "resource= is opened in the event loop, and via= calls the function elsewhere: "
                "omit one"
            )
    if options.timeout is not None:
        _check_timeout(plain, name, via)
    # A partial's name says nothing about its arguments.
    has_name = plain is function and getattr(plain, "__name__", "<lambda>") != "<lambda>"
    return Spec(
        kind,
        function,
        options,
        options.name or name,
        via,
        calls=True,
        is_async=is_async,
        named=options.name is not None or has_name,
    )


def _check_via(via: object, name: str, *, is_async: bool) -> None:
    runs = hasattr(via, "run") and not isinstance(via, type)
    if via is not THREADS and not isinstance(via, Executor) and not runs:
        raise TypeError(f"via must be THREADS, an executor or a pool, not {via!r}")
    if is_async:
        raise TypeError(
            f"{name} is a coroutine function, and via= is for blocking functions: omit via="
        )


def _check_timeout(function: object, name: str, via: object) -> None:
    if via is THREADS or isinstance(via, Executor):
        raise ValueError(
            "timeout= cannot stop a blocking function: limit it inside, or run it via= a pool"
        )
    if via is not None:
        return
    if isasyncgenfunction(function):
        raise ValueError(NO_TIMEOUT_INSIDE.format(name))
    if isgeneratorfunction(function) or isinstance(function, BuiltinFunctionType | type):
        raise ValueError(NO_TIMEOUT.format(name))


NO_TIMEOUT_INSIDE: Final = (
    "timeout= limits the call, and {} returns at once with an async iterable: use "
    "anyio.fail_after() inside it"
)
NO_TIMEOUT: Final = (
    "timeout= cannot stop the plain function {}, which holds the event loop: make it a coroutine "
    "function, or run it via= a pool"
)


Source: TypeAlias = Iterable[T] | AsyncIterable[T]


def check_source(source: object) -> None:
    """Refuse what cannot be iterated over.

    Raises:
        TypeError: it is neither an iterable nor an async iterable.
    """
    if not any(hasattr(source, name) for name in ("__iter__", "__aiter__", "__getitem__")):
        called = ": call it" if callable(source) else ""
        raise TypeError(
            f"a source must be an iterable or an async iterable, not {source!r}{called}"
        )


@final
@dataclass(frozen=True, slots=True)
class Fed(Generic[Out]):
    """A pipeline with its source, for :meth:`Pipeline.merge`. Made by :meth:`Pipeline.fed_by`."""

    specs: tuple[Spec, ...]
    source: Source[Any]
    ahead: int | None = None
