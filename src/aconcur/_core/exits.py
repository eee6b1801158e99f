"""End a program the way a shell expects: a clear line on stderr, the right code, no traceback."""

from __future__ import annotations

__all__ = ("clean_exits",)

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from aconcur.errors import AconcurError


@contextmanager
def clean_exits(program: str) -> Iterator[None]:
    """Run the block; exit with 1 on an error of ours or of the system, with 130 on Ctrl-C.

    A reader of stdout that has gone (``| head``) ends the program quietly, with 1. Any other
    exception is a bug and keeps its traceback.
    """
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)  # noqa: T201 - stderr is the channel
        sys.exit(130)
    except BrokenPipeError:
        _forget_stdout()
        sys.exit(1)
    except (AconcurError, OSError) as error:
        _forget_stdout()
        sys.exit(f"{program}: {error}")


def _forget_stdout() -> None:
    # The interpreter flushes stdout once more as it exits: give what is buffered somewhere to go.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a path
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
