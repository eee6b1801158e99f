"""The command ``aconcur``: data on stdout; progress and errors on stderr.

Exit codes: 0 success; 1 the work failed, or the reader of stdout closed it (``| head``); 2 wrong
command line; 130 interrupted; 143 terminated.

Slow imports happen inside :func:`main`, where Ctrl-C already ends the program cleanly.
"""

__all__ = ("main",)

from collections.abc import Sequence

from aconcur._core.program_exit import clean_exit


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line ``aconcur ARGUMENTS`` and exit.

    Args:
        arguments: the arguments without the program's name; those of this process by default.

    Raises:
        SystemExit: with 1 if the work failed or the reader of stdout closed it, 2 for a wrong
            command line, 130 if interrupted, 143 if terminated. Success returns.
    """
    with clean_exit("aconcur"):
        from aconcur.cli.command_line import run_command_line

        run_command_line(arguments)
