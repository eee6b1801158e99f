"""Ctrl-C, really pressed: each case has an interpreter of its own, where it hits no other test.

``python -m tests.support.ctrl_c_cases NAME`` ends with 0 when the case holds.
"""

from __future__ import annotations

__all__ = (
    "another_thread_is_left_alone",
    "comes_after_the_block",
    "hammering_threads_end",
    "held_and_received_by_another_thread",
    "held_and_then_comes",
    "stays_ignored",
    "stuck_workers_end_at_the_second",
)

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from aconcur.lessons.ctrl_c import ctrl_c_after, ctrl_c_held
from aconcur.lessons.item38_lock import original as lock
from aconcur.lessons.item41_futures.pool import WORKERS, ProcessPool
from tests.support import item41_jobs as jobs
from tests.support.states import until_sync


def mask_and_handler() -> object:
    return signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGINT)


def held_and_then_comes() -> None:
    before = mask_and_handler()
    reached = []
    try:
        with ctrl_c_held():
            os.kill(os.getpid(), signal.SIGINT)
            until_sync(lambda: signal.SIGINT in signal.sigpending())
            reached.append("the end of the block")
        reached.append("beyond it")
    except KeyboardInterrupt:
        reached.append("KeyboardInterrupt")
    assert reached == ["the end of the block", "KeyboardInterrupt"]
    assert mask_and_handler() == before


def held_and_received_by_another_thread() -> None:
    # The system gives it to a thread that does not block it, if there is one.
    before = mask_and_handler()
    done, reached = threading.Event(), []
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        with ctrl_c_held():
            inner = signal.getsignal(signal.SIGINT)
            assert callable(inner)
            noted = threading.Event()

            def note(number: int, frame: FrameType | None) -> None:
                inner(number, frame)
                noted.set()

            signal.signal(signal.SIGINT, note)
            os.kill(os.getpid(), signal.SIGINT)
            until_sync(noted.is_set)
            reached.append("the end of the block")
        reached.append("beyond it")
    except KeyboardInterrupt:
        reached.append("KeyboardInterrupt")
    finally:
        done.set()
        other.join()
    assert reached == ["the end of the block", "KeyboardInterrupt"]
    assert mask_and_handler() == before


def pressed_in_the_block(times: int) -> list[str]:
    said: list[str] = []
    try:
        with ctrl_c_after(lambda: said.append("again")):
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
            said.append("end")
    except KeyboardInterrupt:
        said.append("KeyboardInterrupt")
    return said


def comes_after_the_block() -> None:
    assert pressed_in_the_block(0) == ["end"]
    assert pressed_in_the_block(1) == ["end", "KeyboardInterrupt"]
    assert pressed_in_the_block(3) == ["again", "again", "end", "KeyboardInterrupt"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with ctrl_c_after():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def another_thread_is_left_alone() -> None:
    entered = []

    def hold() -> None:
        with ctrl_c_held():
            entered.append(mask_and_handler())

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert entered == [({signal.SIGINT}, signal.default_int_handler)]


def stuck_workers_end_at_the_second() -> None:
    """Nothing stops a thread that waits for stuck workers but the second Ctrl-C, which kills."""
    with TemporaryDirectory() as folder:
        paths = [f"{folder}/{number}" for number in range(WORKERS)]
        pool = ProcessPool()
        calls: list[Future[None]] = [pool.submit(jobs.stuck, path) for path in paths]
        until_sync(lambda: all(Path(path).exists() for path in paths))
        presses: list[float] = []

        def press_until_it_ends() -> None:
            while not all(call.done() for call in calls) and len(presses) < 100:
                os.kill(os.getpid(), signal.SIGINT)
                presses.append(time.monotonic())
                time.sleep(0.05)

        presser = threading.Thread(target=press_until_it_ends)
        came = 0
        handler = signal.getsignal(signal.SIGINT)
        try:
            with ctrl_c_after():
                # Held here too, so that presses after the pool's end hit nothing else.
                presser.start()
                try:
                    pool.shutdown()
                finally:
                    presser.join()
        except KeyboardInterrupt:
            came += 1
        assert came == 1
        assert 2 <= len(presses) < 100
        assert signal.getsignal(signal.SIGINT) is handler
        for call in calls:
            assert isinstance(call.exception(), BrokenProcessPool)


def hammering_threads_end() -> None:
    """Ctrl-C ends threads that would run for ever, when the main thread waits for them."""
    outcome = lock.outcome
    main_waits = threading.Event()
    numbers = iter(range(3))

    def waiting(ended: lock.Ended) -> Exception | None:
        main_waits.set()
        return outcome(ended)

    def sensor() -> Iterator[int]:
        if next(numbers) == 0:
            main_waits.wait()
            # As a terminal does; a flag alone would not wake the main thread.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        yield from repeat(1)

    lock.outcome = waiting
    came = 0
    try:
        lock.hammer(lock.LockingCounter(), 3, sensor)
    except KeyboardInterrupt:
        came += 1
    assert came == 1
    assert threading.active_count() == 1


if __name__ == "__main__":
    # A shell lets a job in the background ignore Ctrl-C, and an interpreter inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    globals()[sys.argv[1]]()
