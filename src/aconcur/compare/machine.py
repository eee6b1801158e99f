"""The machine that figures come from: describe it, and refuse to record on a busy one."""

from __future__ import annotations

__all__ = (
    "BusyMachineError",
    "busy_share",
    "describe_machine",
    "refuse_busy_machine",
)

import os
import platform
import shutil
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from aconcur._core.cpus import usable_cpus
from aconcur.errors import AconcurError

# A guess that has served: an idle two-core machine shows 0 to 3 %, one busy process 50 %.
BUSY = 0.15
LIBRARIES = ("anyio", "trio", "uvloop", "httpx2", "pillow")


class BusyMachineError(AconcurError):
    """Raised when other work on the machine would spoil a recording."""

    def __init__(self, share: float) -> None:
        super().__init__(
            f"the machine is {share:.0%} busy with other work: figures are recorded only below "
            f"{BUSY:.0%}; wait until it is idle"
        )


def busy_share(seconds: float = 1.0) -> float:
    """Return the share of all processor time that programs use during the next ``seconds``.

    Without /proc/stat: the load average of the last minute divided by the number of cores.
    """
    if not Path("/proc/stat").exists():
        return os.getloadavg()[0] / usable_cpus()
    busy_before, all_before = _processor_ticks()
    time.sleep(seconds)
    busy_after, all_after = _processor_ticks()
    return (busy_after - busy_before) / max(all_after - all_before, 1)


def _processor_ticks() -> tuple[int, int]:
    # proc(5): user nice system idle iowait irq softirq steal guest guest_nice; user holds guest.
    ticks = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def refuse_busy_machine() -> None:
    """Return if other programs leave the processors alone.

    Raises:
        BusyMachineError: says how busy the machine is.
    """
    if (share := busy_share()) > BUSY:
        raise BusyMachineError(share)


def describe_machine() -> dict[str, str]:
    """Return the facts that a figure depends on; no host name, no path. Takes 0.2 s."""
    said = {
        "processor": _processor_name(),
        "cores": str(usable_cpus()),
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for library in LIBRARIES:
        try:
            said[library] = version(library)
        except PackageNotFoundError:
            continue
    if shutil.which("openssl"):
        said["openssl"] = _openssl_version()
    said["busy"] = f"{busy_share(0.2):.0%}"
    said["date"] = datetime.now(UTC).date().isoformat()
    return said


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _openssl_version() -> str:
    done = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=False)
    return " ".join(done.stdout.split()[1:2])
