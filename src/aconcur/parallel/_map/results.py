"""The results of a map, as the caller asks for them."""

from __future__ import annotations

__all__ = ("Results",)

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, final

import anyio

from aconcur._core.generators import start_unhooked
from aconcur._core.wait_queue import yield_to_others
from aconcur.parallel._map.job import Failure, Job
from aconcur.parallel._pickling import name_of

R = TypeVar("R")

# The longest time in seconds for which results that are ready may hold the loop.
_HOLD: Final = 0.0005


@final
class Results(Generic[R]):
    """The results of a function for many items. Made by ``map``; the map starts when asked for.

    Iterate over it once, or :meth:`collect` it. Leaving the loop by ``break``, an error or a
    cancellation ends the map: no further item is drawn, and running items are stopped.
    """

    def __init__(self, start: Callable[[], Job], function: Callable[..., object]) -> None:
        self._start, self._function = start, function
        self._job: Job | None = None

    def __repr__(self) -> str:
        if self._job is not None:
            return repr(self._job).replace("Job", "Results", 1)
        return f"<Results of {name_of(self._function)}>"

    @property
    def failures(self) -> Sequence[Failure]:
        """The failed items with ``on_error=COLLECT``, and the one that ended the map with RAISE.

        They are in the order of the input.
        """
        return sorted(self._job.failures, key=attrgetter("index")) if self._job else ()

    def __aiter__(self) -> AsyncGenerator[R, None]:  # noqa: PYI058 - it has an aclose()
        """Start the map.

        Raises:
            RuntimeError: it was started before.
        """
        return start_unhooked(_each(self._begin()))

    def indexed(self) -> AsyncGenerator[tuple[int, R], None]:
        """Start the map, and iterate over pairs of an item's position in the input and its result.

        For ``ordered=False``, where results come in another order than their items.

        Raises:
            RuntimeError: it was started before.
        """
        job = self._begin()
        job.number_results()
        return start_unhooked(_each(job))

    async def collect(self) -> list[R]:
        """Return all results as a list.

        **Cancelled**: the map ends; no result is kept.

        Raises:
            RuntimeError: the map was started before.
            Exception: with ``on_error=RAISE`` the exception of the function for an item,
                :class:`WorkerDied` or :class:`TaskTimeout`; the exception of the input.
        """
        found: list[R] = []
        job = self._begin()
        turn = time.perf_counter()
        try:
            while results := await job.take():
                found += results
                if time.perf_counter() - turn > _HOLD:
                    await yield_to_others()
                    turn = time.perf_counter()
            if job.lingers:
                await _end(job)
            return found
        except BaseException:
            await _end(job)  # noqa: ASYNC102 - shields itself
            raise
        finally:
            job.close()

    async def take_part(self) -> list[R]:
        """Return the next results that are ready; an empty list at the end.

        For callers that await once for many results. The map starts with the first call.

        **Cancelled**: nothing was taken; :meth:`aclose` ends the map.
        """
        return await (self._job or self._begin()).take()

    async def aclose(self) -> None:
        """End the map, and wait until its input is closed. It may be called again."""
        if self._job is not None:
            await _end(self._job)

    def _begin(self) -> Job:
        if self._job is not None:
            raise RuntimeError("these results were asked for before: call map() again")
        self._job = self._start()
        return self._job


async def _each(job: Job) -> AsyncGenerator[Any, None]:
    try:
        yield None  # to start_unhooked()
        turn = time.perf_counter()
        while results := await job.take():
            for result in results:
                yield result
            if time.perf_counter() - turn > _HOLD:
                await yield_to_others()
                turn = time.perf_counter()
        if job.lingers:
            await _end(job)
    except GeneratorExit:  # nothing may be awaited: see start_unhooked()
        raise
    except BaseException:
        await _end(job)  # noqa: ASYNC102 - shields itself
        raise
    finally:
        job.close()


async def _end(job: Job) -> None:
    """Close a map, and wait until its async input and its own pool are closed."""
    job.close()
    with anyio.CancelScope(shield=True):
        await job.settled()
