"""Structured concurrency for the four kinds of work a Python program does.

Nine systems built on threads and generators stand in :mod:`aconcur.lessons`, each beside the
same system on async/await; ``aconcur compare`` runs them on one input and shows both.
"""

__all__ = ("AconcurError", "__version__", "run")

from aconcur.errors import AconcurError as AconcurError

# Not imported from typing, which imports re: every worker of a pool would wait for that.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from aconcur._run import run as run

__version__ = "0.1.0"

if not TYPE_CHECKING:  # a type checker would take every name for one of this module

    def __getattr__(name: str) -> object:
        # ``run`` needs anyio, whose import takes longer than all of this package.
        if name == "run":
            from aconcur._run import run

            return run
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
