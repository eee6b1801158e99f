"""The parent's ``__main__``, run in a worker only when something of it arrives.

So a script needs no ``if __name__ == "__main__"`` as long as nothing that it sends is pickled by a
name in ``__main__``: with cloudpickle installed, its functions are not.
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
    from typing import Any, Final, TypeAlias

Origin: TypeAlias = tuple[str, str] | None
"""Where a ``__main__`` comes from: ("module", its name) or ("path", its file); None: was typed."""

# As multiprocessing calls it, so that its children and ours agree.
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
    return ("path", os.path.abspath(path)) if path else None  # noqa: PTH100 - no pathlib here


class MainModule(ModuleType):
    """A ``__main__`` that is run when it is first asked for a name."""

    def __init__(self, origin: Origin) -> None:
        super().__init__("__main__")
        self.origin: Origin = origin
        self.state: str = "new"
        self.sealed: bool = False
        """While it is not to be run: what was done is being pickled."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a module's own
        if not name.startswith("__") and self.state == "new" and not self.sealed:
            self._run()
            if name in self.__dict__:
                return self.__dict__[name]
        raise AttributeError(f"module '__main__' has no attribute {name!r}")

    def _run(self) -> None:
        if self.origin is None:
            raise AttributeError("what was typed in has no file that a worker could read")
        import runpy

        kind, where = self.origin
        self.state = "running"
        sys.modules[_NAME] = self
        try:
            if kind == "module":
                found = runpy.run_module(where, run_name=_NAME, alter_sys=False)
            else:
                found = runpy.run_path(where, run_name=_NAME)
        finally:
            self.state = "read"
        self.__dict__.update({k: v for k, v in found.items() if not k.startswith("__")})


def install(origin: Origin) -> None:
    """Put a ``__main__`` that is not read yet in the place of this process's own."""
    sys.modules["__main__"] = MainModule(origin)


@contextmanager
def sealed() -> Iterator[None]:
    """Pickle something without running the parent's ``__main__`` to look for its class there."""
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
    """Return whether this worker runs the parent's ``__main__`` to find a name in it."""
    main = sys.modules.get(_NAME)
    return isinstance(main, MainModule) and main.state == "running"
