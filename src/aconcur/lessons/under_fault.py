"""Run one version of a lesson into a fault.

``python -m aconcur.lessons.item39_queue.faults`` lists the
commands, one a fault and version.

How a fault is observed: the version runs in a process of
its own. It calls `begin()` when its work is in full swing.
From then on the parent takes the time, and sends the signal
if the fault is one. When the work has ended, the process
counts its threads, tasks, children and descriptors. After
it has exited, the parent looks for processes that are left:
all inherit one environment variable. In the end they are
killed, so no fault leaves anything on the machine.
"""

from __future__ import annotations

__all__ = (
    "FAULTS",
    "Make",
    "Observation",
    "Scenario",
    "Scenarios",
    "begin",
    "cancelled_twice",
    "command_of",
    "during",
    "in_time",
    "kill_a_child",
    "main",
    "observe",
)

import asyncio
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import uuid4

AsyncWork: TypeAlias = Callable[
    ..., Coroutine[Any, Any, object]
]
Scenario: TypeAlias = Callable[[], Any]
Make: TypeAlias = Callable[[Any], Scenario]
"""Makes a scenario of a version's entry."""
Scenarios: TypeAlias = Mapping[str, Mapping[str, Scenario]]
"""Fault, then version, then what runs."""

FAULTS: Final = (
    "Ctrl-C",
    "one failure",
    "a timeout",
    "cancelled twice",
    "a stuck call",
    "kill -9 of a worker",
    "kill -9 of the program",
    "a slow stage",
)
"""All faults, in the order of the table."""

LIMIT: Final = 5.0
"""Seconds after which a version is said to run on."""
SETTLE: Final = 0.3
"""Seconds that threads get to end after the work."""
ORPHANS: Final = 1.0
"""Seconds that processes get to end after the program."""
START: Final = 60.0
"""Seconds until `begin()`; far beyond any start."""

MARK: Final = "ACONCUR_UNDER_FAULT"
REPORT: Final = "ACONCUR_FAULT_REPORT"


@dataclass(frozen=True, slots=True)
class Observation:
    """One version under one fault."""

    outcome: str
    """An error's name, "returned", "killed", "runs on"."""
    seconds: float
    """From the fault to the end of the process."""
    left: dict[str, int]
    """The number of things left at its end, by kind."""
    peak: int
    """Most resident memory of the program, in KiB."""

    def __str__(self) -> str:
        left = ", ".join(
            f"{n} {kind if n > 1 else SINGULAR[kind]}"
            for kind, n in self.left.items()
        )
        took = (
            f"after {LIMIT:.0f} s"
            if self.outcome == RUNS_ON
            else f"{self.seconds:.1f} s"
        )
        left = left or "nothing"
        return f"{self.outcome}, {took}, {left} left"


RUNS_ON: Final = "runs on"
SINGULAR: Final = {
    "children": "child",
    "threads": "thread",
    "tasks": "task",
    "descriptors": "descriptor",
}


# ------------------------------------------ in the child


def begin() -> None:
    """Say that the work is in full swing."""
    _report({"begin": True})


def _report(said: Mapping[str, object]) -> None:
    fd = int(os.environ[REPORT])
    os.write(fd, json.dumps(said).encode() + b"\n")


def during(
    after: float,
    work: Callable[..., Any],
    *args: object,
    call: Callable[[], object] = begin,
) -> Scenario:
    """Return what runs the work and calls in its middle.

    Args:
        after: seconds until the work is in full swing.
        work: a function, or a coroutine function.
        args: its arguments.
        call: what to call then, in a thread of its own.
    """

    def start() -> None:
        timer = threading.Timer(after, call)
        timer.daemon = True
        timer.start()

    async def awaited() -> None:
        start()
        await work(*args)

    def called() -> None:
        start()
        work(*args)

    is_async = inspect.iscoroutinefunction(work)
    return awaited if is_async else called


def in_time(
    after: float, work: AsyncWork, *args: object
) -> Scenario:
    """Return what gives the work a timeout."""

    async def run() -> None:
        async with asyncio.timeout(after + 0.1):
            await during(after, work, *args)()

    return run


def cancelled_twice(
    after: float, work: AsyncWork, *args: object
) -> Scenario:
    """Return what cancels the work, and again at once."""

    async def run() -> None:
        task = asyncio.ensure_future(work(*args))
        await asyncio.sleep(after)
        begin()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await task

    return run


def kill_a_child() -> None:
    """Begin, and kill one of our child processes."""
    pid, *_ = _children()
    begin()
    os.kill(pid, signal.SIGKILL)


def _run_inside(
    scenario: Scenario, warm_up: Scenario | None
) -> None:
    """Run the scenario; report its end and the rest.

    What a library keeps for the life of a program, such as
    a guardian process and its pipe, is started by the
    warm-up and therefore not counted.
    """
    if warm_up is not None:
        warm_up()
    descriptors = _descriptors()
    threads = threading.active_count()
    outcome, tasks = "returned", 0

    async def counted() -> None:
        nonlocal tasks
        try:
            await scenario()
        finally:
            tasks = len(asyncio.all_tasks()) - 1

    try:
        if inspect.iscoroutinefunction(scenario):
            asyncio.run(counted())
        else:
            scenario()
    except BaseException as error:  # noqa: ASYNC103, BLE001
        outcome = _name(error)
    left = {
        "children": len(_children()),
        "threads": threading.active_count() - threads,
        "tasks": tasks,
        "descriptors": _descriptors() - descriptors,
    }
    _report(
        {
            "outcome": outcome,
            "left": {
                k: n for k, n in left.items() if n > 0
            },
            "peak": _peak(),
        }
    )


