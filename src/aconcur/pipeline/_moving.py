"""The workers of stages that call no function: they batch, pace and merge what passes.

Rule: an item is taken when it can be passed on, or when it belongs to a batch that is being filled.
"""

from __future__ import annotations

__all__ = ("Pace", "move")

from typing import TYPE_CHECKING, Final, final

import anyio

from aconcur.pipeline._link import END

if TYPE_CHECKING:
    from aconcur.pipeline._stage import Stage

# Items between two yields of a worker that never has to wait.
_STRIDE: Final = 127


async def move(stage: Stage, hand: int) -> None:
    """Be a worker of the stage, to the end of the source that is this hand's."""
    stage.idle -= 1
    try:
        if stage.spec.kind == "batch":
            await _batch(stage)
        elif stage.spec.kind == "rate_limit":
            await _pace(stage)
        else:
            await _forward(stage, hand)
    finally:
        stage.idle += 1
    stage.left()


async def _batch(stage: Stage) -> None:
    """Gather items until there are enough, or until the first has waited long enough."""
    output, size, max_wait = stage.output, stage.spec.size, stage.spec.max_wait
    while True:
        if not output.has_room():
            await stage.until_room()
        if (item := await stage.take()) is END:
            return
        batch = [item]
        stage.held += 1
        with anyio.move_on_after(max_wait):
            while len(batch) < size and (item := await stage.take()) is not END:
                batch.append(item)
                stage.held += 1
        stage.held -= len(batch)
        stage.out += len(batch)
        stage.emitted += 1
        output.items.append(batch if stage.trace is None else stage.trace.join(batch))
        if output.getters:
            output.wake_getter()
        await stage.rest()


async def _pace(stage: Stage) -> None:
    """Pass on one item at a time, each when it is due."""
    output = stage.output
    pace = Pace(stage.spec.gap, stage.spec.size)
    while True:
        if not output.has_room():
            await stage.until_room()
        if stage.out:
            # One counts from when the next stage took it: what waits there does not bunch.
            pace.passed(anyio.current_time())
        # Taken first, then held: what has ended is not waited for.
        if (item := await stage.take()) is END:
            return
        if (seconds := pace.wait(anyio.current_time())) > 0:
            stage.held += 1
            await stage.rest(seconds)
            stage.held -= 1
        stage.out += 1
        output.items.append(item if stage.trace is None else stage.trace.passed(item))
        if output.getters:
            output.wake_getter()


async def _forward(stage: Stage, hand: int) -> None:
    """Pass on what comes from one of the sources."""
    output = stage.output
    while True:
        if not output.has_room():
            await stage.until_room()
        if (item := await stage.take(hand)) is END:
            return
        stage.out += 1
        output.items.append(item if stage.trace is None else stage.trace.passed(item))
        if output.getters:
            output.wake_getter()
        if not stage.out & _STRIDE:
            await stage.rest()


@final
class Pace:
    """When the next may pass: a token bucket, kept as one point of time.

    Rule: in any ``t`` seconds at most ``burst + t / gap`` pass.

    Args:
        gap: seconds in which one token falls into the bucket.
        burst: tokens that it holds; it is full at first.

    Source: the generic cell rate algorithm, ITU-T I.371, 2004.
    """

    __slots__ = ("_full", "_gap", "_slack")

    def __init__(self, gap: float, burst: int) -> None:
        self._gap, self._slack = gap, gap * (burst - 1)
        self._full = float("-inf")  # when the bucket will be full

    def passed(self, now: float) -> None:
        """Take a token out, for one that passed now."""
        self._full = max(self._full, now) + self._gap

    def wait(self, now: float) -> float:
        """Return the seconds until there is a token; 0 or less: there is one."""
        return self._full - self._slack - now
