"""The command ``aconcur``: stdout is data, stderr is progress and errors.

Exit codes: 0 done, 1 the work failed or the reader of stdout left, 2 the command line is wrong,
130 interrupted, 143 terminated.

Rule: what takes time to import is imported where Ctrl-C is handled already.
"""

__all__ = ("main",)

from collections.abc import Sequence

from aconcur._core.program_exit import clean_exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line ``aconcur ARGUMENTS`` and exit.

    Args:
        arguments: what follows the program's name; the process's own by default.

    Raises:
        SystemExit: 1 the work failed or the reader of stdout left, 2 the command line is wrong,
            130 interrupted, 143 terminated.
    """
    with clean_exit("aconcur"):
        from aconcur.cli.command import obey

        obey(arguments)
