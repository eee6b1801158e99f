"""Threads that end with the test, pass their errors on, and never wait without a bound."""

from __future__ import annotations

__all__ = ("Threads",)

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.support.states import BOUND

T = TypeVar("T")


class Threads:
    """A block of threads: its end joins them all, and raises the first error of one."""

    def __init__(self) -> None:
        self._started: list[tuple[Thread, Future[Any]]] = []

    def start(self, fn: Callable[..., T], *args: object) -> Future[T]:
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(fn(*args))
            except BaseException as error:  # noqa: ASYNC103, BLE001 - result() raises it
                answer.set_exception(error)

        # A daemon: one that hangs fails its test and not the whole run.
        thread = Thread(target=run, name=f"thread {len(self._started)}", daemon=True)
        self._started.append((thread, answer))
        thread.start()
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        end = time.monotonic() + BOUND
        for thread, _ in self._started:
            thread.join(max(0, end - time.monotonic()))
        if error is None:
            for _, answer in self._started:
                answer.result(0)
