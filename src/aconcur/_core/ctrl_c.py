"""Where Ctrl-C may strike on trio.

Ctrl-C raises KeyboardInterrupt in whatever code runs when the signal arrives. In a task of this
package it would leave state half changed and come out of a task group, as a group. In code that is
protected, trio delivers it to the main task instead, at its next checkpoint. asyncio needs none of
this: its runner handles the signal and cancels the main task.
"""

from __future__ import annotations

__all__ = ("let_interrupt", "protected")

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

from aconcur._core.wait_queue import in_trio

P = ParamSpec("P")
T = TypeVar("T")

_MARKED: Final[set[Callable[..., object]]] = set()


def protected(task: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return a coroutine function that does the same, and in which Ctrl-C does not strike."""
    if not in_trio():
        return task
    from aconcur._core.trio_ctrl_c import run_protected

    return partial(run_protected, task)


def let_interrupt(function: Callable[..., object]) -> None:
    """On trio, let Ctrl-C strike in this function although protected code calls it.

    For functions that call a user's code, which may take as long as it likes. The function is
    marked, so calling it costs nothing more.
    """
    if function not in _MARKED and in_trio():
        from trio.lowlevel import disable_ki_protection

        disable_ki_protection(function)
        _MARKED.add(function)
