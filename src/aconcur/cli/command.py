"""Read the command line and call the command that it names.

Rule: a command is the module of its name, and its ``run`` is what it does. The module is imported
when it is called; ``aconcur --help`` stays quick.
"""

from __future__ import annotations

__all__ = ("UsageError", "obey")

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import TypeAlias

from aconcur import __version__
from aconcur.errors import AconcurError

# It has no public name.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


class UsageError(AconcurError):
    """Raised by a command whose arguments parse but cannot be obeyed; exits with 2."""


def obey(arguments: Sequence[str] | None) -> None:
    """Do what the command line asks for; exit with 2 if it is wrong."""
    parser = argparse.ArgumentParser(
        prog="aconcur",
        description="Systems on threads and generators beside the same systems on async/await.",
        epilog=(
            "Exit codes: 0 done, 1 the work failed or the reader of stdout left (| head), 2 wrong "
            "command line, 130 interrupted, 143 terminated."
        ),
    )
    parser.add_argument("--version", action="version", version=f"aconcur {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_compare(commands)
    _add_race(commands)
    _add_digest(commands)
    _add_thumbnails(commands)
    _add_journal(commands)
    _add_life(commands)
    _add_gcd(commands)
    chosen = parser.parse_args(arguments)
    if isinstance(sys.stdout, TextIOWrapper):
        # Names of files come out as they went in, though they be no text.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        import_module(f"aconcur.cli.{chosen.command}").run(chosen)
    except UsageError as error:
        commands.choices[chosen.command].error(str(error))


def _add_compare(commands: Commands) -> None:
    parser = commands.add_parser(
        "compare",
        help="run lessons: original and rebuilt on one input, side by side",
        description=(
            "Run every version of a lesson on the same real input, check that they agree, measure "
            "them in turn, and show code and figures side by side."
        ),
    )
    add = parser.add_argument
    add("items", nargs="*", metavar="ITEM", help="number or name: 39 or queue (default: all)")
    add("--quick", action="store_true", help="small inputs, two rounds: about 20 s for all")
    add("--json", action="store_true", help="raw figures as JSON instead of pages")
    page = parser.add_argument_group("keeping COMPARISON.md true (in a checkout)")
    add = page.add_argument
    add("--record", action="store_true", help="measure, and write each lesson's record.json")
    add("--write", action="store_true", help="write COMPARISON.md from sources and records")
    add("--check", action="store_true", help="fail if COMPARISON.md differs; measures nothing")


def _add_race(commands: Commands) -> None:
    parser = commands.add_parser(
        "race",
        help="show the order of turns that breaks a scenario",
        description=(
            "Run a function without arguments under every order of turns within a bound and show "
            "the first that fails, line by line: of tasks if it is async, else of threads. Without "
            "FILE::FUNCTION: item 38, the lost update, and its absence where there is a lock."
        ),
    )
    add = parser.add_argument
    add("scenario", nargs="?", metavar="FILE::FUNCTION", help="the function: bank.py::transfer")
    add("--backend", choices=("asyncio", "trio"), default="asyncio", help="default: asyncio")
    add(
        "--grain",
        choices=("gil", "opcode"),
        default="gil",
        help="where threads are interrupted: where this CPython does (default) or wherever the "
        "language allows",
    )
    add("--bound", type=int, default=2, help="most turns against the base order (default: 2)")
    add("--schedules", type=int, default=20_000, help="most schedules to run (default: 20000)")
    add("--replay", metavar="TOKEN", help="run only the schedule that a failure printed")


def _add_digest(commands: Commands) -> None:
    parser = commands.add_parser(
        "digest",
        help="encrypt files and print the digest of each cipher text, many at once",
        description=(
            "Send each file through openssl enc and then through openssl dgst, several files at a "
            "time, and print lines like md5sum's, in the order of the files. The cipher text is "
            "not kept: what is printed is a digest that depends on the password."
        ),
        epilog="A file that cannot be read is named on stderr; the exit code is then 1.",
    )
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="what to digest")
    add("--cipher", metavar="NAME", help="one of openssl enc -list (default: aes-256-ctr)")
    digests = ("md5", "sha1", "sha256", "sha384", "sha512", "blake2b512")
    add("--digest", choices=digests, help="default: sha256")
    add("--book", action="store_true", help="the chapter's des3 and md5: an exercise, not advice")
    add("--salt", default="7468652073616c74", metavar="HEX", help="default: always the same one")
    add("--jobs", type=int, metavar="N", help="files at a time (default: two a core)")
    secret = parser.add_mutually_exclusive_group()
    add = secret.add_argument
    name = "ACONCUR_PASSWORD"
    add("--password-env", default=name, metavar="NAME", help=f"variable (default: {name})")
    add("--password-file", metavar="FILE", help="its first line is the password")


