"""The results of a map, as they are asked for."""

from __future__ import annotations

__all__ = ("Results",)

import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar, final

import anyio

from aconcur._core.wait_queue import yield_to_others
from aconcur.parallel._job import Job
from aconcur.parallel._options import Failure

R = TypeVar("R")

# Seconds for which results that are ready keep the loop from others.
_HOLD: Final = 0.0005


@final
class Results(Generic[R]):
    """What a function returns for many items. Made by a ``map``, which draws nothing yet.

    Iterate over it, once, or :meth:`collect` it. A loop that is left, by ``break``, an error or a
    cancellation, ends the map: nothing more is drawn, and what runs is stopped.
    """

    def __init__(self, start: Callable[[], Job], shown: str) -> None:
        self._start, self._shown = start, shown
        self._job: Job | None = None

    def __repr__(self) -> str:
        return repr(self._job).replace("Job", "Results", 1) if self._job else f"<{self._shown}>"

    @property
    def failures(self) -> Sequence[Failure]:
        """The failed items, with ``on_error=COLLECT``; and that which ended the map.

        In the order of the input.
        """
        return sorted(self._job.failures, key=attrgetter("index")) if self._job else ()

    def __aiter__(self) -> AsyncGenerator[R, None]:  # noqa: PYI058 - it has an aclose()
        """Start the map.

        Raises:
            RuntimeError: it has been started before.
        """
        return _primed(_each(self._begin()))

    async def collect(self) -> list[R]:
        """Return all results as a list.

        **Cancelled**: the map ends; no result is kept.

        Raises:
            RuntimeError: the map has been started before.
            Exception: what the function raised for an item, with ``on_error=RAISE``;
                :class:`WorkerDied`, :class:`TaskTimeout`; what the input raised.
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
            return found
        except BaseException:
            await _end(job)  # noqa: ASYNC102 - shields itself
            raise
        finally:
            job.close()

    def _begin(self) -> Job:
        if self._job is not None:
            raise RuntimeError("these results have been asked for: call map() again")
        self._job = self._start()
        return self._job


async def _each(job: Job) -> AsyncGenerator[Any, None]:
    try:
        yield None  # to _primed()
        turn = time.perf_counter()
        while results := await job.take():
            for result in results:
                yield result
            if time.perf_counter() - turn > _HOLD:
                await yield_to_others()
                turn = time.perf_counter()
    except GeneratorExit:
        raise
    except BaseException:
        await _end(job)  # noqa: ASYNC102 - shields itself
        raise
    finally:
        job.close()


async def _end(job: Job) -> None:
    """Close a map, and the async input that it draws from."""
    job.close()
    with anyio.CancelScope(shield=True):
        await job.settled()


def _primed(generator: AsyncGenerator[R, None]) -> AsyncGenerator[R, None]:
    """Let a generator whose clean-up awaits nothing be closed the moment that nobody holds it.

    A loop's hooks would have a task close it, later; trio would warn as well. A generator takes
    the hooks that are set when it is first asked: so it is asked here, for a first yield.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        with suppress(StopIteration):
            generator.__anext__().__await__().__next__()
    finally:
        sys.set_asyncgen_hooks(*hooks)
    return generator
