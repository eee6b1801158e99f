"""Programs that tests run in an interpreter of their own."""

from __future__ import annotations

__all__ = ("run_program", "without_cloudpickle")

import os
import subprocess
import sys
from pathlib import Path


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
