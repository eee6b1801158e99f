"""Structured concurrency for the four kinds of work a Python program does.

Six systems built on threads and generators stand in :mod:`aconcur.lessons`, each beside the
same system on async/await; ``aconcur compare`` runs them on one input and shows both.
"""

__all__ = ("AconcurError", "__version__")

from aconcur.errors import AconcurError as AconcurError

__version__ = "0.1.0"
