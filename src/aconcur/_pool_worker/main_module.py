"""The parent's ``__main__`` in a worker.

It is run only when a name in it is first needed, so a script whose functions travel by value needs
no ``if __name__ == "__main__"``. Its code runs in the module's own namespace: functions, items,
initializer and results then share its globals and its classes.
"""

from __future__ import annotations

__all__ = ("MainModule", "Origin", "install", "is_being_read", "origin_of_main", "sealed")

import os
import sys
from contextlib import contextmanager
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType
    from typing import Any, Final, TypeAlias

Origin: TypeAlias = tuple[str, str] | None
"""Where a ``__main__`` comes from: ("module", its name), ("path", its file), or None if it was
typed in or read from standard input."""

# The name that multiprocessing gives it, so that its children and ours agree.
_NAME: Final = "__mp_main__"


def origin_of_main() -> Origin:
    """Return where this process's ``__main__`` comes from."""
    main = sys.modules["__main__"]
    if isinstance(main, MainModule):
        return main.origin
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return "module", spec.name
    path = getattr(main, "__file__", None)
    # "<stdin>" is the file of a script that was piped in.
    if not path or (path.startswith("<") and not os.path.exists(path)):  # noqa: PTH110
        return None
    return "path", os.path.abspath(path)  # noqa: PTH100 - importing pathlib takes too long


class MainModule(ModuleType):
    """A ``__main__`` that is run when it is first asked for a name."""

    def __init__(self, origin: Origin) -> None:
        super().__init__("__main__")
        self.origin: Origin = origin
        self.state: str = "new"
        self.sealed: bool = False
        """True while it must not be run, because something is being pickled."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a module's own
        if not name.startswith("__") and self.state == "new" and not self.sealed:
            self._run()
            if name in self.__dict__:
                return self.__dict__[name]
        raise AttributeError(f"module '__main__' has no attribute {name!r}")

    def ensure_read(self) -> None:
        """Run it, unless it was run, or there is nothing to run."""
        if self.state == "new" and self.origin is not None:
            self._run()

    def _run(self) -> None:
        if self.origin is None:
            raise AttributeError(
                "the parent's __main__ was typed in or piped in, so a worker cannot run it: "
                "install aconcur[cloudpickle], or put the code in a file"
            )
        code, attributes = _code_of(*self.origin)
        self.state = "running"
        sys.modules[_NAME] = self
        try:
            self.__dict__.update(attributes, __name__=_NAME)
            exec(code, self.__dict__)
        finally:
            self.state = "read"


def _code_of(kind: str, where: str) -> tuple[CodeType, dict[str, Any]]:
    """Return the code of a ``__main__``, and the attributes that its module has."""
    import pkgutil
    from importlib.util import find_spec

    if kind == "path" and os.path.isfile(where):  # noqa: PTH113
        with open(where, "rb") as file:  # noqa: PTH123
            code = pkgutil.read_code(file)
        if code is None:
            with open(where, "rb") as file:  # noqa: PTH123
                code = compile(file.read(), where, "exec")
        return code, {"__file__": where}
    if kind == "module":
        spec = find_spec(where)
    else:  # a folder or an archive, as in: python app.zip
        importer = pkgutil.get_importer(os.path.dirname(where))  # noqa: PTH120
        spec = importer.find_spec("__main__", None) if importer else None
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"the parent's __main__ is not found at {where}")
    code = spec.loader.get_code(spec.name)  # type: ignore[attr-defined]
    return code, {"__file__": spec.origin, "__package__": spec.parent, "__spec__": spec}


def install(origin: Origin) -> None:
    """Replace this process's own ``__main__`` by the parent's, which has not been run yet."""
    sys.modules["__main__"] = MainModule(origin)


@contextmanager
def sealed() -> Iterator[None]:
    """Prevent the parent's ``__main__`` from being run while something is being pickled.

    pickle looks for a class of ``__main__`` there to compare it with the one that it pickles.
    """
    main = sys.modules["__main__"]
    if not isinstance(main, MainModule) or main.sealed:
        yield
        return
    main.sealed = True
    try:
        yield
    finally:
        main.sealed = False


def is_being_read() -> bool:
    """Return whether this is a worker that is running the parent's ``__main__``.

    Ours runs it to find a name in it, and one of multiprocessing before anything else.
    """
    main = sys.modules.get(_NAME)
    if isinstance(main, MainModule):
        return main.state == "running"
    process = sys.modules.get("multiprocessing.process")
    return process is not None and getattr(process.current_process(), "_inheriting", False)
