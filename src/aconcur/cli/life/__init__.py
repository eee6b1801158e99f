"""``aconcur life``: show a pattern in the terminal, draw it, or count its cells."""

from __future__ import annotations

__all__ = ("add_arguments", "run")

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Final

import anyio

from aconcur.cli.command_line import UsageError
from aconcur.cli.life import pictures
from aconcur.errors import AconcurError
from aconcur.life import (
    LONGEST_FRAME_MS,
    Bounds,
    Pattern,
    RuleError,
    UnknownPatternError,
    classic,
    classics,
    read,
    simulate,
)

_SIZE: Final = re.compile(r"(?P<height>[1-9]\d*)x(?P<width>[1-9]\d*)", re.ASCII)
_GENERATIONS: Final = 100
_LARGEST_SCALE: Final = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "In a terminal: play a pattern until q is pressed. With --to: write a picture, an "
        "animation or a pattern. Otherwise: print a line of JSON for each generation."
    )
    parser.epilog = "Sizes are HEIGHTxWIDTH. A pattern file may set its own rule and size."
    add = parser.add_argument
    add(
        "pattern",
        nargs="?",
        metavar="FILE|NAME",
        help=".rle, .cells, .mc, .lif (also .gz), or a name",
    )
    add("--list", action="store_true", help="print the names of known patterns")
    add("--rule", metavar="RULE", help="like B36/S23 or highlife (default: the pattern's own)")
    where = parser.add_mutually_exclusive_group()
    add = where.add_argument
    add("--torus", metavar="HxW", help="opposite edges meet, like 64x64")
    add("--box", metavar="HxW", help="every cell outside is dead")
    add("--plane", action="store_true", help="without edges (default)")
    add = parser.add_argument
    add("--generations", type=int, metavar="N", help="the last one (default: 100; played: no end)")
    add("--every", type=int, metavar="K", help="only each K-th generation (default: 1)")
    engines = ("auto", "bigint", "numpy", "numba", "hashlife")
    add("--engine", choices=engines, default="auto", help="default: the fastest that is installed")
    add("--play", action="store_true", help="play it in the terminal, or fail without a terminal")
    picture = parser.add_argument_group("pictures")
    add = picture.add_argument
    add(
        "--to",
        metavar="FILE",
        help=".gif or .apng: all generations; .png, .rle, .mc, .cells or .lif (also .gz): the last "
        "one, or the first one without --generations",
    )
    add("--scale", type=int, metavar="N", help="pixels per cell (default: easy to see)")
    add("--ms", type=int, default=50, help="milliseconds per frame (default: 50)")


def run(chosen: argparse.Namespace) -> None:
    """Run the command."""
    if chosen.list:
        _list()
        return
    _check_usage(chosen)
    pattern = _pattern(chosen)
    _check_engine(pattern, chosen)
    if chosen.to is not None:
        anyio.run(pictures.make, pattern, chosen)
    elif chosen.play or _is_watched():
        _play(pattern, chosen)
    else:
        anyio.run(_count, pattern, chosen)


def _list() -> None:
    width = max(map(len, classics()))
    for name in classics():
        print(f"{name:{width}}  {' '.join(classic(name).comments)}")


def _check_usage(chosen: argparse.Namespace) -> None:
    if chosen.pattern is None:
        raise UsageError("name a FILE or a pattern; --list shows the patterns")
    if chosen.play and chosen.to is not None:
        raise UsageError("--play shows and --to writes: give one of them")
    if chosen.to is not None:
        pictures.check(chosen)
    if chosen.play and not _is_watched():
        raise UsageError("--play needs a terminal at stdin and stdout")
    for name in ("generations", "every", "scale", "ms"):
        least = 0 if name == "generations" else 1
        value = getattr(chosen, name)
        if value is not None and value < least:
            raise UsageError(f"--{name} must be at least {least}, not {value}")
    for name, most in (("scale", _LARGEST_SCALE), ("ms", LONGEST_FRAME_MS)):
        value = getattr(chosen, name)
        if value is not None and value > most:
            raise UsageError(f"--{name} must be at most {most}, not {value}")


def _check_engine(pattern: Pattern, chosen: argparse.Namespace) -> None:
    try:
        simulate(pattern, engine=chosen.engine)
    except AconcurError:  # the file is at fault, not the command line
        raise
    except ValueError as error:
        raise UsageError(str(error)) from None


def _is_watched() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _pattern(chosen: argparse.Namespace) -> Pattern:
    """Return the pattern with the rule and the bounds of the command line."""
    pattern = _named(chosen.pattern)
    if chosen.rule is not None:
        try:
            pattern = pattern.under(chosen.rule)
        except RuleError as error:
            raise UsageError(str(error)) from None
    if chosen.plane:
        return pattern.inside(None)
    if chosen.torus is not None:
        return pattern.inside(Bounds("torus", *_size("--torus", chosen.torus)))
    if chosen.box is not None:
        return pattern.inside(Bounds("box", *_size("--box", chosen.box)))
    return pattern


def _named(name: str) -> Pattern:
    path = Path(name)
    # exists(), not is_file(): <(command) in a shell is a pipe.
    if path.exists() and not path.is_dir():
        return read(path)
    try:
        return classic(name)
    except UnknownPatternError as error:
        what = "is a directory" if path.is_dir() else "is not a file"
        raise UsageError(f"{name!r} {what}, and {error}; --list shows all") from None


def _size(option: str, text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise UsageError(f"{option} must be HEIGHTxWIDTH, like 64x64, not {text!r}")
    return int(found["height"]), int(found["width"])


def _play(pattern: Pattern, chosen: argparse.Namespace) -> None:
    from aconcur.cli.life.play import play

    anyio.run(play, pattern, chosen.engine, chosen.generations)


async def _count(pattern: Pattern, chosen: argparse.Namespace) -> None:
    """Print one line of JSON for each generation."""
    stop = _GENERATIONS if chosen.generations is None else chosen.generations
    stream = simulate(pattern, every=chosen.every or 1, stop=stop, engine=chosen.engine)
    async for generation in stream:
        grid = generation.grid
        line = {
            "generation": generation.number,
            "population": grid.population,
            "top": grid.top,
            "left": grid.left,
            "height": grid.height,
            "width": grid.width,
        }
        # Flush: the next line may take long, and the reader wants this one now.
        print(json.dumps(line), flush=True)
