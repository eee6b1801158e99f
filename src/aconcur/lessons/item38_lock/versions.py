"""How many updates luck loses, by version of Python.

CPython 3.10 and later asks whether another thread waits
(`CHECK_EVAL_BREAKER` in its `Python/ceval.c`) only at calls
and backward jumps; 3.9 asks at almost every step. A
plain `count += 1` holds neither between its read and its
write. A property puts a call there. This is not
guaranteed: a build without the GIL need not ask at all.
"""

from __future__ import annotations

__all__ = ("MORE", "interpreters", "lost")

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, float]

# Names or paths of more interpreters, as PATH is written.
MORE = "ACONCUR_PYTHONS"

NAMES = [f"python3.{minor}" for minor in range(6, 16)]

# In seconds. Far beyond any run; ends one that hangs.
PATIENCE = 100


def interpreters() -> Iterator[str]:
    """Yield where a Python may be; some may not run."""
    yield sys.executable
    more = os.environ.get(MORE, "").split(os.pathsep)
    for name in [*NAMES, *filter(None, more)]:
        if found := shutil.which(name):
            yield found


def lost(
    size: int,
    seed: int,  # noqa: ARG001 - luck alone is random
) -> dict[str, Row]:
    """Count in every interpreter there is, in turn.

    Args:
        size: how often each of five threads adds 1.
        seed: not used.

    Returns:
        A row a version, oldest first, in % of the updates.
    """
    rows: dict[tuple[int, ...], tuple[str, Row]] = {}
    for python in interpreters():
        version = _version(python)
        if version and version not in rows:
            said = _run(python, _LUCK, str(size))
            label = f"Python {said['version']}"
            rows[version] = label, said["row"]
    return dict(rows[version] for version in sorted(rows))


_LUCK = str(Path(__file__).with_name("luck.py"))
_ASK = "import sys; print(list(sys.version_info[:3]))"


def _version(python: str) -> tuple[int, ...] | None:
    """Ask an interpreter; None if it does not answer."""
    try:
        return tuple(_run(python, "-c", _ASK))
    except (
        OSError,
        ValueError,
        subprocess.SubprocessError,
    ):
        return None


def _run(python: str, *args: str) -> Any:  # noqa: ANN401
    # What it prints is JSON.
    done = subprocess.run(
        [python, "-I", *args],
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    for name, row in lost(100_000, 0).items():
        cells = ", ".join(
            f"{what}: {part:.3g} %"
            for what, part in row.items()
        )
        print(f"{name}: {cells}")
