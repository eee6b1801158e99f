"""The worker processes that all versions share.

Laws: a worker never sees Ctrl-C, its owner ends it; the
owner can always end it, whatever it runs; and no worker
outlives its owner.
"""

from __future__ import annotations

__all__ = ("WORKERS", "ProcessPool", "ctrl_c_held")

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.context import (
    SpawnContext,
    SpawnProcess,
)
from typing import Any, Final

# The notes' number: it shows the gain on any machine that
# has two cores, and is the same work on all of them.
WORKERS: Final = 2


class Crew(SpawnContext):
    """Starts the workers of a pool, and keeps their list.

    An executor asks its context for every process but has
    no public list of them. Spawned, not forked: a fork
    copies locks that other threads hold, held for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[SpawnProcess] = []

    # A context has a class here; all that an executor does
    # with it is call it.
    def Process(  # type: ignore[override]  # noqa: N802
        self,
        *args: Any,  # noqa: ANN401 - SpawnProcess's own
        **options: Any,  # noqa: ANN401 - SpawnProcess's own
    ) -> SpawnProcess:
        """Make a process that has not started."""
        worker = SpawnProcess(*args, **options)
        self.workers.append(worker)
        return worker


class ProcessPool(ProcessPoolExecutor):
    """A `ProcessPoolExecutor` that can be killed.

    All workers start with it, in about 5 ms; each is ready
    some 80 ms later, or as late as the main module takes to
    import. Ctrl-C does not reach them.
    """

    def __init__(self, workers: int = WORKERS) -> None:
        self.crew = Crew()
        self.starting: list[Future[int]] = []
        self._ending = threading.Lock()
        super().__init__(
            workers, self.crew, end_with_parent
        )
        try:
            with ctrl_c_held():
                while len(self.crew.workers) < workers:
                    self.starting.append(self.submit(int))
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End in about 2 ms, whatever the workers run.

        Calls in flight fail with BrokenProcessPool; none of
        them may wait and be cancelled, as Python 3.11 trips
        over it. Python 3.14 has `kill_workers` for this.
        """
        for worker in list(self.crew.workers):
            if worker.pid is not None:
                worker.kill()
        self.shutdown()

    def shutdown(
        self,
        wait: bool = True,
        *,
        cancel_futures: bool = False,
    ) -> None:
        """End when the running calls have ended.

        Two threads may call this at once: one waits for the
        workers, and the other kills them.
        """
        with self._ending:
            super().shutdown(
                wait, cancel_futures=cancel_futures
            )
            if wait:
                # Their descriptors go with them.
                self.crew.workers.clear()


def end_with_parent() -> None:
    """Let this worker end when its parent has been killed.

    An idle worker would wait for its next call for ever.
    """
    threading.Thread(target=follow, daemon=True).start()


def follow() -> None:
    """Wait for the end of the parent, then end at once."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def ctrl_c_held() -> Iterator[None]:
    """Hold Ctrl-C back until the block has ended.

    A process inherits the signals that its starter blocks,
    so one that starts in this block never sees Ctrl-C. To
    ignore it in an initializer would be too late: a new
    interpreter takes some 20 ms to get there, and an early
    Ctrl-C ends it with a traceback.
    """
    # Asked first, as the next line may raise what came in
    # just before it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(
            signal.SIG_BLOCK, {signal.SIGINT}
        )
        with handler_held():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def handler_held() -> Iterator[None]:
    """Hold back the Ctrl-C that another thread receives.

    Whichever thread the system gives it to, Python raises
    it in the main thread, also where that one blocks it.
    """
    handler = signal.getsignal(signal.SIGINT)
    thread = threading.current_thread()
    if (
        thread is not threading.main_thread()
        or handler is None
    ):
        yield
        return
    came: list[int] = []
    signal.signal(
        signal.SIGINT, lambda number, _: came.append(number)
    )
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)
