"""Compiling beside the loop.

Rule: nothing can break off a compilation, so nobody has to wait for one. Whoever is cancelled
leaves at once; the compilation goes on to its end, and whoever asks for it again waits for the same
one. A program that ends meanwhile ends when it is done: seconds, once on a machine, for what was
compiled is kept on the disk.
"""

from __future__ import annotations

__all__ = ("Compilation", "compiled")

from collections.abc import Callable
from threading import Lock, Thread
from typing import Any, NamedTuple

import anyio
import anyio.to_thread


class Compilation(NamedTuple):
    """What has to be imported and compiled before an engine lives."""

    work: Callable[..., object]
    """A function of a module: equal compilations are done once."""
    args: tuple[Any, ...] = ()


class _Job:
    def __init__(self, what: Compilation) -> None:
        self.error: BaseException | None = None
        self._what = what
        self.thread = Thread(target=self._run, name="aconcur compiles")

    def _run(self) -> None:
        try:
            self._what.work(*self._what.args)
        except BaseException as error:  # noqa: ASYNC103, BLE001 - raised where it is awaited
            self.error = error


_jobs: dict[Compilation, _Job] = {}
_lock = Lock()


async def compiled(what: Compilation) -> None:
    """Return when that has been done, by whomever.

    **Cancelled**: at once; the compilation goes on.

    Raises:
        MissingRequirementError: what does it is not installed; and as the work raises.
    """
    with _lock:
        job = _jobs.get(what)
        if job is None:
            job = _jobs[what] = _Job(what)
            job.thread.start()
    if job.thread.is_alive():
        # A limiter of its own, so that nobody else waits for a place among these threads.
        limiter = anyio.CapacityLimiter(1)
        await anyio.to_thread.run_sync(job.thread.join, abandon_on_cancel=True, limiter=limiter)
    if job.error is not None:
        with _lock:
            if _jobs.get(what) is job:
                del _jobs[what]
        raise job.error
