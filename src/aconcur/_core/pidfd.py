"""Wait for a child's exit through a file descriptor, without reaping the child.

A child that has ended but is not reaped keeps its process id, and so does the group that it leads.
Until it is reaped, a signal to either cannot reach a process that happens to reuse the id.
"""

from __future__ import annotations

__all__ = ("open_exit_fd",)

import errno
import os
from contextlib import suppress
from threading import Thread


def open_exit_fd(pid: int) -> int:
    """Return a descriptor that becomes readable when the child has ended. The caller closes it.

    On Linux 5.3 and later this is a pidfd (pidfd_open(2)). Elsewhere it is the reading end of a
    pipe whose writing end a thread closes when waitid(2) returns.

    Raises:
        OSError: no descriptor is free.
    """
    try:
        return os.pidfd_open(pid)
    except AttributeError:
        pass
    except ProcessLookupError:
        return _readable_at_once()
    except OSError as error:
        # ENOSYS: an older kernel. EPERM: a sandbox that does not know the system call.
        if error.errno not in {errno.ENOSYS, errno.EPERM}:
            raise
    return _pipe_closed_by_thread(pid)


def _readable_at_once() -> int:
    """Return a descriptor for a child that another part of the program has reaped."""
    reading, writing = os.pipe()
    os.close(writing)
    return reading


def _pipe_closed_by_thread(pid: int) -> int:
    reading, writing = os.pipe()

    def wait() -> None:
        try:
            with suppress(ChildProcessError):  # already reaped elsewhere, so it has ended
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
