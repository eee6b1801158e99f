"""The standard library's two pools, made safe to leave.

Laws: Ctrl-C never strikes inside a pool; a worker process
never sees it, its owner ends it; the owner can always end
it, whatever it runs; and no worker outlives its owner.
"""

from __future__ import annotations

__all__ = (
    "WORKERS",
    "ProcessPool",
    "ThreadPool",
)

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from multiprocessing import parent_process
from multiprocessing.context import (
    SpawnContext,
    SpawnProcess,
)
from typing import Any, Final, TypeVar

from aconcur.lessons.ctrl_c import ctrl_c_after, ctrl_c_held

# The notes' number: it shows the gain on any machine that
# has two cores, and is the same work on all of them.
WORKERS: Final = 2


R = TypeVar("R")


class CalmPool(Executor):
    """What both pools add: Ctrl-C waits until it is safe.

    Python raises KeyboardInterrupt between any two steps of
    the main thread. Inside an executor it may leave a lock
    taken, and the program hangs as it ends. `asyncio.run`
    has no such trouble: there Ctrl-C comes at an `await`.
    """

    def stop_workers(self) -> None:
        """Stop what runs: no way to do it for a thread."""

    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        **options: Any,  # noqa: ANN401 - Executor's own
    ) -> Iterator[R]:
        """Map; Ctrl-C comes between two answers.

        Pressed again before the next answer, it stops the
        workers.
        """
        with ctrl_c_after(self.stop_workers):
            answers = super().map(fn, *iterables, **options)
        return self.one_by_one(answers)

    def one_by_one(
        self, answers: Iterator[R]
    ) -> Iterator[R]:
        """Yield the answers."""
        while True:
            with ctrl_c_after(self.stop_workers):
                try:
                    answer = next(answers)
                except StopIteration:
                    return
            yield answer

    def shutdown(
        self,
        wait: bool = True,
        *,
        cancel_futures: bool = False,
    ) -> None:
        """End; Ctrl-C comes afterwards."""
        with ctrl_c_after(self.stop_workers):
            super().shutdown(
                wait, cancel_futures=cancel_futures
            )


class ThreadPool(CalmPool, ThreadPoolExecutor):
    """A `ThreadPoolExecutor` that Ctrl-C leaves whole."""


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


class ProcessPool(CalmPool, ProcessPoolExecutor):
    """A `ProcessPoolExecutor` that can be killed.

    All workers start with it, in about 5 ms; each is ready
    some 100 ms later, or when it has imported the main
    module. Ctrl-C does not reach them.
    """

    window: Final[int]
    """How many calls keep all workers busy."""

    def __init__(self, workers: int = WORKERS) -> None:
        # As many as an executor hands to its workers ahead
        # of time. With fewer these idle; more would wait
        # inside, where a cancelled call trips Python 3.11
        # if the pool is killed.
        self.window = workers + 1
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

    def stop_workers(self) -> None:
        """Kill the workers; nothing is waited for."""
        for worker in list(self.crew.workers):
            if worker.pid is not None:
                worker.kill()

    def kill(self) -> None:
        """End in about 2 ms, whatever the workers run.

        Calls in flight fail with BrokenProcessPool; none of
        them may wait and be cancelled, as Python 3.11 trips
        over it. Python 3.14 has `kill_workers` for this.
        """
        self.stop_workers()
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
