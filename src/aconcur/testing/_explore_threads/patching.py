"""Puts the controlled primitives where code finds them, while an exploration runs.

Rule: a stand-in acts for the scenario's threads alone; any other thread gets the real thing.
"""

from __future__ import annotations

__all__ = ("forget", "patched")

import logging
import queue
import sys
import threading
import time
from _thread import RLock as RealRLock
from _thread import allocate_lock
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final

from aconcur.testing._explore_threads.engine import Engine, engine_here
from aconcur.testing._explore_threads.primitives import Lock, RLock, Shared, SimpleQueue, Waiter
from aconcur.testing._explore_threads.thread_state import Abandoned, ThreadState
from aconcur.testing._frames import HERE, is_standard, is_users_file
from aconcur.testing._virtual_time import CLOCKS, now_stand_ins

_Thread = threading.Thread
_start, _join, _is_alive = _Thread.start, _Thread.join, _Thread.is_alive
_ident: Any = vars(_Thread)["ident"]
_native_id: Any = vars(_Thread)["native_id"]
_enumerate, _active_count = threading.enumerate, threading.active_count
_sleep = time.sleep


def _state(engine: Engine, thread: threading.Thread) -> ThreadState | None:
    return engine.states.get(id(thread))


def start(self: threading.Thread) -> None:
    """Do as :meth:`threading.Thread.start`."""
    engine = engine_here()
    if engine is None:
        _start(self)
        return
    if not getattr(self, "_initialized", False):
        raise RuntimeError("thread.__init__() not called")
    started: Any = self._started  # type: ignore[attr-defined]
    if started.is_set():
        raise RuntimeError("threads can only be started once")
    engine.before(sys._getframe(1).f_code, python=True)
    started._flag = True
    engine.spawn(self)
    engine.after()


def join(self: threading.Thread, timeout: float | None = None) -> None:
    """Do as :meth:`threading.Thread.join`."""
    engine = engine_here()
    if engine is None or (self._started.is_set() and _state(engine, self) is None):  # type: ignore[attr-defined]
        _join(self, timeout)
        return
    state = _state(engine, self)
    if state is None:
        raise RuntimeError("cannot join thread before it is started")
    if state is engine.current:
        raise RuntimeError("cannot join current thread")
    engine.before(sys._getframe(1).f_code, python=True)
    deadline = None if timeout is None else engine.now + max(timeout, 0)
    me = engine.current
    while not state.done:
        state.waiters.append(me)
        try:
            if not engine.block(deadline):
                return
        finally:
            state.waiters.remove(me)


def is_alive(self: threading.Thread) -> bool:
    """Do as :meth:`threading.Thread.is_alive`."""
    engine = engine_here()
    state = _state(engine, self) if engine is not None else None
    if engine is None or state is None:
        return _is_alive(self)
    engine.before(sys._getframe(1).f_code, python=True)
    return not state.done


def ident(self: threading.Thread) -> int | None:
    """Do as :attr:`threading.Thread.ident`: starts the OS thread that has the number."""
    _materialise(self)
    number: int | None = _ident.fget(self)
    return number


def native_id(self: threading.Thread) -> int | None:
    """Do as :attr:`threading.Thread.native_id`: starts the OS thread that has the number."""
    _materialise(self)
    number: int | None = _native_id.fget(self)
    return number


def _materialise(thread: threading.Thread) -> None:
    engine = engine_here()
    state = _state(engine, thread) if engine is not None else None
    if engine is not None and state is not None and not state.started:
        engine.materialise(state)


def enumerate_threads() -> list[threading.Thread]:
    """Do as :func:`threading.enumerate`: those without an OS thread yet are in its limbo."""
    engine = _look(sys._getframe(1).f_code)
    threads = _enumerate()
    if engine is not None:  # as they were started, whichever had its first turn first
        order = {one: number for number, one in enumerate(engine.states)}
        threads.sort(key=lambda thread: order.get(id(thread), -1))
    return threads


def active_count() -> int:
    """Do as :func:`threading.active_count`."""
    _look(sys._getframe(1).f_code)
    return _active_count()


def _look(caller: CodeType) -> Engine | None:
    engine = engine_here()
    if engine is not None:
        engine.before(caller, python=True)
    return engine


def sleep(seconds: float, /) -> None:
    """Do as :func:`time.sleep`, on virtual time."""
    engine = engine_here()
    if engine is None:
        _sleep(seconds)
        return
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    engine.before(sys._getframe(1).f_code)
    engine.block(engine.now + seconds)


def _library(engine: Engine) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield what the standard library's modules and classes get."""
    yield (
        threading,
        {
            "Lock": Lock,
            "RLock": RLock,
            "_allocate_lock": Waiter,
            "_time": CLOCKS["monotonic"],
            "enumerate": enumerate_threads,
            "active_count": active_count,
            "excepthook": engine.excepthook,
        },
    )
    yield (
        _Thread,
        {
            "start": start,
            "join": join,
            "is_alive": is_alive,
            "ident": property(ident),
            "native_id": property(native_id),
        },
    )
    yield queue, {"SimpleQueue": SimpleQueue, "time": CLOCKS["monotonic"]}
    yield time, {"sleep": sleep, **CLOCKS}


def _by_identity() -> Mapping[int, Any]:
    """Return the stand-ins for names that a module imported from another."""
    real: list[tuple[object, Any]] = [
        (allocate_lock, Lock),
        (threading.Lock, Lock),  # from Python 3.13 on not the same
        (threading.RLock, RLock),
        (queue.SimpleQueue, SimpleQueue),
        (_enumerate, enumerate_threads),
        (_active_count, active_count),
        (time.sleep, sleep),
    ]
    return {**now_stand_ins(), **{id(one): stand_in for one, stand_in in real}}


