"""Run code when a module is imported, so that a worker need not import it at its start."""

from __future__ import annotations

__all__ = ("on_import",)

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any, Final, TypeAlias

    Action: TypeAlias = Callable[[ModuleType], object]


def on_import(name: str, action: Action) -> None:
    """Call ``action`` with a module: now if it has been imported, or else when it will be."""
    if (module := sys.modules.get(name)) is not None:
        action(module)
        return
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    _FINDER.actions[name] = action


class _Finder:
    """Finds the modules of which an import is waited for, by means of the other finders."""

    def __init__(self) -> None:
        self.actions: dict[str, Action] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ANN401
        action = self.actions.pop(name, None)
        if action is None:
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(name, path, target)) is not None:
                spec.loader = _Loader(spec, action)  # type: ignore[assignment]
                return spec
        return None


class _Loader:
    """Loads a module as its own loader does, and then runs the action."""

    def __init__(self, spec: ModuleSpec, action: Action) -> None:
        self._spec, self._action, self._loader = spec, action, spec.loader

    def create_module(self, spec: ModuleSpec) -> Any:  # noqa: ANN401
        return self._loader.create_module(spec)  # type: ignore[union-attr]

    def exec_module(self, module: ModuleType) -> None:
        self._spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)  # type: ignore[union-attr]
        self._action(module)


_FINDER: Final = _Finder()
