"""Tells the engine when a thread comes to a point: by tracing on 3.11, by monitoring from 3.12 on.

Rule: here is seen where a thread is; whether it goes on is the engine's to say.

From 3.12 on a tracer misses instructions (it is built on the events used here), and events can be
switched off one by one where they are no points.
"""

from __future__ import annotations

__all__ = ("watcher_for",)

import sys
from _thread import get_ident
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, MethodType
from typing import Any, Final

from aconcur.testing._explore_threads.bytecode import after_calls, backward_jumps, resumes, visible
from aconcur.testing._explore_threads.engine import Engine
from aconcur.testing._explore_threads.thread_state import Abandoned
from aconcur.testing._frames import is_users

Tracer = Callable[[FrameType, str, Any], Any]

_A_POINT_ITSELF: Final = "<a controlled primitive>"


@contextmanager
def watcher_for(engine: Engine) -> Iterator[None]:
    """Watch the engine's threads during the block.

    Raises:
        RuntimeError: six tools monitor this process already (3.12 and later).
    """
    if sys.version_info >= (3, 12):
        watcher = _Monitoring(engine)
        engine.watcher = watcher
        with watcher.registered():
            yield
    else:
        engine.watcher = _Tracing(engine)
        yield


class _Tracing:
    """Watches through :func:`sys.settrace`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # By identity: the hash of code is computed anew each time.
        self._points: dict[int, tuple[CodeType, frozenset[int]]] = {}
        self._facts: dict[int, tuple[CodeType, dict[int, str], dict[int, int]]] = {}
        self._calls: dict[FrameType, str] = {}
        self._enter = self._enter_gil if engine.gil else self._enter_opcode

    def begin(self) -> None:
        sys.settrace(self._enter)

    def end(self) -> None:
        sys.settrace(None)

    def stop_everywhere(self) -> None:
        """Nothing to do: a tracer sees every instruction."""

    def _enter_opcode(self, frame: FrameType, _: str, __: Any) -> Tracer | None:
        code = frame.f_code
        if self._engine.kind(code) != "traced":
            return self._shown(frame)
        engine = self._engine
        known = self._points.get(id(code))
        if known is None:
            known = self._points[id(code)] = code, visible(code, engine.changing)
        points = known[1]
        frame.f_trace_opcodes = True
        frame.f_trace_lines = engine.recorder is not None

        def local(frame: FrameType, event: str, _: Any) -> Tracer:
            if event == "opcode":
                if frame.f_lasti in points:
                    engine.point()
                elif engine.everywhere:
                    raise Abandoned
            elif event == "line" and engine.recorder is not None:
                engine.line(frame)
            return local

        return local

    def _shown(self, frame: FrameType) -> Tracer | None:
        return self._line if self._engine.recorder is not None and is_users(frame) else None

    def _line(self, frame: FrameType, event: str, _: Any) -> Tracer:
        if event == "line":
            self._engine.line(frame)
        return self._line

    def _enter_gil(self, frame: FrameType, _: str, __: Any) -> Tracer | None:
        code, engine = frame.f_code, self._engine
        kind = engine.kind(code)
        caller = frame.f_back
        called = caller is not None and engine.kind(caller.f_code) == "traced"
        if called and caller is not None:
            itself = kind == "ours" and code.co_name not in ("__new__", "__init__")
            self._calls[caller] = _A_POINT_ITSELF if itself else code.co_name
        if kind == "ours":
            return None
        if (kind == "traced" or called) and resumes(code, frame.f_lasti):
            engine.point()
        return self._local_gil(frame) if kind == "traced" else self._shown(frame)

    def _local_gil(self, frame: FrameType) -> Tracer:
        engine, entered = self._engine, self._calls
        code = frame.f_code
        known = self._facts.get(id(code))
        if known is None:
            known = self._facts[id(code)] = code, after_calls(code), backward_jumps(code)
        _, calls, jumps = known
        last = -1
        frame.f_trace_opcodes = True
        frame.f_trace_lines = engine.recorder is not None

        def local(frame: FrameType, event: str, _: Any) -> Tracer:
            nonlocal last
            if event == "opcode":
                at = frame.f_lasti
                before, last = last, at
                if before in calls:
                    # A function in Python was looked at as it started, and is not as it returns.
                    if entered.pop(frame, None) not in (calls[before], _A_POINT_ITSELF):
                        engine.point()
                elif engine.everywhere:
                    raise Abandoned
                elif jumps.get(before) == at:
                    engine.point()
                entered.pop(frame, None)
            elif event == "line":
                if engine.recorder is not None:
                    engine.line(frame)
            else:  # an error or a return: a call that raises is not followed by a look
                last = -1
                entered.pop(frame, None)
            return local

        return local


_TOOLS: Final = (3, 4, 2, 1, 0, 5)  # PEP 669 names a purpose for all but 3 and 4

if sys.version_info >= (3, 12):
    _mon = sys.monitoring
    _events = _mon.events

    class _Monitoring:
        """Watches through :mod:`sys.monitoring`."""

        def __init__(self, engine: Engine) -> None:
            self._engine = engine
            # By identity: the hash of code is computed anew each time.
            self._points: dict[int, frozenset[int]] = {}
            self._local: dict[int, CodeType] = {}
            self._tool = next((n for n in _TOOLS if _mon.get_tool(n) is None), None)
            self._recorded = False

        @contextmanager
        def registered(self) -> Iterator[None]:
            tool = self._tool
            if tool is None:
                raise RuntimeError("all tools of sys.monitoring are taken: end a profiler or so")
            _mon.use_tool_id(tool, "aconcur.testing")
            callbacks = {
                _events.PY_START: self._start,
                _events.INSTRUCTION: self._instruction,
                _events.LINE: self._line,
            }
            if self._engine.gil:
                callbacks |= {
                    _events.PY_RESUME: self._start,
                    _events.C_RETURN: self._returned,
                    _events.JUMP: self._jump,
                    _events.CALL: _nothing,
                }
            try:
                for event, callback in callbacks.items():
                    _mon.register_callback(tool, event, callback)
                _mon.set_events(tool, _events.PY_START | _events.PY_RESUME * self._engine.gil)
                _mon.restart_events()
                yield
            finally:
                _mon.set_events(tool, 0)
                for code in self._local.values():
                    _mon.set_local_events(tool, code, 0)
                for event in callbacks:
                    _mon.register_callback(tool, event, None)
                _mon.free_tool_id(tool)

        def begin(self) -> None:
            recorded = self._engine.recorder is not None
            if recorded != self._recorded:
                self._recorded = recorded
                self._watch_again()

        def end(self) -> None:
            """Nothing to do: events of threads that are not the engine's are ignored."""

        def stop_everywhere(self) -> None:
            if self._engine.gil and self._tool is not None:
                for code in self._local.values():
                    _mon.set_local_events(self._tool, code, self._wanted() | _events.INSTRUCTION)
            _mon.restart_events()

        def _watch_again(self) -> None:
            if self._tool is not None:
                for code in self._local.values():
                    _mon.set_local_events(self._tool, code, 0)
            self._local.clear()
            _mon.restart_events()

        def _wanted(self) -> int:
            lines = _events.LINE if self._recorded else 0
            if self._engine.gil:
                return _events.CALL | _events.JUMP | lines
            return _events.INSTRUCTION | lines

        def _start(self, code: CodeType, offset: int) -> Any:
            engine = self._engine
            kind = engine.kind(code)
            if kind == "ours":
                return _mon.DISABLE
            if id(code) not in self._local and self._tool is not None:
                if kind == "traced":
                    self._local[id(code)] = code
                    self._points[id(code)] = (
                        frozenset() if engine.gil else visible(code, engine.changing)
                    )
                    _mon.set_local_events(self._tool, code, self._wanted())
                elif self._recorded and is_users(sys._getframe(1)):
                    self._local[id(code)] = code
                    _mon.set_local_events(self._tool, code, _events.LINE)
            if not engine.gil:
                return _mon.DISABLE
            if engine.ident == get_ident() and resumes(code, offset):
                caller = sys._getframe(1).f_back
                if kind == "traced" or (
                    caller is not None and engine.kind(caller.f_code) == "traced"
                ):
                    engine.point()
            return None

        def _instruction(self, code: CodeType, offset: int) -> Any:
            engine = self._engine
            if offset in self._points.get(id(code), ()):
                if engine.ident == get_ident():
                    engine.point()
                return None
            if engine.everywhere and engine.ident == get_ident():
                raise Abandoned
            return _mon.DISABLE

        def _line(self, _: CodeType, __: int) -> None:
            if self._engine.ident == get_ident():
                self._engine.line(sys._getframe(1))

        def _returned(self, code: CodeType, _: int, called: object, __: object) -> None:
            engine = self._engine
            if engine.ident != get_ident() or id(code) not in self._local:
                return
            if isinstance(called, MethodType) and engine.kind(called.__func__.__code__) == "ours":
                return  # a controlled primitive's __exit__, which is a point itself
            engine.point()

        def _jump(self, _: CodeType, offset: int, target: int) -> Any:
            if target > offset:
                return _mon.DISABLE
            if self._engine.ident == get_ident():
                self._engine.point()
            return None


def _nothing(*_: Any) -> None:
    """Be called, so that the event's sisters are."""
