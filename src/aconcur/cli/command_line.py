"""Parse the command line and run the command that it names.

Each command is the module of its name: ``add_arguments`` describes its options to argparse, and
``run`` does the work. Only the module of the named command is imported, so that ``aconcur --help``
and a wrong command answer at once.
"""

from __future__ import annotations

__all__ = ("UsageError", "run_command_line")

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Final, Protocol, cast

from aconcur import __version__
from aconcur.errors import AconcurError

# The commands in the order in which --help lists them.
_COMMANDS: Final = {
    "compare": "run lessons: original and rebuilt on the same input, side by side",
    "race": "find the order of steps that breaks a function",
    "digest": "encrypt files and print the digest of each cipher text",
    "thumbnails": "download pictures, shrink them, store or upload them; resumable",
    "journal": "show what a resumable run has done; mark failed items for another try",
    "life": "play, draw or count a pattern of the Game of Life",
    "gcd": "compute greatest common divisors on all cores, or on a cluster",
    "doctor": "print what a bug report should say about this machine",
}


class UsageError(AconcurError):
    """Raised when arguments parse, but make no sense together. The program exits with 2."""


class _Command(Protocol):
    """A module that implements one command."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Describe the command and its options."""

    def run(self, arguments: argparse.Namespace) -> None:
        """Do the work."""


def run_command_line(arguments: Sequence[str] | None) -> None:
    """Run the command that the arguments name; exit with 2 if they are wrong.

    Args:
        arguments: the arguments without the program's name, or None for those of this process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="aconcur",
        description="Run systems built on threads and generators beside the same on async/await.",
        epilog=(
            "Exit codes: 0 success; 1 the work failed, or the reader of stdout closed it "
            "(| head); 2 wrong command line; 130 interrupted; 143 terminated."
        ),
    )
    parser.add_argument("--version", action="version", version=f"aconcur {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    parsers = {name: subparsers.add_parser(name, help=said) for name, said in _COMMANDS.items()}
    # No option of `aconcur` itself takes a value, so the first plain word is the command.
    named = next((word for word in arguments if not word.startswith("-")), "")
    command = _import_command(named) if named in parsers else None
    if command is not None:
        command.add_arguments(parsers[named])
    chosen = parser.parse_args(arguments)
    assert command is not None  # otherwise parse_args() has exited
    if isinstance(sys.stdout, TextIOWrapper):
        # Print file names as they are, including those that are not valid text.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        command.run(chosen)
    except UsageError as error:
        parsers[chosen.command].error(str(error))


def _import_command(name: str) -> _Command:
    return cast(_Command, import_module(f"aconcur.cli.{name}"))
