"""The command ``aconcur``: stdout is data, stderr is progress and errors.

Exit codes: 0 done, 1 the work failed, 2 the command line is wrong, 130 interrupted.
"""

__all__ = ("main",)

from aconcur.cli.command import main as main
