"""The command ``aconcur``: stdout is data, stderr is progress and errors.

Exit codes: 0 done, 1 the work failed or the reader of stdout left, 2 the command line is wrong,
130 interrupted, 143 terminated.
"""

__all__ = ("main",)

from aconcur.cli.command import main as main
