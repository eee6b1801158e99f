"""The errors of work that an executor of the caller's does."""

from __future__ import annotations

__all__ = ("ClusterUnreachable", "ExecutorBroken")

from collections.abc import Mapping
from concurrent.futures import BrokenExecutor
from typing import Any

from aconcur.errors import AconcurError
from aconcur.parallel._errors import shown


class ExecutorBroken(AconcurError, BrokenExecutor):  # noqa: N818 - as BrokenExecutor
    """Raised when an executor takes no more calls: a worker of it died, or somebody shut it down.

    The standard library's executor of processes fails every call that it has when one worker dies,
    does not say which call was guilty, and cannot be mended. Results that came before are delivered
    first. In order: each item before the first in flight was delivered. As they come: each item
    that was drawn was delivered, or is in flight.

    Args:
        reason: what the executor said.
        in_flight: the items whose calls were lost, by their places in the input, from 0.
        delivered: how many results the consumer has had.
    """

    def __init__(self, reason: str, in_flight: Mapping[int, Any], delivered: int) -> None:
        named = ", ".join(f"{index}: {shown(item)}" for index, item in [*in_flight.items()][:4])
        more = f" and {len(in_flight) - 4} more" if len(in_flight) > 4 else ""
        super().__init__(
            f"the executor broke ({reason}): {delivered} results were delivered, "
            f"{len(in_flight)} items were in flight ({named}{more}); make a new executor, or use "
            "aconcur.parallel.open_pool, which replaces a worker that dies and names the item"
        )
        self.reason: str = reason
        """What the executor said."""
        self.in_flight: Mapping[int, Any] = dict(in_flight)
        """The items whose calls were lost, by their places in the input."""
        self.delivered: int = delivered
        """How many results the consumer has had."""

    def __reduce__(self) -> tuple[type[ExecutorBroken], tuple[str, Mapping[int, Any], int]]:
        return type(self), (self.reason, self.in_flight, self.delivered)


class ClusterUnreachable(AconcurError):  # noqa: N818 - as PoolClosed
    """Raised when no scheduler answers at an address within the time.

    Args:
        address: where.
        seconds: how long was waited.
        reason: what the connection said.
    """

    def __init__(self, address: str, seconds: float, reason: str) -> None:
        super().__init__(
            f"no scheduler answered at {address} within {seconds:g} s ({reason}): "
            "start one with 'dask scheduler', and check host, port and firewall"
        )
        self.address: str = address
        """Where it was looked for."""
        self.seconds: float = seconds
        """How long was waited."""
        self.reason: str = reason
        """What the connection said."""

    def __reduce__(self) -> tuple[type[ClusterUnreachable], tuple[str, float, str]]:
        return type(self), (self.address, self.seconds, self.reason)
