"""Runs a scenario on asyncio under given choices.

Rule: no clock, no selector, no thread: the loop is a list of who is ready. Plain callbacks run
before the next task does, in their order; time passes only when no task is ready.
"""

from __future__ import annotations

__all__ = ("run",)

import asyncio
import heapq
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from inspect import CORO_CREATED, getcoroutinestate, iscoroutine
from itertools import count
from math import inf
from typing import Any, Final, Literal, NoReturn, TypeVar, TypeVarTuple, Unpack
from weakref import WeakKeyDictionary, WeakSet

from aconcur.testing._explore.deadlock import explain
from aconcur.testing._explore.errors import Deadlock, RealInputOutputError, interrupts
from aconcur.testing._explore.inline_threads import in_call, note_callback
from aconcur.testing._explore.schedule import Choices
from aconcur.testing._explore.trace import Recorder

T = TypeVar("T")
Args = TypeVarTuple("Args")
Step = tuple[Callable[..., object], tuple[Any, ...], Context]

_UNWINDING: Final = 10_000  # steps for what is cancelled when the scenario has ended


def run(
    scenario: Callable[[], Coroutine[Any, Any, object]],
    choices: Choices,
    recorder: Recorder | None = None,
) -> BaseException | None:
    """Run once; return the error that the scenario ended with.

    Tasks that are left over are cancelled and run to their end, as :func:`asyncio.run` does.
    """
    # Only typeshed calls the base class abstract.
    loop = _Loop(choices, recorder)  # type: ignore[abstract]
    with loop.running():
        main = loop.create_task(scenario(), name="main")
        try:
            if recorder is None:
                loop.run_to_the_end_of(main)
            else:
                with _holders_noted(loop.holders):
                    loop.run_recorded(main, recorder)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a deadlock or another scenario
            found: BaseException | None = error
            loop.start_all()
        else:
            found = _error_of(main)
            if found is not None and interrupts(found):
                raise found
        finally:
            loop.unwind()
    return found


def _error_of(main: asyncio.Task[object]) -> BaseException | None:
    return asyncio.CancelledError() if main.cancelled() else main.exception()


class _Loop(asyncio.AbstractEventLoop):
    """An event loop for one run."""

    def __init__(self, choices: Choices, recorder: Recorder | None) -> None:
        self._choices, self._recorder = choices, recorder
        self._now = 0.0
        self._callbacks: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timer_number = count()
        self._ready: list[asyncio.Task[Any]] = []
        self._steps: list[Step] = []
        self._fresh: list[tuple[int, asyncio.Task[Any], Step]] = []
        self._numbers: dict[asyncio.Task[Any], int] = {}
        self._factory: Callable[..., Any] | None = None
        self._generators: WeakSet[AsyncGenerator[Any, Any]] = WeakSet()
        self._handle = asyncio.Handle(_nothing, (), self, Context())
        self.holders: WeakKeyDictionary[object, object] = WeakKeyDictionary()

    # --- one run

    @contextmanager
    def running(self) -> Iterator[None]:
        hooks = sys.get_asyncgen_hooks()
        asyncio._set_running_loop(self)
        sys.set_asyncgen_hooks(self._generators.add, self._end_generator)
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(None)

    def run_to_the_end_of(self, main: asyncio.Task[object]) -> None:
        while not main.done():
            self._turn()

    def run_recorded(self, main: asyncio.Task[object], recorder: Recorder) -> None:
        try:
            with recorder.recording():
                self.run_to_the_end_of(main)
        except Deadlock:
            raise explain(
                [(task, self._name(task), task.get_coro()) for task in self._left()], self.holders
            ) from None

    def start_all(self) -> None:
        """Give each new task its first step, in a run that is given up in the middle.

        Cancelled before it, a task would never await the coroutine that a library has wrapped in
        its own; trio does not cancel before the first step either.
        """
        self._recorder = None
        for _ in range(_UNWINDING):
            steps = [*zip(self._ready, self._steps, strict=True)]
            steps += [(task, step) for _number, task, step in self._fresh]
            new = next((pair for pair in steps if _is_new(pair[0])), None)
            if new is None:
                return
            self._ready, self._steps = [], []
            self._fresh = [(self._number(one[0]), *one) for one in steps if one is not new]
            callback, args, context = new[1]
            context.run(callback, *args)

    def unwind(self) -> None:
        """Cancel what is left, and let it end."""
        self._recorder = None
        self._choices = Choices({}, max_steps=_UNWINDING)
        interrupt: KeyboardInterrupt | None = None
        while True:
            for task in self._left():
                task.cancel()
            for generator in list(self._generators):
                self._end_generator(generator)
            self._generators.clear()
            left = self._left()
            if not left:
                break
            try:
                while self._left():
                    self._turn()
            except SystemExit:  # asyncio raises it through the loop; the task is done
                continue
            except KeyboardInterrupt as error:
                interrupt = error
            except AssertionError:  # deadlocked or livelocked though cancelled: drop it
                for task in left:
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    _close(task.get_coro())
                break
        if interrupt is not None:
            raise interrupt

    def _turn(self) -> None:
        """Run the callbacks that are there, then one step of one task."""
        for _ in range(len(self._callbacks)):
            handle = self._callbacks.popleft()
            if not handle.cancelled():
                handle._run()
        if self._fresh:
            # Who was woken by the same step, in the order of creation: libraries that keep tasks
            # in sets wake them in an order that changes from run to run.
            self._fresh.sort(key=_first)
            for _number, task, step in self._fresh:
                self._ready.append(task)
                self._steps.append(step)
            self._fresh.clear()
        if self._ready:
            index = self._choices.pick(self._ready)
            task = self._ready.pop(index)
            callback, args, context = self._steps.pop(index)
            if self._recorder is not None:
                self._recorder.turn(self._name(task), self._choices.at, self._choices.deviates)
            context.run(callback, *args)
        elif not self._callbacks:
            self._pass_time()

    def _pass_time(self) -> None:
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not timers:
            raise Deadlock
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            self._callbacks.append(heapq.heappop(timers)[2])

    def _left(self) -> list[asyncio.Task[Any]]:
        # Not asyncio.all_tasks(), which walks through the garbage of earlier runs too.
        return [task for task in self._numbers if not task.done()]

    def _number(self, task: asyncio.Task[Any]) -> int:
        return self._numbers.setdefault(task, len(self._numbers))

    def _name(self, task: asyncio.Task[Any]) -> str:
        number, name = self._number(task), task.get_name()
        if not number:
            return name
        if name.startswith("Task-"):
            name = getattr(task.get_coro(), "__qualname__", name)
        return f"{name.rpartition('.')[2]}#{number}"

    def _end_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        self.create_task(_aclose(generator))

    # --- what asyncio asks of a loop

    def call_soon(
        self,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.Handle:
        task = getattr(callback, "__self__", None)
        # A task's step and its wake-up are nameless or private; `call_soon(task.cancel)` is not.
        if isinstance(task, asyncio.Task) and not hasattr(
            asyncio.Task, getattr(callback, "__name__", "")
        ):
            step = callback, args, context or copy_context()
            self._fresh.append((self._number(task), task, step))
            return self._handle
        handle = asyncio.Handle(callback, args, self, context)
        self._callbacks.append(handle)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.Handle:
        note_callback(callback, args)
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if when < inf:  # anyio sleeps for ever until then
            heapq.heappush(self._timers, (when, next(self._timer_number), handle))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Args]], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer stays in the heap until its time."""

    def time(self) -> float:
        return self._now

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        if self._factory is not None:
            made: asyncio.Task[Any] = self._factory(self, coro, **options)
        else:
            made = asyncio.Task(coro, loop=self, **options)
        self._number(made)
        return made

    def set_task_factory(self, factory: Callable[..., Any] | None) -> None:
        self._factory = factory

    def get_task_factory(self) -> Callable[..., Any] | None:
        return self._factory

    def run_in_executor(
        self, executor: object, func: Callable[[Unpack[Args]], T], *args: *Args
    ) -> asyncio.Future[T]:
        """Run the call as one step of a task of its own: its answer comes at any moment."""
        del executor
        answer: asyncio.Future[T] = self.create_future()
        name = f"thread {getattr(func, '__name__', 'call')}"
        self.create_task(_call(answer, func, args), name=name)
        return answer

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """Debugging looks at the real clock and changes nothing that a schedule decides."""

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def get_exception_handler(self) -> None:
        return None

    def set_exception_handler(self, handler: object) -> None:
        """Errors that nobody awaits are not looked at."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Errors that nobody awaits are not looked at."""


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise RealInputOutputError(f"loop.{name}")

    return refuse


