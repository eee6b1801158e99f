"""Pickle functions and classes by value, bound to the modules of the process that receives them.

cloudpickle gives each function that it unpickles globals of its own, with the sender's values. Then
an initializer's globals are not seen, a connection that is opened once a process is opened in every
call, and ``isinstance`` is False for a class that arrived by another way. With the pickler made
here, a function of ``__main__`` or of an importable module uses that module's namespace in the
receiver, and a class of ``__main__`` is entered there.

A global that the function uses is sent with it. The receiver takes its value if it has none, or if
the sender's value has changed since it was last sent (a cell of a notebook that ran again).
Otherwise it keeps its own value, which an initializer or a task may have set.
"""

from __future__ import annotations

__all__ = ("make_pickler",)

import os
import sys
from types import FunctionType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

# Namespaces that stand for the __main__ of another process, by its key.
_FOREIGN: Final[dict[str, dict[str, Any]]] = {}
# For each namespace, by its id, the sender's latest version of each name.
_VERSIONS: Final[dict[int, dict[str, object]]] = {}
_PICKLERS: Final[dict[tuple[str, bool], type[Any]]] = {}


def make_pickler(key: str = "", *, versioned: bool = False) -> type[Any]:
    """Return a subclass of cloudpickle's Pickler.

    Args:
        key: names this process to receivers that do not have its ``__main__``, such as the workers
            of a cluster; empty: the receiver's ``__main__`` is this process's.
        versioned: send changes of ``__main__``, because the receiver cannot run it.

    Raises:
        ImportError: cloudpickle is not installed.
    """
    import cloudpickle

    if (key, versioned) in _PICKLERS:
        return _PICKLERS[key, versioned]

    class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:  # noqa: ANN401 - as in pickle
            reduced = super().reducer_override(value)
            if type(reduced) is not tuple or len(reduced) != 6:
                return reduced
            if isinstance(value, FunctionType):
                return _bound(value, reduced, key, versioned=versioned)
            if isinstance(value, type) and _is_global_of_main(value) and not key:
                *head, setter = reduced
                head[2] = head[2], setter, value.__qualname__
                return *head, _set_class_state
            return reduced

    _PICKLERS[key, versioned] = ByValuePickler
    return ByValuePickler


def _is_global_of_main(value: type) -> bool:
    main = sys.modules["__main__"]
    return value.__module__ == "__main__" and vars(main).get(value.__qualname__) is value


def _bound(function: FunctionType, reduced: Any, key: str, *, versioned: bool) -> Any:  # noqa: ANN401
    """Return the reduction of a function that uses the receiver's namespace."""
    name = function.__module__
    module = sys.modules.get(name or "")
    if module is None or vars(module) is not function.__globals__:
        return reduced
    make, (code, _, *rest), (attributes, slots), _, _, setter = reduced
    versions: dict[str, object] = {}
    if name in {"__main__", "__mp_main__"}:
        if versioned:
            versions = {k: _version(v) for k, v in slots["__globals__"].items()}
        where: tuple[str, str] = "__main__", key
    elif _is_importable(module):
        slots["__globals__"] = {}
        where = name, ""
    else:
        return reduced
    state = (attributes, slots), setter, versions
    return make, (code, _Namespace(*where), *rest), state, None, None, _set_function_state


def _version(value: object) -> object:
    """Return a value that differs if the global has changed; None for code, which is compared."""
    if isinstance(value, FunctionType | type | ModuleType):
        return None
    try:
        import cloudpickle

        return hash(cloudpickle.dumps(value))
    except Exception:  # noqa: BLE001 - the value's pickling fails again when it is sent
        return id(value)


def _is_importable(module: ModuleType) -> bool:
    """Return whether another process with the same path finds the module by its name."""
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    if origin is None:
        return False
    where = module.__name__.replace(".", os.sep)
    found = (where + ".py", os.path.join(where, "__init__.py"))  # noqa: PTH118
    return any(os.path.join(folder, file) == origin for folder in sys.path for file in found)  # noqa: PTH118


class _Namespace:
    """Pickles as the namespace of a module of the receiver."""

    def __init__(self, name: str, key: str) -> None:
        self._where = name, key

    def __reduce__(self) -> tuple[Any, ...]:
        return _namespace, self._where


def _namespace(name: str, key: str) -> dict[str, Any]:
    if key:
        return _FOREIGN.setdefault(key, {"__name__": "__main__", "__builtins__": __builtins__})
    if name != "__main__":
        __import__(name)
    else:
        main = sys.modules["__main__"]
        ready = getattr(main, "ensure_read", None)
        if ready is not None:
            ready()
    return vars(sys.modules[name])


def _set_function_state(function: FunctionType, state: Any) -> None:  # noqa: ANN401
    (attributes, slots), setter, versions = state
    namespace = function.__globals__
    seen = _VERSIONS.setdefault(id(namespace), {})
    for name, value in slots["__globals__"].items():
        version = versions.get(name)
        known = name in namespace
        if known and name in versions:
            known = not _has_changed(namespace[name], value, seen.get(name), version)
        if not known:
            namespace[name] = value
        seen[name] = version
    setter(function, (attributes, {**slots, "__globals__": {}}))


def _has_changed(old: object, new: object, seen: object, version: object) -> bool:
    """Return whether the sender has changed a global since it was last sent, or since the fork."""
    if version is not None:
        return seen is not None and seen != version
    if isinstance(old, FunctionType) and isinstance(new, FunctionType):
        return old.__code__ != new.__code__
    return old is not new


def _set_class_state(kind: type, state: Any) -> Any:  # noqa: ANN401
    class_state, setter, name = state
    result = setter(kind, class_state)
    setattr(sys.modules["__main__"], name, kind)
    return result
