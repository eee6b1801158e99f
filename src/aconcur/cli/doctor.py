"""``aconcur doctor``: what a bug report should say about this machine."""

from __future__ import annotations

__all__ = ("add_arguments", "run")

import argparse
import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from aconcur import __version__
from aconcur._core.cpus import usable_cpus

# What the extra of each line brings, by the names of distributions.
_PACKAGES: Final = {
    "event loops": ("anyio", "trio", "uvloop"),
    "cli": ("rich",),
    "images": ("httpx2", "pillow"),
    "life": ("numpy", "numba"),
    "dask": ("distributed",),
    "cloudpickle": ("cloudpickle",),
}
_PROGRAMS: Final = ("openssl", "md5sum", "sh")
_NAME: Final = 14  # columns


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command, which has no options."""
    parser.description = (
        "Print the versions, extras and features of the system that a bug report should name. "
        "Nothing is changed and nothing is sent."
    )


def run(chosen: argparse.Namespace) -> None:
    """Print one line for each thing."""
    del chosen
    for name, value in _facts():
        print(f"{name:{_NAME}} {value}")


def _facts() -> Iterator[tuple[str, str]]:
    yield "aconcur", f"{__version__} in {Path(__file__).parents[1]}"
    implementation = platform.python_implementation()
    yield "Python", f"{implementation} {platform.python_version()}, {_gil()}, {sys.executable}"
    yield "system", f"{platform.system()} {platform.release()}, {platform.machine()}"
    yield "processors", f"{usable_cpus()} usable of {os.cpu_count()}"
    for extra, names in _PACKAGES.items():
        yield extra, ", ".join(map(_version, names))
    for name, does in (
        ("pidfd", hasattr(os, "pidfd_open")),
        ("memfd", hasattr(os, "memfd_create")),
        ("pipe size", _pipe_size()),
        ("/proc", Path("/proc/self/stat").exists()),
    ):
        yield name, does if isinstance(does, str) else "yes" if does else "no"
    yield "open files", _open_files()
    yield "programs", ", ".join(name if shutil.which(name) else f"no {name}" for name in _PROGRAMS)


def _gil() -> str:
    # Python 3.13 has it, and may be built without the lock.
    enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    return "with the GIL" if enabled else "free-threaded"


def _version(name: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {name}"


def _pipe_size() -> str:
    largest = "/proc/sys/fs/pipe-max-size"
    with suppress(OSError, ValueError):
        return f"at most {int(Path(largest).read_text(encoding='ascii')):,} bytes"
    return "not told"


def _open_files() -> str:
    try:
        import resource
    except ImportError:  # Windows
        return "not told"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return re.sub(r"-1\b", "no limit", f"{soft} at most, {hard} if raised")