class _Found:
    """What is replaced, where, and by what; the same lock by the same one in all places.

    Locks of installed packages stay: threads that are not the scenario's may wait for them.
    """

    def __init__(self) -> None:
        self.changes: list[tuple[Any, str, Any, Any]] = []
        self.locks: list[Lock] = []
        self._stand_ins = dict(_by_identity())
        self._seen: set[int] = set()

    def note(self, owner: Any, name: str, value: object, *, its_own: bool = True) -> bool:
        """Note a place if what stands there has a stand-in."""
        stand_in = self._stand_ins.get(id(value))
        if stand_in is None and its_own and (kind := _REAL_LOCKS.get(type(value))) is not None:
            stand_in = self._stand_ins[id(value)] = kind.controlled()
            self.locks.append(stand_in)
        if stand_in is None:
            return False
        self.changes.append((owner, name, value, stand_in))
        return True

    def modules(self, traced: Collection[str]) -> None:
        """Look through what is imported."""
        own: list[ModuleType] = []
        for module in list(sys.modules.values()):
            filename = getattr(module, "__file__", None) or "<built in>"
            executor = getattr(module, "__name__", "") == "concurrent.futures.thread"
            if (is_standard(filename) and not executor) or filename.startswith(HERE):
                continue
            users = is_users_file(filename) or filename in traced
            for name, value in list(vars(module).items()):
                self.note(module, name, value, its_own=executor or users)
            if users:
                own.append(module)
        names = {getattr(module, "__name__", "") for module in own}
        for module in own:
            for value in list(vars(module).values()):
                if getattr(value if _has_code(value) else type(value), "__module__", "") in names:
                    self._inside(value)

    def _inside(self, value: object) -> None:
        """Look into a class, a function or an instance of the user's."""
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        if isinstance(value, type):
            for name, attribute in list(vars(value).items()):
                if not self.note(value, name, attribute):
                    plain = getattr(attribute, "__func__", getattr(attribute, "fget", attribute))
                    if _has_code(plain):
                        self._inside(plain)
            for field in vars(value).get("__dataclass_fields__", {}).values():
                self.note(field, "default_factory", field.default_factory)
        elif isinstance(value, FunctionType):
            for cell in value.__closure__ or ():
                with suppress(ValueError):  # an empty one
                    inner = cell.cell_contents
                    if not self.note(cell, "cell_contents", inner) and _has_code(inner):
                        self._inside(inner)
            if "__name__" not in value.__globals__:  # generated code, such as of attrs
                for name, one in list(value.__globals__.items()):
                    self.note(value.__globals__, name, one)
        elif not isinstance(value, _Thread):  # its locks in C are the interpreter's
            attributes = getattr(value, "__dict__", None)
            if isinstance(attributes, dict):
                for name, one in list(attributes.items()):
                    self.note(attributes, name, one)

    def logging(self) -> None:
        """Look at the locks of logging, which all threads of the process take."""
        handlers = [reference() for reference in list(vars(logging)["_handlerList"])]
        places: list[tuple[Any, str]] = [(logging, "_lock")]
        places += [(handler, "lock") for handler in handlers if handler is not None]
        for owner, name in places:
            real = vars(owner).get(name)
            if isinstance(real, RealRLock):
                lock = Shared.before_real(real)
                self.locks.append(lock)
                self.changes.append((owner, name, real, lock))


def _has_code(value: object) -> bool:
    return isinstance(value, type | FunctionType)


_REAL_LOCKS: Final[Mapping[type, type[Lock]]] = {type(allocate_lock()): Lock, RealRLock: RLock}


_EXECUTORS: Final = logging.getLogger("concurrent.futures")


def _is_theirs(record: logging.LogRecord) -> bool:
    """Let an executor log everything but that its worker is unwound."""
    return record.exc_info is None or record.exc_info[0] is not Abandoned


@contextmanager
def patched(engine: Engine, traced: Collection[str]) -> Iterator[Callable[[], None]]:
    """Replace during the block; yields what makes all as new between two runs.

    A lock that a user's module holds is replaced for as long, too: in a variable of its own, in
    its classes, in what its functions close over, and in the instances in its variables.
    """
    found = _Found()
    found.modules(traced)
    found.logging()
    changes = found.changes
    for owner, names in _library(engine):
        changes += [(owner, name, vars(owner)[name], new) for name, new in names.items()]
    counter = threading._counter  # type: ignore[attr-defined]

    def renew() -> None:
        for lock in found.locks:
            lock.reset()
        threading._counter = count(1).__next__  # type: ignore[attr-defined]
        threading.excepthook = engine.excepthook

    try:
        for owner, name, _, new in changes:
            _set(owner, name, new)
        _EXECUTORS.addFilter(_is_theirs)
        yield renew
    finally:
        _EXECUTORS.removeFilter(_is_theirs)
        threading._counter = counter  # type: ignore[attr-defined]
        for owner, name, old, _ in reversed(changes):
            _set(owner, name, old)


def _set(owner: Any, name: str, value: object) -> None:
    if isinstance(owner, dict):
        owner[name] = value
    elif isinstance(owner, type):
        type.__setattr__(owner, name, value)
    else:
        object.__setattr__(owner, name, value)


def forget(engine: Engine) -> None:
    """Let the interpreter's exit not wait for threads of an executor that was abandoned."""
    module: ModuleType | None = sys.modules.get("concurrent.futures.thread")
    if module is not None:
        for state in engine.states.values():
            module._threads_queues.pop(state.thread, None)
