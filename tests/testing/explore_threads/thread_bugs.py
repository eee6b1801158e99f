"""Seven classic faults of threads, each beside the same code without it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final

Scenario = Callable[[], None]


def together(*targets: Callable[[], object]) -> None:
    """Run each function in a thread of its own, to the end."""
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class PlainCounter:
    def __init__(self) -> None:
        self.count = 0

    def increment(self) -> None:
        self.count += 1


class LockedCounter(PlainCounter):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def increment(self) -> None:
        with self.lock:
            self.count += 1


class PropertyCounter:
    def __init__(self) -> None:
        self._count = 0

    @property
    def count(self) -> int:
        return self._count

    @count.setter
    def count(self, value: int) -> None:
        self._count = value

    def increment(self) -> None:
        self.count += 1


class LockedPropertyCounter(PropertyCounter):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def increment(self) -> None:
        with self.lock:
            self.count += 1


def _counts(kind: Callable[[], PlainCounter | PropertyCounter]) -> None:
    counter = kind()
    together(counter.increment, counter.increment)
    assert counter.count == 2, f"lost update: {counter.count}"


def lost_update() -> None:
    _counts(PlainCounter)


def no_lost_update() -> None:
    _counts(LockedCounter)


def lost_property_update() -> None:
    _counts(PropertyCounter)


def no_lost_property_update() -> None:
    _counts(LockedPropertyCounter)


def _takes(first: threading.Lock, second: threading.Lock) -> Callable[[], None]:
    def take() -> None:
        with first, second:
            pass

    return take


def opposite_orders() -> None:
    left, right = threading.Lock(), threading.Lock()
    together(_takes(left, right), _takes(right, left))


def one_order() -> None:
    left, right = threading.Lock(), threading.Lock()
    together(_takes(left, right), _takes(left, right))


def check_then_act() -> None:
    cache: dict[str, object] = {}
    made: list[int] = []

    def get() -> None:
        if "x" not in cache:
            made.append(1)
            cache["x"] = object()

    together(get, get)
    assert len(made) == 1, f"made {len(made)}"


def check_and_act() -> None:
    cache: dict[str, object] = {}
    made: list[int] = []
    lock = threading.Lock()

    def get() -> None:
        with lock:
            if "x" not in cache:
                made.append(1)
                cache["x"] = object()

    together(get, get)
    assert len(made) == 1, f"made {len(made)}"


def missed_wake_up() -> None:
    condition = threading.Condition()
    items: list[int] = []

    def consume() -> None:
        if not items:
            with condition:
                condition.wait()

    together(consume, lambda: _produce(condition, items))


def no_missed_wake_up() -> None:
    condition = threading.Condition()
    items: list[int] = []

    def consume() -> None:
        with condition:
            while not items:
                condition.wait()

    together(consume, lambda: _produce(condition, items))


def _produce(condition: threading.Condition, items: list[int]) -> None:
    with condition:
        items.append(1)
        condition.notify_all()


class Connection:
    def __init__(self) -> None:
        self.open = True
        self.closes: list[int] = []
        self.lock = threading.Lock()

    def close(self) -> None:
        if self.open:
            self.open = False
            self.closes.append(1)

    def close_once(self) -> None:
        with self.lock:
            was, self.open = self.open, False
        if was:
            self.closes.append(1)


def double_close() -> None:
    connection = Connection()
    together(connection.close, connection.close)
    assert len(connection.closes) == 1, f"closed {len(connection.closes)} times"


def single_close() -> None:
    connection = Connection()
    together(connection.close_once, connection.close_once)
    assert len(connection.closes) == 1, f"closed {len(connection.closes)} times"


class ClosableQueue(queue.Queue[object]):
    """The book's queue (item 39), whose sentinel ends one worker."""

    SENTINEL: Final = object()

    def close(self) -> None:
        self.put(self.SENTINEL)

    def __iter__(self) -> Iterator[object]:
        while True:
            item = self.get()
            try:
                if item is self.SENTINEL:
                    return
                yield item
            finally:
                self.task_done()


def _drained(closes: int) -> None:
    items, out = ClosableQueue(), list[object]()

    def work() -> None:
        for item in items:
            out.append(item)

    first, second = threading.Thread(target=work), threading.Thread(target=work)
    first.start()
    second.start()
    items.put(1)
    for _ in range(closes):
        items.close()
    first.join()
    second.join()
    assert out == [1]


def one_close_for_two_workers() -> None:
    _drained(1)


def a_close_for_each_worker() -> None:
    _drained(2)


BUGS: Final[dict[str, tuple[Scenario, Scenario]]] = {
    "lost update": (lost_update, no_lost_update),
    "lost update through a property": (lost_property_update, no_lost_property_update),
    "deadlock of two locks": (opposite_orders, one_order),
    "check then act": (check_then_act, check_and_act),
    "missed wake-up": (missed_wake_up, no_missed_wake_up),
    "double close": (double_close, single_close),
    "one close for two workers": (one_close_for_two_workers, a_close_for_each_worker),
}
