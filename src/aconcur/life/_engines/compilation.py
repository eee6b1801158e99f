"""Compile kernels in a thread, without blocking the event loop.

A compilation cannot be interrupted. A waiter that is cancelled leaves at once, the compilation
continues to its end, and the next waiter for an equal compilation joins it. A program that ends
meanwhile waits for it: some seconds, once on a machine, because numba caches the result on disk.
"""

from __future__ import annotations

__all__ = ("Compilation", "ensure_compiled")

from collections.abc import Callable
from threading import Lock, Thread
from typing import Any, NamedTuple

import anyio
import anyio.to_thread


class Compilation(NamedTuple):
    """Work that has to be done once before an engine can run, such as importing numba."""

    work: Callable[..., object]
    """A module-level function: equal compilations are done once."""
    args: tuple[Any, ...] = ()


class _Job:
    def __init__(self, what: Compilation) -> None:
        self.error: BaseException | None = None
        self._what = what
        self.thread = Thread(target=self._run, name="aconcur compiles")

    def _run(self) -> None:
        try:
            self._what.work(*self._what.args)
        except BaseException as error:  # noqa: ASYNC103, BLE001 - raised in ensure_compiled()
            self.error = error


_jobs: dict[Compilation, _Job] = {}
_lock = Lock()


async def ensure_compiled(what: Compilation) -> None:
    """Do a compilation, or wait for an equal one, and return when it is done.

    A failed compilation is tried again by the next call.

    **Cancelled**: at once; the compilation continues in its thread.

    Raises:
        MissingRequirementError: numba is not installed.
        Exception: the work failed, with its own error.
    """
    with _lock:
        job = _jobs.get(what)
        if job is None:
            job = _jobs[what] = _Job(what)
            job.thread.start()
    if job.thread.is_alive():
        # A separate limiter, so that these waits take no place in the default one.
        limiter = anyio.CapacityLimiter(1)
        await anyio.to_thread.run_sync(job.thread.join, abandon_on_cancel=True, limiter=limiter)
    if job.error is not None:
        with _lock:
            if _jobs.get(what) is job:
                del _jobs[what]
        raise job.error
