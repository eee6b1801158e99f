"""Checks of the arguments that the tools have in common."""

from __future__ import annotations

__all__ = ("refuse_arguments",)

from collections.abc import Callable
from inspect import Parameter, signature


def _needed_arguments(scenario: Callable[..., object]) -> list[str]:
    """Return the names of the arguments without which a function cannot be called."""
    try:
        parameters = signature(scenario).parameters.values()
    except (TypeError, ValueError):  # not callable, or written in C: the call itself will show it
        return []
    optional = Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD
    return [one.name for one in parameters if one.default is one.empty and one.kind not in optional]


def refuse_arguments(scenario: Callable[..., object]) -> None:
    """Raise TypeError for a function that cannot be called without arguments."""
    needed = _needed_arguments(scenario)
    if needed:
        name = getattr(scenario, "__name__", repr(scenario))
        raise TypeError(
            f"{name} takes arguments: {', '.join(needed)}; give "
            f"{'it a default' if len(needed) == 1 else 'them defaults'} or wrap {name} in a "
            "function without arguments"
        )
