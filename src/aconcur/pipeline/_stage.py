"""A stage of a run: its workers, and the account of what went through their hands.

Rule 1: workers stay; there is no task for an item.
Rule 2: what costs time is counted where a worker waits, never where it works: clocks are read only
in parking, and what a stage holds is told from who waits.
Rule 3: in = out + filtered + failed + cancelled + inside holds wherever another task, or the
stage's own function, can look.
"""

from __future__ import annotations

__all__ = ("Stage",)

import time
from collections.abc import AsyncIterable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import anyio

from aconcur._core.wait_queue import yield_to_others
from aconcur.pipeline._calls import Call
from aconcur.pipeline._latency import Histogram
from aconcur.pipeline._link import END, GONE, Inlet, Link
from aconcur.pipeline._options import CALLING, Failure, Spec
from aconcur.pipeline._report import StageReport
from aconcur.pipeline._watch import Hand, Watch

if TYPE_CHECKING:
    from aconcur.pipeline._journal_trace import Trace

# Results of one item between two yields to other tasks.
_STRIDE: Final = 127


class Stage:
    """A stage of one run.

    Args:
        spec: how it was described.
        sources: where its items come from, links or iterators that are drawn from: one, unless
            it merges.
        hands: how many tasks work: as many as workers, twice as many before threads.
        keep: takes the failures that are to be kept.
    """

    def __init__(
        self, spec: Spec, sources: list[Inlet], hands: int, keep: Callable[[Failure], None]
    ) -> None:
        self.spec, self.sources, self.hands, self.keep = spec, sources, hands, keep
        self.in_order = spec.options.ordered and hands > 1 and spec.kind in CALLING
        room = spec.options.room
        # In order: the first item under work needs no place in the row.
        self.output = Link(room + hands - 1 if self.in_order else room, hands)
        # Makes what one worker calls, in its task.
        self.make_call: Callable[[Hand], Call] = lambda _: spec.function
        self.watch: Watch | None = None
        self.trace: Trace | None = None  # with a journal
        self.out = self.filtered = self.failed = self.cancelled = 0
        self.emitted = 0
        self.histogram = Histogram()
        self.idle = hands  # hands that hold nothing
        self.first_out = False  # ordered: the first item under work has no slot
        self.gone = 0  # ordered: slots whose item is accounted for already
        self.held = 0  # items that wait in its hands: for others of their batch, or their time
        self._parked_for_item = self._parked_for_room = 0
        self._starved = self._blocked = 0.0
        self.started = time.monotonic()
        self.ended: float | None = None

    # ------------------------------------------------------------- a worker

    def left(self) -> None:
        """Note that a worker has come to the end of its source.

        Not one that is cancelled or fails: the output is not closed then, or what came so far
        would look like all there is. Who waits for more is cancelled with the run.
        """
        self.output.writer_left()
        if self.output.closed:
            self.ended = time.monotonic()
        self.output.wake_putter()

    def leave_row(self, slot: list[Any] | None) -> None:
        """Give up the place of an item that is accounted for."""
        if slot is None:
            self.first_out = False
        else:
            slot[0] = GONE
            self.gone += 1

    def flush(self, result: Any) -> None:  # noqa: ANN401
        """Pass on what stands first in the row."""
        if result is not GONE:
            self.out += 1
            if self.spec.kind == "flat_map":
                self.output.items.extend(result)
                self.emitted += len(result)
            else:
                self.output.items.append(result)

    async def emit_all(self, results: Iterable[Any] | AsyncIterable[Any]) -> None:
        """Pass on all that one item becomes, as far as there is room."""
        if isinstance(results, AsyncIterable):
            async for result in results:
                await self._emit(result)
        else:
            for result in results:
                await self._emit(result)
        self.out += 1

    async def _emit(self, result: object) -> None:
        if not self.output.has_room():
            await self.until_room(holding=True)
        self.output.items.append(result)
        self.emitted += 1
        if self.output.getters:
            self.output.wake_getter()
        if not self.emitted & _STRIDE:
            await yield_to_others()

    async def take(self, number: int = 0) -> Any:  # noqa: ANN401
        """Return the next item of a source, or END."""
        source = self.sources[number]
        if not isinstance(source, Link):
            return next(source, END)
        if not source.items and not await self.until_item(source):
            return END
        item = source.items.popleft()
        if source.putters:
            source.wake_putter()
        return item

    # ------------------------------------------------------------- waiting

    async def until_item(self, link: Link) -> bool:
        """Wait for an item, and count the time; return False if none will come."""
        self.idle += 1
        self._parked_for_item += 1
        self._starved -= time.monotonic()
        try:
            found = await link.until_item()
        finally:
            self._starved += time.monotonic()
            self._parked_for_item -= 1
            self.idle -= 1
        if len(link.items) > 1 and link.getters:
            link.wake_getter()
        return found

    async def until_room(self, *, holding: bool = False) -> None:
        """Wait for room behind the stage, and count the time."""
        self.idle += not holding
        self._parked_for_room += 1
        self._blocked -= time.monotonic()
        try:
            await self.output.until_room()
        finally:
            self._blocked += time.monotonic()
            self._parked_for_room -= 1
            self.idle -= not holding
        if self.output.putters:
            self.output.wake_putter()

    async def rest(self, seconds: float = 0.0) -> None:
        """Let others run, for so long."""
        self.idle += 1
        try:
            await (anyio.sleep(seconds) if seconds else yield_to_others())
        finally:
            self.idle -= 1

    def draw_no_more(self) -> None:
        """Let iterators that are sources count as ended."""
        self.sources[:] = [one if isinstance(one, Link) else iter(()) for one in self.sources]

    # ------------------------------------------------------------ accounts

    @property
    def depth(self) -> int:
        """Items that wait for this stage."""
        return sum(len(link.items) for link in self.sources if isinstance(link, Link))

    @property
    def inside(self) -> int:
        """Items that this stage has and is not done with."""
        if self.in_order:
            working = len(self.output.slots) + self.first_out - self.gone
        else:
            working = self.hands - self.idle
        return self.depth + working + self.held

    @property
    def passed_on(self) -> int:
        """Results that left."""
        return self.emitted if self.spec.kind in ("flat_map", "batch") else self.out

    def give_up(self) -> None:
        """Count as cancelled what is inside: the run has ended."""
        self.cancelled += self.inside
        self.ended = self.ended or time.monotonic()
        self.idle, self.gone, self.held, self.first_out = self.hands, 0, 0, False
        self.output.slots.clear()
        for source in self.sources:
            if isinstance(source, Link):
                source.items.clear()

    def report(self) -> StageReport:
        """Return the account of now."""
        now = time.monotonic()
        seconds = (self.ended or now) - self.started
        share = 1 / (seconds * self.hands) if seconds > 0 else 0.0
        starved = (self._starved + self._parked_for_item * now) * share
        blocked = (self._blocked + self._parked_for_room * now) * share
        options = self.spec.options
        return StageReport(
            name=self.spec.name,
            workers=options.workers,
            entered=self.out + self.filtered + self.failed + self.cancelled + self.inside,
            out=self.out,
            filtered=self.filtered,
            failed=self.failed,
            cancelled=self.cancelled,
            inside=self.inside,
            emitted=self.passed_on,
            depth=self.depth,
            buffered=len(self.output.items),
            buffer=options.room,
            seconds=seconds,
            starved=min(1.0, starved),
            blocked=min(1.0, blocked),
            limits=self.spec.kind == "rate_limit",
            latency=self.histogram.latency(),
        )
