"""Put a tag before each line of a command's output, as GNU parallel does with ``--tag``.

Rule: a target gets whole lines only, so the lines of commands that run side by side are not mixed.
"""

from __future__ import annotations

__all__ = ("INDEX", "Tag", "check_tag", "run_tagged", "tag_of")

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, TypeAlias

from aconcur._core.validation import check_plain_function
from aconcur.process._driver import Options
from aconcur.process._line_buffer import LineBuffer
from aconcur.process._redirect import (
    CAPTURE,
    INHERIT,
    Append,
    Sink,
    Tee,
    called_plainly,
)
from aconcur.process._results import Completed
from aconcur.process._run import run_stages
from aconcur.process._stage import Stage

Tag: TypeAlias = str | Callable[[int], str]
"""A text with ``{index}``, or a function of the index."""

INDEX: Final = "{index}"
"""Stands for the place of a command in the input."""


def check_tag(tag: object) -> None:
    """Refuse a tag that would be the same for all commands.

    Raises:
        TypeError: it is neither text nor a plain function.
        ValueError: the text has no ``{index}``.
    """
    if isinstance(tag, str):
        if INDEX not in tag:
            raise ValueError(f"tag={tag!r} is the same for all: put {INDEX} into it")
    elif callable(tag):
        check_plain_function("tag", tag)
    else:
        raise TypeError(f"tag must be a text with {INDEX} or a function of the index, not {tag!r}")


def tag_of(tag: Tag, index: int) -> str:
    """Return the tag of one command."""
    return tag.replace(INDEX, str(index)) if isinstance(tag, str) else tag(index)


async def run_tagged(
    stages: tuple[Stage, ...],
    options: Options,
    output: Any,  # noqa: ANN401 - an Output
    tag: str,
) -> Completed:
    """Run the stages and send the tagged lines to the output.

    Raises:
        TypeError: the output cannot get lines.
        Exception: as for ``run()``.
    """
    prefix = tag.encode()
    buffer = LineBuffer()

    def tagged(lines: list[bytes]) -> bytes:
        return b"".join([prefix + line + b"\n" for line in lines])

    with _target(output) as target:

        def take(data: bytes) -> None:
            if lines := buffer.split(data):
                target(tagged(lines))

        captured = output is CAPTURE or isinstance(output, Tee)
        try:
            taken = Tee(take) if captured else take
            completed = await run_stages(stages, replace(options, output=taken))
        finally:
            if buffer.end():
                target(tagged(buffer.batch()))
    if not captured:
        return completed
    everything = LineBuffer()
    lines = everything.split(completed.stdout)
    if everything.end():
        lines += everything.batch()
    return replace(completed, stdout=tagged(lines))


@contextmanager
def _target(output: Any) -> Iterator[Sink]:  # noqa: ANN401
    """Yield the function that takes tagged lines."""
    if output is CAPTURE:
        yield len
    elif output is INHERIT:
        yield _write_to_stdout
    elif isinstance(output, Append):
        with open(output.path, "ab", buffering=0) as file:  # noqa: PTH123
            yield file.write
    elif isinstance(output, Tee):
        yield called_plainly(output.function)
    elif callable(write := getattr(output, "write", None)):
        yield write
    elif callable(output):
        yield called_plainly(output)
    else:
        raise TypeError(
            "tag= works with CAPTURE, INHERIT, Append(path), an open file, a function or "
            f"Tee(function), not {output!r}"
        )


def _write_to_stdout(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
