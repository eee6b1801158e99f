"""A run that is fed by its callers: each submits an item and awaits that item's result.

A ticket carries each item through the stages, by the protocols with which a journal follows items
(``StageTracker``, ``RunTracker``), so a run without tickets pays nothing for them.

Invariants
    1. A ticket is settled once: with the last stage's result, with the error of the stage that
       failed, or with ``ServiceClosed`` when the run ends.
    2. An item's error belongs to its caller; it does not end the run.
    3. What its caller has given up is worked on by no further stage, and counted as cancelled.
"""

from __future__ import annotations

__all__ = ("Service", "check_service", "open_service")

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Generic, TypeVar, final

from aconcur._core.wait_queue import Waiter, make_waiter
from aconcur.pipeline._buffer import DROPPED
from aconcur.pipeline._errors import Failure, QueueClosed, ServiceClosed
from aconcur.pipeline._failures import note_failure
from aconcur.pipeline._queue.queue import Queue
from aconcur.pipeline._report import PipelineReport
from aconcur.pipeline._run import Run, open_run
from aconcur.pipeline._spec import RAISE, Spec
from aconcur.pipeline._stage import Call, Stage

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


@final
class _Ticket:
    """Carries one item, then its result, to the caller that waits for it."""

    __slots__ = ("error", "given_up", "item", "waiter")

    def __init__(self, item: object, waiter: Waiter) -> None:
        self.item: Any = item
        self.waiter: Waiter = waiter
        self.error: BaseException | None = None
        self.given_up: bool = False

    def settle(self) -> None:
        """Wake the caller."""
        if not self.waiter.done():
            self.waiter.set_result(True)

    def outcome(self) -> Any:  # noqa: ANN401
        """Return the result, or raise the error and keep no reference to it."""
        if self.error is None:
            return self.item
        try:
            raise self.error
        finally:
            # Its traceback refers to this frame: a cycle.
            self.error = None


@final
class _StageTickets:
    """Implements the ``StageTracker`` of a stage."""

    def __init__(self, stage: Stage, *, last: bool) -> None:
        self._stage, self._last = stage, last

    def wrap(self, call: Call) -> Call:
        stage, last = self._stage, self._last

        async def tracked(ticket: _Ticket) -> Any:  # noqa: ANN401
            if ticket.given_up:
                stage.cancelled += 1
                return DROPPED
            ticket.item = await call(ticket.item)
            if not last:
                return ticket
            stage.out += 1
            ticket.settle()
            return DROPPED

        return tracked

    def passed(self, ticket: _Ticket) -> _Ticket:
        return ticket

    def join(self, tickets: list[_Ticket]) -> Any:  # noqa: ANN401
        raise NotImplementedError  # open_service() refuses a batch

    async def failed(
        self,
        ticket: _Ticket,
        error: Exception,
        attempts: int,
        apply: Callable[[Failure], Awaitable[Any]],
    ) -> Any:  # noqa: ANN401
        failure = Failure(ticket.item, self._stage.spec.name, error, attempts)
        try:
            if self._stage.spec.options.on_error is RAISE:
                note_failure(self._stage, failure, "raised by submit()")
                self._stage.failed += 1
                dropped: Any = DROPPED
            else:
                dropped = await apply(failure)
            ticket.error = error
            ticket.settle()
            return dropped
        finally:
            del error, failure

    def unstarted(self, ticket: _Ticket, error: BaseException) -> None:
        """The run ends with the error, and its tickets with it."""


@final
class _Tickets:
    """Implements the ``RunTracker``: holds the tickets whose callers wait."""

    skipped: int = 0

    def __init__(self) -> None:
        self.waiting: set[_Ticket] = set()
        self.ended: bool = False

    def admit(self, ticket: _Ticket) -> Any:  # noqa: ANN401
        return DROPPED if ticket.given_up else ticket

    def admitted(self, items: Iterable[Any]) -> Generator[Any, None, None]:
        yield from map(self.admit, items)

    def of_stage(self, stage: Stage, *, last: bool) -> _StageTickets:
        return _StageTickets(stage, last=last)

    def end(self) -> None:
        """Tell the callers that still wait that the run has ended."""
        self.ended = True
        for ticket in self.waiting:
            if not ticket.waiter.done():
                ticket.error = ServiceClosed("the run ended before this item was done")
                ticket.settle()


@final
class Service(Generic[In, Out]):
    """A running :class:`Pipeline` to which any task submits items. Made by :meth:`Pipeline.serve`.

    It is for tasks of one event loop, such as request handlers that share the pipeline's workers,
    limiters and retries.
    """

    def __init__(self, run: Run[Any], queue: Queue[_Ticket], tickets: _Tickets) -> None:
        self._run, self._queue, self._tickets = run, queue, tickets

    async def submit(self, item: In) -> Out:
        """Send an item through the stages, and return its result.

        **Cancelled**: an item that no worker has begun is dropped; one under work goes to the end
        of its stage, and no further. It is counted as cancelled.

        Raises:
            Exception: the error of the stage that failed on the item, at its last attempt.
            ServiceClosed: :meth:`drain` was called before, or the run has ended, or it ended
                during the wait.

        Cost: two switches between tasks, some 10 µs, and that of the stages.
        """
        tickets = self._tickets
        if tickets.ended:
            raise ServiceClosed("the run has ended")
        ticket = _Ticket(item, make_waiter())
        try:
            self._queue.put_nowait(ticket)
        except QueueClosed:
            raise ServiceClosed("drain() was called, or the run ends") from None
        tickets.waiting.add(ticket)
        try:
            await ticket.waiter
        except BaseException:
            ticket.given_up = True
            raise
        finally:
            tickets.waiting.discard(ticket)
        result: Out = ticket.outcome()
        return result

    async def drain(self) -> None:
        """Take no more items, and wait until those that were submitted are done.

        **Cancelled**: no more items are taken; the work goes on.
        """
        self._queue.close()
        async for _ in self._run:
            pass

    @property
    def waiting(self) -> int:
        """Items that were submitted and are not done: for a health check, or to refuse requests."""
        return len(self._tickets.waiting)

    @property
    def failures(self) -> Sequence[Failure]:
        """The failed items of stages with ``on_error=COLLECT``, which must not be many."""
        return self._run.failures

    @property
    def report(self) -> PipelineReport:
        """The account of this moment; after the block, of the whole run."""
        return self._run.report

    def __repr__(self) -> str:
        return f"<Service {self.waiting} waiting, {self._run!r}>"


@asynccontextmanager
async def open_service(specs: Sequence[Spec], *, unwrap: bool) -> AsyncIterator[Service[Any, Any]]:
    """Start a run that is fed by :meth:`Service.submit`; end it with the block."""
    queue, tickets = Queue[_Ticket](), _Tickets()
    # Callers have no order among each other: a slow item must not hold up the others' results.
    free = [replace(spec, options=replace(spec.options, ordered=False)) for spec in specs]
    try:
        async with open_run(free, queue, unwrap=unwrap, tracker=tickets) as run:
            yield Service(run, queue, tickets)
    finally:
        tickets.end()


def check_service(specs: Sequence[Spec]) -> None:
    """Refuse stages that do not make one result of each item.

    Raises:
        ValueError: there is such a stage.
    """
    for spec in specs:
        if spec.kind not in ("map", "rate_limit") or (spec is specs[-1] and not spec.calls):
            raise ValueError(
                f"serve() returns one result for each item, and stage {spec.name!r} "
                f"({spec.kind}) does not make one: use map() stages, and rate_limit() before them"
            )
