"""Classic concurrency bugs, each written once against anyio, each with a fixed twin.

A bug is an async function: ``bug(fixed=False)`` goes wrong under some schedule, ``bug(fixed=True)``
under none.
"""

from __future__ import annotations

__all__ = ("BUGS", "Bug")

from tests.support.bugs import ends, locks, signals, updates
from tests.support.bugs.kind import Bug as Bug

BUGS: dict[str, Bug] = {
    bug.__name__: bug for bug in (*updates.BUGS, *locks.BUGS, *signals.BUGS, *ends.BUGS)
}
