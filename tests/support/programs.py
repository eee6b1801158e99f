"""Programs that tests run in an interpreter of their own."""

from __future__ import annotations

__all__ = ("run_program", "started", "without_cloudpickle")

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def started(
    *command: str | Path,
    stdin: int | None = subprocess.DEVNULL,
    stderr: int | None = subprocess.PIPE,
    env: Mapping[str, str] = {},
) -> Iterator[subprocess.Popen[str]]:
    """Start a program in a process group of its own, with stdout and stderr as pipes of text.

    Leaving the block kills what is left of the group, so that a test that fails leaves nothing and
    does not wait for ever, as ``with Popen`` does.

    Args:
        command: the program and its arguments.
        stdin: as for ``Popen``; nothing to read by default.
        stderr: as for ``Popen``.
        env: what its environment has besides ours.
    """
    process = subprocess.Popen(
        command,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=os.environ | env,
        process_group=0,
    )
    try:
        yield process
    finally:
        # The leader may have been reaped; members that it left keep the group's number taken.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(BrokenPipeError), process:
            pass


def run_program(
    folder: Path, text: str, *arguments: str, path: Path | None = None, stdin: bool = False
) -> subprocess.CompletedProcess[str]:
    """Write a program to a folder and run it with warnings as errors; return what it printed.

    Args:
        folder: where it is written.
        text: its source.
        arguments: for the interpreter, before the program; with ``-m`` in place of it.
        path: a folder at the front of the path.
        stdin: pipe the program in instead of naming its file.
    """
    program = folder / "program.py"
    program.write_text(text)
    paths = [str(path)] if path else []
    return subprocess.run(
        [sys.executable, *arguments, *([] if stdin or "-m" in arguments else [str(program)])],
        input=text if stdin else None,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([*paths, *filter(None, sys.path)]),
            "TMPDIR": str(folder),
        },
    )


def without_cloudpickle(folder: Path) -> Path:
    """Return a folder that, at the front of the path, makes cloudpickle impossible to import."""
    hidden = folder / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys; sys.modules['cloudpickle'] = None\n")
    return hidden
