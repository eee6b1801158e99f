"""Structured concurrency for the four kinds of work a Python program does.

Six systems built on threads and generators stand in :mod:`aconcur.lessons`, each beside the
same system on async/await; ``aconcur compare`` runs them on one input and shows both.
"""

__all__ = ("AconcurError", "__version__", "run")

from typing import TYPE_CHECKING

from aconcur.errors import AconcurError as AconcurError

if TYPE_CHECKING:
    from aconcur._run import run as run

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # ``run`` needs anyio, whose import takes most of the time of ``import aconcur.process``.
    if name == "run":
        from aconcur._run import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
