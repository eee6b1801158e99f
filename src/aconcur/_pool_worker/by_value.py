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
from functools import _lru_cache_wrapper, lru_cache
from types import FunctionType, ModuleType

from aconcur._pool_worker.versions import has_changed, version_of

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

    from aconcur._pool_worker.classes import reduce_class

    if (key, versioned) in _PICKLERS:
        return _PICKLERS[key, versioned]

    class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, value: Any) -> Any:  # noqa: ANN401 - as in pickle
            if isinstance(value, _lru_cache_wrapper) and value.__module__ == "__main__":
                return _reduce_cached(value, key)
            reduced = super().reducer_override(value)
            if type(reduced) is not tuple or len(reduced) != 6:
                return reduced
            if isinstance(value, FunctionType):
                return _bound(value, reduced, key, versioned=versioned)
            if isinstance(value, type):
                is_global = _is_global_of_main(value) and not key
                return reduce_class(value, reduced, versioned=versioned, is_global=is_global)
            return reduced

    _PICKLERS[key, versioned] = ByValuePickler
    return ByValuePickler


def _reduce_cached(function: Any, key: str) -> Any:  # noqa: ANN401
    """Return the reduction of a function under ``lru_cache``, which cloudpickle sends by name."""
    maxsize, typed = function.cache_parameters().values()
    where = _Namespace("__main__", key)
    return _cached, (where, function.__qualname__, function.__wrapped__, maxsize, typed)


def _cached(
    namespace: dict[str, Any],
    name: str,
    function: FunctionType,
    maxsize: int | None,
    typed: bool,
) -> Any:  # noqa: ANN401
    """Return the one cache that the receiver has for a function."""
    known = namespace.get(name)
    if isinstance(known, _lru_cache_wrapper):
        code = getattr(known.__wrapped__, "__code__", None)
        if code is not None and code == getattr(function, "__code__", None):
            return known
    made = namespace[name] = lru_cache(maxsize, typed)(function)
    return made


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
            versions = {k: version_of(v) for k, v in slots["__globals__"].items()}
        where: tuple[str, str] = "__main__", key
    elif _is_importable(module):
        slots["__globals__"] = {}
        where = name, ""
    else:
        return reduced
    state = (attributes, slots), setter, versions
    return make, (code, _Namespace(*where), *rest), state, None, None, _set_function_state


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
        if key not in _FOREIGN:
            _FOREIGN[key] = _initializer_s_globals()
        return _FOREIGN[key]
    if name != "__main__":
        __import__(name)
    else:
        main = sys.modules["__main__"]
        ready = getattr(main, "ensure_read", None)
        if ready is not None:
            ready()
    return vars(sys.modules[name])


def _initializer_s_globals() -> dict[str, Any]:
    """Return the namespace of the initializer that an executor's worker has called, or a new one.

    The executor has pickled the initializer itself. Its function is still a local variable there.
    """
    frame: Any = sys._getframe()  # noqa: SLF001 - traceback's way, without its imports
    while (frame := frame.f_back) is not None:
        function = frame.f_locals.get("initializer")
        if isinstance(function, FunctionType) and function.__module__ == "__main__":
            return function.__globals__
    return {"__name__": "__main__", "__builtins__": __builtins__}


def _set_function_state(function: FunctionType, state: Any) -> None:  # noqa: ANN401
    (attributes, slots), setter, versions = state
    namespace = function.__globals__
    seen = _VERSIONS.setdefault(id(namespace), {})
    for name, value in slots["__globals__"].items():
        version = versions.get(name)
        known = name in namespace
        if known and name in versions:
            known = not has_changed(namespace[name], value, seen.get(name), version)
        if not known:
            namespace[name] = value
        seen[name] = version
    setter(function, (attributes, {**slots, "__globals__": {}}))
