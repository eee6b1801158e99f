"""Each primitive does as the real one, on virtual time, and its correct use raises no alarm."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Thread, local
from time import sleep
from typing import Any

import pytest

from aconcur.testing import Deadlock, explore_threads, replay_threads
from tests.testing.explore_threads.thread_bugs import together


def once(scenario: Callable[[], object]) -> None:
    """Run the base order, in real time that no wait of the scenario is part of."""
    began = time.perf_counter()
    for grain in ("gil", "opcode"):
        replay_threads(scenario, "base", grain=grain).check()
    assert time.perf_counter() - began < 30


def test_lock() -> None:
    def scenario() -> None:
        lock = Lock()
        assert not lock.locked()
        assert lock.acquire()
        assert lock.locked()
        assert not lock.acquire(blocking=False)
        assert not lock.acquire(timeout=60)
        assert time.monotonic() == 60
        lock.release()
        with pytest.raises(RuntimeError, match="release unlocked lock"):
            lock.release()
        with pytest.raises(ValueError, match="can't specify a timeout"):
            lock.acquire(False, 1)
        with pytest.raises(ValueError, match="non-negative"):
            lock.acquire(timeout=-2)
        assert repr(lock).startswith("<unlocked aconcur.testing Lock")
        lock.acquire()
        together(lock.release)  # by another thread
        assert lock.acquire(timeout=1)

    once(scenario)


def test_rlock() -> None:
    def scenario() -> None:
        lock = threading.RLock()
        told: list[object] = []

        def other() -> None:
            told.append(lock.acquire(blocking=False))
            with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
                lock.release()

        with lock:
            with lock:
                assert lock.acquire()
                lock.release()
            together(other)
        assert told == [False]
        with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
            lock.release()

    once(scenario)


def test_condition_waits_in_virtual_time() -> None:
    def scenario() -> None:
        for condition in (threading.Condition(), threading.Condition(threading.Lock())):
            with condition:
                began = time.monotonic()
                assert not condition.wait(timeout=3600)
                assert time.monotonic() - began == 3600
                assert not condition.wait_for(lambda: False, timeout=5)
                assert time.monotonic() - began == 3605
            with pytest.raises(RuntimeError, match="un-acquired lock"):
                condition.notify()
        nested = threading.Condition()
        with nested, nested:
            thread = Thread(target=_notify, args=(nested,))
            thread.start()
            assert nested.wait(timeout=1)

    once(scenario)


def _notify(condition: threading.Condition) -> None:
    with condition:
        condition.notify()


def test_semaphores() -> None:
    def scenario() -> None:
        semaphore = threading.Semaphore(2)
        assert semaphore.acquire()
        assert semaphore.acquire()
        assert not semaphore.acquire(blocking=False)
        assert not semaphore.acquire(timeout=7)
        assert time.monotonic() == 7
        semaphore.release(2)
        bounded = threading.BoundedSemaphore()
        with pytest.raises(ValueError, match="released too many times"):
            bounded.release()

    once(scenario)


def test_event() -> None:
    def scenario() -> None:
        event = threading.Event()
        assert not event.wait(timeout=2)
        assert not event.is_set()
        Thread(target=event.set).start()
        assert event.wait()
        event.clear()
        assert not event.is_set()

    once(scenario)


def test_barrier() -> None:
    def scenario() -> None:
        barrier = threading.Barrier(3)
        order: list[int] = []

        def meet() -> None:
            order.append(barrier.wait())

        together(meet, meet, meet)
        assert sorted(order) == [0, 1, 2]
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait(timeout=1)
        assert barrier.broken

    once(scenario)


def test_timer() -> None:
    def scenario() -> None:
        fired: list[float] = []
        timer = threading.Timer(30, lambda: fired.append(time.monotonic()))
        cancelled = threading.Timer(10, lambda: fired.append(-1))
        timer.start()
        cancelled.start()
        cancelled.cancel()
        timer.join()
        assert fired == [30]

    once(scenario)


@pytest.mark.parametrize("kind", [queue.Queue, queue.LifoQueue, queue.PriorityQueue])
def test_queues(kind: type[queue.Queue[int]]) -> None:
    def scenario() -> None:
        items = kind(maxsize=2)
        items.put(2)
        items.put(1)
        with pytest.raises(queue.Full):
            items.put_nowait(3)
        began = time.monotonic()
        with pytest.raises(queue.Full):
            items.put(3, timeout=4)
        assert time.monotonic() - began == 4
        assert [items.get(), items.get()] == ([2, 1] if kind is queue.Queue else [1, 2])
        with pytest.raises(queue.Empty):
            items.get(timeout=6)
        assert time.monotonic() - began == 10
        Thread(target=items.put, args=(5,)).start()
        assert items.get() == 5
        for _ in range(3):
            items.task_done()
        items.join()

    once(scenario)


def test_simple_queue() -> None:
    def scenario() -> None:
        items: queue.SimpleQueue[int] = queue.SimpleQueue()
        assert items.empty()
        with pytest.raises(queue.Empty):
            items.get_nowait()
        with pytest.raises(queue.Empty):
            items.get(timeout=8)
        with pytest.raises(ValueError, match="non-negative"):
            items.get(timeout=-1)
        assert time.monotonic() == 8
        Thread(target=items.put, args=(1,)).start()
        assert items.get() == 1
        items.put_nowait(2)
        assert items.qsize() == 1

    once(scenario)


class Greeter(Thread):
    def __init__(self, said: list[str]) -> None:
        super().__init__(name="greeter", daemon=True)
        self.said = said

    def run(self) -> None:
        current = threading.current_thread()
        assert current is self
        assert current.ident == threading.get_ident()
        self.said.append(f"hello from {current.name}")


def test_thread() -> None:
    def scenario() -> None:
        said: list[str] = []
        greeter = Greeter(said)
        assert greeter.ident is None
        with pytest.raises(RuntimeError, match="before it is started"):
            greeter.join()
        greeter.start()
        assert greeter.is_alive()
        assert greeter.ident is not None
        with pytest.raises(RuntimeError, match="only be started once"):
            greeter.start()
        greeter.join()
        greeter.join()
        assert not greeter.is_alive()
        assert said == ["hello from greeter"]
        assert threading.current_thread() is threading.main_thread()
        with pytest.raises(RuntimeError, match="cannot join current thread"):
            threading.current_thread().join()
        assert threading.main_thread() in threading.enumerate()
        assert greeter not in threading.enumerate()
        slow = Thread(target=sleep, args=(9,))
        assert slow.name == "Thread-1 (sleep)"  # the same in each schedule
        slow.start()
        slow.join(timeout=4)
        assert slow.is_alive()
        assert time.monotonic() == 4
        assert slow in threading.enumerate()

    once(scenario)


def test_an_exit_ends_its_thread_alone() -> None:
    def scenario() -> None:
        def leave() -> None:
            raise SystemExit

        together(leave)

    once(scenario)


def test_a_hook_of_the_scenarios_own_handles_errors() -> None:
    def scenario() -> None:
        caught: list[Any] = []
        threading.excepthook = lambda told: caught.append((told.exc_type, told.thread))

        def fail() -> None:
            raise OSError

        thread = Thread(target=fail)
        thread.start()
        thread.join()
        assert caught == [(OSError, thread)]

    once(scenario)
    once(scenario)


def test_each_thread_and_each_schedule_has_its_own_local() -> None:
    kept = local()

    def scenario() -> None:
        def use() -> None:
            assert not hasattr(kept, "value")
            kept.value = 1

        use()
        together(use, use)

    explore_threads(scenario, bound=1).check()


def test_executor() -> None:
    def scenario() -> None:
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(abs, [-1, -2, -3])) == [1, 2, 3]
            late = pool.submit(sleep, 5)
            with pytest.raises(TimeoutError):
                late.result(timeout=1)
            assert late.result() is None

    once(scenario)
    explore_threads(scenario, bound=1, schedules=100).check()


def test_an_executor_that_is_abandoned_leaves_nothing() -> None:
    def scenario() -> None:
        pool = ThreadPoolExecutor(1)
        pool.submit(threading.Event().wait)
        sleep(1)
        raise OSError("mine")

    with pytest.raises(OSError, match="mine"):
        replay_threads(scenario, "base").check()


def test_clocks_are_virtual() -> None:
    def scenario() -> None:
        day = time.time()
        sleep(86_400)
        assert time.time() - day == 86_400
        assert time.monotonic() == time.perf_counter() == 86_400
        assert time.monotonic_ns() == 86_400 * 10**9
        sleep(0)
        with pytest.raises(ValueError, match="non-negative"):
            sleep(-1)

    once(scenario)


def test_who_sleeps_shorter_wakes_first() -> None:
    def scenario() -> None:
        order: list[int] = []

        def after(seconds: int) -> None:
            sleep(seconds)
            order.append(seconds)

        together(lambda: after(3), lambda: after(1), lambda: after(2))
        assert order == [1, 2, 3]

    explore_threads(scenario, bound=1).check()


# -- correct uses, each explored in full to the bound


def a_bounded_buffer() -> None:
    items: queue.Queue[int] = queue.Queue(maxsize=1)
    out: list[int] = []

    def produce() -> None:
        items.put(1)
        items.put(2)

    together(produce, lambda: out.extend([items.get(), items.get()]))
    assert out == [1, 2]


def a_simple_queue() -> None:
    items: queue.SimpleQueue[int] = queue.SimpleQueue()
    out: list[int] = []
    together(lambda: items.put(1), lambda: items.put(2), lambda: out.append(items.get()))
    assert out[0] in (1, 2)
    assert items.qsize() == 1


def a_recursive_lock() -> None:
    lock, total = threading.RLock(), [0]

    def add() -> None:
        with lock, lock:
            total[0] += 1

    together(add, add)
    assert total == [2]


def a_semaphore() -> None:
    semaphore, inside = threading.BoundedSemaphore(1), list[int]()

    def enter() -> None:
        with semaphore:
            inside.append(1)
            assert len(inside) == 1
            inside.pop()

    together(enter, enter)


def an_event() -> None:
    event, told = threading.Event(), list[int]()

    def tell() -> None:
        told.append(1)
        event.set()

    def hear() -> None:
        event.wait()
        assert told == [1]

    together(tell, hear)


def a_barrier() -> None:
    barrier, here = threading.Barrier(2), list[int]()

    def meet() -> None:
        here.append(1)
        barrier.wait()
        assert len(here) == 2

    together(meet, meet)


def a_lock_tried() -> None:
    lock, total = threading.Lock(), [0]

    def add() -> None:
        while not lock.acquire(timeout=1):
            pass
        total[0] += 1
        lock.release()

    together(add, add)
    assert total == [2]


@pytest.mark.parametrize("grain", ["gil", "opcode"])
@pytest.mark.parametrize(
    "scenario",
    [
        a_bounded_buffer,
        a_simple_queue,
        a_recursive_lock,
        a_semaphore,
        an_event,
        a_barrier,
        a_lock_tried,
    ],
)
def test_correct_use_raises_no_alarm(scenario: Callable[[], None], grain: str) -> None:
    found = explore_threads(scenario, grain=grain, schedules=250)  # type: ignore[arg-type]
    found.check()


def test_a_barrier_that_lacks_a_thread_is_a_deadlock() -> None:
    def scenario() -> None:
        together(threading.Barrier(2).wait)

    with pytest.raises(Deadlock, match=r"waits in Barrier\.wait\(\)"):
        explore_threads(scenario).check()
