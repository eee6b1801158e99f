"""Structured concurrency for the four kinds of work a Python program does.

============  ==================================================================================
``pipeline``  items through stages of functions, with workers, limits, retries and a journal
``process``   commands and pipes of commands that leave nothing behind
``parallel``  functions for the CPU on worker processes, executors or a Dask cluster
``lock``      a value that only its holder can change, for tasks or threads
``testing``   every order of steps, every cancellation: races found, and replayed
``life``      Conway's Game of Life, from patterns in files to endless streams
``lessons``   nine systems on threads and generators, beside the same on async/await
``compare``   runs the lessons on one input, and shows code and figures side by side
============  ==================================================================================

``import aconcur`` is enough for the first six: each is loaded when it is first used. :func:`run`
is :func:`anyio.run` with SIGTERM and SIGHUP as cancellations. ``aconcur compare`` shows the
lessons, and ``aconcur --help`` the other commands.
"""

__all__ = (
    "AconcurError",
    "__version__",
    "life",
    "lock",
    "parallel",
    "pipeline",
    "process",
    "run",
    "testing",
)

from aconcur.errors import AconcurError as AconcurError

# Not imported from typing, which imports re: every worker of a pool would wait for that.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from aconcur import life as life
    from aconcur import lock as lock
    from aconcur import parallel as parallel
    from aconcur import pipeline as pipeline
    from aconcur import process as process
    from aconcur import testing as testing
    from aconcur._run import run as run

__version__ = "0.1.0"

if not TYPE_CHECKING:  # a type checker would take every name for one of this module

    def __getattr__(name: str) -> object:
        # ``run`` and the packages need anyio, whose import takes longer than all of this package.
        if name == "run":
            from aconcur._run import run

            return run
        if name in __all__:
            from importlib import import_module

            return import_module(f"aconcur.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
