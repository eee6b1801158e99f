"""Hear of a child's exit through a descriptor, without reaping it.

A child that has ended and is not reaped keeps its process id, and that of the group it leads:
until it is reaped a signal to either cannot reach a stranger.
"""

from __future__ import annotations

__all__ = ("exit_descriptor",)

import errno
import os
from contextlib import suppress
from threading import Thread


def exit_descriptor(pid: int) -> int:
    """Return a descriptor that becomes readable when the child has ended. The caller closes it.

    A pidfd (pidfd_open(2), Linux 5.3) where there is one; else the end of a pipe whose other end
    a thread closes when waitid(2) returns.

    Raises:
        OSError: no descriptor is free.
    """
    try:
        return os.pidfd_open(pid)
    except AttributeError:
        pass
    except OSError as error:
        # ENOSYS: an older kernel; EPERM: a sandbox that does not know the call.
        if error.errno not in {errno.ENOSYS, errno.EPERM}:
            raise
    return _told_by_a_thread(pid)


def _told_by_a_thread(pid: int) -> int:
    reading, writing = os.pipe()

    def wait() -> None:
        try:
            with suppress(ChildProcessError):  # somebody reaped it, so it has ended
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        finally:
            os.close(writing)

    try:
        Thread(target=wait, name=f"aconcur waits for {pid}", daemon=True).start()
    except BaseException:
        os.close(reading)
        os.close(writing)
        raise
    return reading
