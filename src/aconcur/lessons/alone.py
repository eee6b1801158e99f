"""Run one version of a lesson by itself.

``python -m aconcur.lessons.item39_queue.rebuilt``
"""

from __future__ import annotations

__all__ = ("alone",)

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aconcur._core.program_exit import clean_exit
from aconcur.lessons.needs import check_needs, needs_beside


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(
            "must be a whole number from 1 up,"
            f" not {text!r}"
        )
    return number


@contextmanager
def alone(
    file: str, doc: str | None, *, size: int, unit: str
) -> Iterator[int]:
    """Read the command line, run the block, exit cleanly.

    ``--help`` prints ``doc``; ``--size N`` is what the
    block receives. Exits with 1 and one line on stderr when
    something that the lesson needs is missing, with 2 when
    the command line is wrong, with 130 after Ctrl-C, and
    quietly when the reader of stdout has gone.

    Args:
        file: the version's ``__file__``; the lesson.toml
            beside it says what it needs.
        doc: the version's ``__doc__``.
        size: how many units to work on by default.
        unit: what ``--size`` counts, as a plural noun.
    """
    path = Path(file)
    lesson = f"aconcur.lessons.{path.parent.name}"
    parser = argparse.ArgumentParser(
        prog=f"python -m {lesson}.{path.stem}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--size",
        type=positive,
        default=size,
        metavar="N",
        help=f"{unit} (default: {size})",
    )
    chosen: int = parser.parse_args().size
    with clean_exit(parser.prog):
        check_needs(needs_beside(file))
        yield chosen