for _name in [
    "add_reader",
    "add_signal_handler",
    "add_writer",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "getaddrinfo",
    "getnameinfo",
    "sendfile",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_sendall",
    "sock_sendfile",
    "sock_sendto",
    "start_tls",
    "subprocess_exec",
    "subprocess_shell",
]:
    setattr(_Loop, _name, _refuse(_name))


def _first(fresh: tuple[int, object, object]) -> int:
    return fresh[0]


def _nothing() -> None:
    """A callback for the handle that nobody keeps."""


async def _aclose(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()


async def _call(  # noqa: ASYNC124 - a task of its own, so that a schedule decides when it runs
    answer: asyncio.Future[T], func: Callable[..., T], args: tuple[Any, ...]
) -> None:
    try:
        with in_call():
            value = func(*args)
    except BaseException as error:  # noqa: ASYNC103 - it is the caller's: nothing awaits here
        if not answer.done():
            answer.set_exception(error)
        if not isinstance(error, Exception):
            raise
    else:
        if not answer.done():
            answer.set_result(value)


def _is_new(task: asyncio.Task[Any]) -> bool:
    coroutine = task.get_coro()
    return iscoroutine(coroutine) and getcoroutinestate(coroutine) == CORO_CREATED


def _close(coroutine: Any) -> None:
    with suppress(BaseException):  # it refuses to end; nobody waits for it any more
        coroutine.close()


@contextmanager
def _holders_noted(holders: WeakKeyDictionary[object, object]) -> Iterator[None]:
    """Let asyncio's locks, which forget who holds them, be asked for it."""
    really = asyncio.Lock.acquire, asyncio.Lock.release

    async def acquire(self: asyncio.Lock) -> Literal[True]:
        done = await really[0](self)
        holders[self] = asyncio.current_task()
        return done

    def release(self: asyncio.Lock) -> None:
        holders.pop(self, None)
        really[1](self)

    # A class's methods are replaced for one run.
    asyncio.Lock.acquire, asyncio.Lock.release = acquire, release  # type: ignore[method-assign]
    try:
        yield
    finally:
        asyncio.Lock.acquire, asyncio.Lock.release = really  # type: ignore[method-assign]
