"""Importing this makes the process look like one on Windows to aconcur, and to aconcur alone.

aconcur cannot import POSIX modules, POSIX functions are gone from ``os`` and ``signal``, and
``sys.platform`` says ``win32``. The libraries are imported before that, so they go on as usual.
This shows that aconcur needs nothing that Windows lacks; it cannot show how libraries behave there.
"""

from __future__ import annotations

import asyncio
import builtins
import os
import signal
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Final

LIBRARIES: Final = (
    "anyio._backends._asyncio",
    "asyncio.subprocess",
    "concurrent.futures.process",
    "concurrent.futures.thread",
    "shutil",
    "tempfile",
)
LIBRARIES_WITH_TRIO: Final = ("anyio._backends._trio", "trio.testing")

MODULES: Final = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"}
OF_OS: Final = """
P_PID WEXITED WNOHANG WNOWAIT ctermid environb fchmod fork forkpty getloadavg getpgid getpgrp getuid
killpg memfd_create mkfifo openpty pidfd_open posix_spawn register_at_fork sched_getaffinity setpgid
setsid splice sysconf tcgetpgrp wait3 wait4 waitid
"""
OF_SIGNAL: Final = """
SIGALRM SIGCHLD SIGHUP SIGKILL SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 SIGWINCH SIG_BLOCK
SIG_SETMASK pthread_kill pthread_sigmask setitimer
"""

_import = builtins.__import__


def _import_without_posix(
    name: str,
    globals: Mapping[str, object] | None = None,  # noqa: A002 - the signature of __import__
    locals: Mapping[str, object] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    importer = str((globals or {}).get("__name__"))
    if importer.split(".")[0] == "aconcur" and level == 0 and name.split(".")[0] in MODULES:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return _import(name, globals, locals, fromlist, level)


def _remove(module: ModuleType, names: str) -> None:
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)


for library in (*LIBRARIES, *(LIBRARIES_WITH_TRIO if find_spec("trio") else ())):
    import_module(library)
sysconfig.get_paths()  # it keeps what it finds for the real platform
asyncio.new_event_loop().close()  # likewise: from 3.14 on its policy is made for the platform here
builtins.__import__ = _import_without_posix
_remove(os, OF_OS)
if sys.version_info >= (3, 13):
    # Where there is no affinity, both are one function.
    os.process_cpu_count = os.cpu_count
_remove(signal, OF_SIGNAL)
sys.platform = "win32"