def _name(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__


def _descriptors() -> int:
    """Count our descriptors, not multiprocessing's."""
    tracker = resource_tracker._resource_tracker  # noqa: SLF001
    own = getattr(tracker, "_fd", None) is not None
    return len([*Path("/proc/self/fd").iterdir()]) - own


def _children() -> list[int]:
    """Return our children but multiprocessing's tracker."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += (task / "children").read_text().split()
    return [
        int(pid)
        for pid in found
        if b"resource_tracker"
        not in _read(f"/proc/{pid}/cmdline")
    ]


def _peak() -> int:
    status = _read("/proc/self/status").decode()
    line = next(
        line
        for line in status.splitlines()
        if line.startswith("VmHWM")
    )
    return int(line.split()[1])


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


# ----------------------------------------- in the parent


def command_of(
    module: str, version: str, fault: str
) -> str:
    """Return the command that shows one fault alone."""
    return f'python -m {module} "{version}" "{fault}"'


def observe(
    module: str, version: str, fault: str
) -> Observation:
    """Run a version into a fault; leave no process.

    Blocks for a few seconds. Needs Linux's /proc.

    Args:
        module: a lesson's module of faults.
        version: one of its versions.
        fault: one of `FAULTS`.
    """
    mark = uuid4().hex
    reports, writing = os.pipe()
    process = subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", module),
            *(version, fault, "--inside"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {MARK: mark, REPORT: str(writing)},
        pass_fds=(writing,),
        start_new_session=True,
    )
    os.close(writing)
    try:
        return _observe(process, fault, mark, reports)
    finally:
        for pid in _marked(mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        os.close(reports)


def _observe(
    process: subprocess.Popen[bytes],
    fault: str,
    mark: str,
    reports: int,
) -> Observation:
    said = _Reports(reports)
    if not said.wait_for("begin", START):
        raise RuntimeError(
            f"{process.args!r} ended before its fault began"
        )
    began = time.perf_counter()
    if fault == "Ctrl-C":
        # A terminal sends it to all processes of the group.
        os.killpg(process.pid, signal.SIGINT)
    elif fault == "kill -9 of the program":
        process.kill()
    try:
        process.wait(LIMIT)
        ended = True
    except subprocess.TimeoutExpired:
        ended = False
    seconds = time.perf_counter() - began
    said.wait_for("outcome", 0 if not ended else 0.5)
    report = said.last
    outcome = report.get("outcome", "killed")
    left = dict(report.get("left", {}))
    if not ended:
        outcome = RUNS_ON
        left = {"children": len(_marked(mark)) - 1}
    else:
        deadline = time.perf_counter() + ORPHANS
        while (
            _marked(mark) and time.perf_counter() < deadline
        ):
            time.sleep(0.02)
        # A child that lives on has lost its parent.
        left["children"] = len(_marked(mark))
    return Observation(
        outcome,
        round(seconds, 2),
        {kind: n for kind, n in left.items() if n > 0},
        report.get("peak", 0),
    )


class _Reports:
    """Reads the lines that the child reports."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.text = b""
        self.last: dict[str, Any] = {}

    def wait_for(self, key: str, seconds: float) -> bool:
        """Return whether a line with the key came."""
        deadline = time.perf_counter() + seconds
        while True:
            with suppress(BlockingIOError):
                while more := os.read(self.fd, 65536):
                    self.text += more
            for line in self.text.splitlines():
                self.last |= json.loads(line)
            if key in self.last:
                return True
            if time.perf_counter() >= deadline:
                return False
            time.sleep(0.01)


def _marked(mark: str) -> list[int]:
    """Return the processes that inherited the mark."""
    found = []
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            there = _read(f"{folder}/environ").split(b"\0")
            tracker = b"resource_tracker" in _read(
                f"{folder}/cmdline"
            )
            if wanted in there and not tracker:
                found.append(int(folder.name))
    return found


def main(
    module: str,
    scenarios: Scenarios,
    warm_ups: Mapping[str, Scenario] | None = None,
) -> None:
    """Run the command line of a lesson's faults.

    Args:
        module: the module's full name.
        scenarios: the calls that run, by fault and version.
        warm_ups: the calls before them, by version.
    """
    match sys.argv[1:]:
        case [version, fault, "--inside"]:
            warm_up = (warm_ups or {}).get(version)
            _run_inside(scenarios[fault][version], warm_up)
        case [version, fault] if version in scenarios.get(
            fault, {}
        ):
            seen = observe(module, version, fault)
            print(f"{version}, {fault}: {seen}")
            print(json.dumps(asdict(seen)))
        case _:
            print("usage, one of:", file=sys.stderr)
            for fault, versions in scenarios.items():
                for version in versions:
                    print(
                        command_of(module, version, fault),
                        file=sys.stderr,
                    )
            sys.exit(2)
