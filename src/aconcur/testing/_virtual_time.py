"""One virtual time for everything that a scenario can read a clock from.

While an exploration runs, the clocks of :mod:`time` and the "now" of :class:`datetime.datetime` and
:class:`datetime.date` follow the time of the explorer's loop or threads. They do so only for the
code that is explored: a thread that belongs to somebody else reads the real clocks.

The functions of :mod:`time` are replaced in that module and wherever a module has imported them by
name. ``datetime`` is a type written in C, of which other types and C code hold references, so the
methods are replaced inside of the type: pickling, isinstance() and libraries see the real class.

Invariant: outside of :func:`virtual_time` everything is as it was.
"""

from __future__ import annotations

__all__ = ("CLOCKS", "EPOCH", "Source", "now_stand_ins", "virtual_time")

import ctypes
import datetime
import gc
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from aconcur.testing._frames import HERE, is_standard

Source: TypeAlias = Callable[[], float | None]
"""Returns the virtual time in seconds for the calling thread; None: it reads the real clocks."""

EPOCH: Final = 1_700_000_000.0  # a fixed moment, so that each schedule has the same date


def _real() -> float | None:
    return None


# The sources of the explorations that go on, the innermost last, and the date of their time 0.
_sources: list[tuple[Source, float]] = [(_real, 0.0)]


def _clock(real: Callable[[], Any], *, dated: bool = False, unit: int = 0) -> Callable[[], Any]:
    """Return a clock that reads virtual time; ``unit`` is the number of ticks a second."""

    def read() -> Any:
        source, epoch = _sources[-1]
        now = source()
        if now is None:
            return real()
        if dated:
            now += epoch
        return int(now * unit) if unit else now

    return read


CLOCKS: Final[Mapping[str, Callable[[], Any]]] = {
    "monotonic": _clock(time.monotonic),
    "perf_counter": _clock(time.perf_counter),
    "time": _clock(time.time, dated=True),
    "monotonic_ns": _clock(time.monotonic_ns, unit=10**9),
    "perf_counter_ns": _clock(time.perf_counter_ns, unit=10**9),
    "time_ns": _clock(time.time_ns, dated=True, unit=10**9),
}


def now_stand_ins() -> dict[int, Callable[..., Any]]:
    """Return the stand-in for each real clock, by the identity of the real one."""
    return {id(_REAL[name]): stand_in for name, stand_in in CLOCKS.items()}


_REAL: Final = {name: getattr(time, name) for name in CLOCKS}


@contextmanager
def virtual_time(
    source: Source, *, sleep: Callable[[float], None] | None = None, epoch: float = EPOCH
) -> Iterator[None]:
    """Let the clocks follow ``source`` in the block.

    Args:
        source: the time of the calling thread.
        sleep: stands for :func:`time.sleep`, and the names that modules imported are replaced,
            too; None: the caller does both.
        epoch: the date of time 0, in seconds since 1970.
    """
    changes: list[tuple[dict[str, Any], str, Any]] = []
    if sleep is not None:
        stand_ins = {**now_stand_ins(), id(time.sleep): sleep}
        for namespace, name in _places(stand_ins):
            changes.append((namespace, name, namespace[name]))
            namespace[name] = stand_ins[id(namespace[name])]
    pair = source, epoch
    _sources.append(pair)
    try:
        with _dates():
            yield
    finally:
        _sources.remove(pair)
        for namespace, name, real in changes:
            namespace[name] = real


def _places(stand_ins: Mapping[int, object]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the variables of modules that hold a real clock: the scenario's and libraries'.

    The standard library's own threads and loops go on to read the real clocks, but for ``time``.
    """
    yield from ((vars(time), name) for name in (*CLOCKS, "sleep"))
    for module in list(sys.modules.values()):
        filename = getattr(module, "__file__", None) or "<built in>"
        if is_standard(filename) or filename.startswith(HERE):
            continue
        namespace = vars(module)
        for name, value in list(namespace.items()):
            if id(value) in stand_ins:
                yield namespace, name


def _now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
    return cls.fromtimestamp(CLOCKS["time"](), tz)


def _utcnow(cls: type[datetime.datetime]) -> datetime.datetime:
    return _now(cls, datetime.UTC).replace(tzinfo=None)


def _today(cls: type[datetime.date]) -> datetime.date:
    return cls.fromtimestamp(CLOCKS["time"]())


_DATES: Final[tuple[tuple[type, str, Any], ...]] = (
    (datetime.datetime, "now", classmethod(_now)),
    (datetime.datetime, "utcnow", classmethod(_utcnow)),
    (datetime.date, "today", classmethod(_today)),
)


@contextmanager
def _dates() -> Iterator[None]:
    """Replace the "now" of dates inside of their types, which do not allow it from Python."""
    if sys.implementation.name != "cpython":
        yield
        return
    before = [(kind, name, _set_in_type(kind, name, new)) for kind, name, new in _DATES]
    try:
        yield
    finally:
        for kind, name, old in before:
            _set_in_type(kind, name, old)


def _set_in_type(kind: type, name: str, value: object) -> object:
    """Set an attribute of a type written in C; return the one before.

    ``kind.__dict__`` is a read-only view of the dictionary that holds the attributes;
    ``PyType_Modified`` empties the caches that know the one before.
    """
    attributes = next(one for one in gc.get_referents(vars(kind)) if type(one) is dict)
    before: object = attributes[name]
    attributes[name] = value
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
    return before