def _add_thumbnails(commands: Commands) -> None:
    parser = commands.add_parser(
        "thumbnails",
        help="download pictures, make them small, keep or upload them; resumable",
        description=(
            "Download pictures, make each small in a worker process, and write it into a "
            "folder or PUT it to a URL, many at once. Prints where each thumbnail is. Pictures "
            "with more than 50 million pixels or 32 MB are refused."
        ),
        epilog="A picture that fails is named on stderr; the exit code is then 1.",
    )
    add = parser.add_argument
    add("sources", nargs="+", metavar="URL|FILE", help="http(s) URLs; files of them; - for stdin")
    add("--to", required=True, metavar="DIR|URL", help="folder, or URL to PUT to: URL/NAME.jpg")
    add("--size", type=int, default=256, help="most pixels of the longer side (default: 256)")
    add("--workers", type=int, default=16, help="downloads, and uploads, at once (default: 16)")
    add("--timeout", type=float, default=30.0, help="seconds an attempt may take (default: 30)")
    add("--resume", metavar="DB", help="journal: the same call later does only what is left")


def _add_journal(commands: Commands) -> None:
    parser = commands.add_parser(
        "journal",
        help="show what a resumable run has recorded; let failed items be tried again",
        description=(
            "show: how many items a run has done, and each that failed, with its error. retry: let "
            "the next run try failed items again, all or those with a KEY; without it a run leaves "
            "them alone. Nothing runs here."
        ),
    )
    add = parser.add_argument
    add("action", choices=("show", "retry"))
    add("file", metavar="FILE", help="the journal")
    add("keys", nargs="*", metavar="KEY", help="items to retry, as show names them (default: all)")
    add("--json", action="store_true", help="show as JSON")


def _add_life(commands: Commands) -> None:
    parser = commands.add_parser(
        "life",
        help="watch a pattern of the Game of Life, draw it, or count its cells",
        description=(
            "In a terminal: let a pattern live there until q is pressed. With --to: write a "
            "picture, an animation or a pattern. Else: print a line of JSON for each generation."
        ),
        epilog="Sizes are HEIGHTxWIDTH. A pattern that says where it lives needs no option for it.",
    )
    add = parser.add_argument
    add("pattern", nargs="?", metavar="FILE|NAME", help=".rle, .cells, .mc, .lif; or a known name")
    add("--list", action="store_true", help="print the names that are known")
    add("--rule", metavar="RULE", help="like B36/S23 or highlife (default: the pattern's own)")
    where = parser.add_mutually_exclusive_group()
    add = where.add_argument
    add("--torus", metavar="HxW", help="edges meet, like 64x64")
    add("--box", metavar="HxW", help="all is dead around it")
    add("--plane", action="store_true", help="no edge at all (default)")
    add = parser.add_argument
    add("--generations", type=int, metavar="N", help="the last one (default: 100; shown: no end)")
    add("--every", type=int, metavar="K", help="only each K-th generation (default: 1)")
    engines = ("auto", "bigint", "numpy", "numba", "hashlife")
    add("--engine", choices=engines, default="auto", help="default: the fastest that is installed")
    add("--play", action="store_true", help="show it in the terminal, or fail if there is none")
    picture = parser.add_argument_group("pictures")
    add = picture.add_argument
    add(
        "--to",
        metavar="FILE",
        help=".gif or .apng: all generations; .png, .rle, .mc, .cells or .lif: the last one, or "
        "the first one without --generations",
    )
    add("--scale", type=int, metavar="N", help="a cell is N pixels wide (default: easy to see)")
    add("--ms", type=int, default=50, help="milliseconds a frame (default: 50)")


def _add_gcd(commands: Commands) -> None:
    parser = commands.add_parser(
        "gcd",
        help="compute greatest common divisors on all cores, or on a cluster",
        description=(
            "Read pairs of whole numbers, one a line as A,B, and print A,B,GCD for each, in their "
            "order. The work is the chapter's: it tries every number from the smaller one down, at "
            "about 0.05 µs each. The input may be of any length: little of it is in memory at a "
            "time. A first line of names and empty lines are passed over."
        ),
        epilog="A wrong line is named on stderr by its number, the others are done; the exit code "
        "is then 1.",
    )
    add = parser.add_argument
    add(
        "pairs",
        nargs="?",
        default="-",
        metavar="PAIRS.csv",
        help="the input (default, and -: stdin)",
    )
    add("--workers", type=int, metavar="N", help="default: the processors it may use")
    add(
        "--executor",
        default="pool",
        metavar="WHAT",
        help="pool (default), threads, processes, or a cluster of Dask's as dask://HOST:PORT",
    )
