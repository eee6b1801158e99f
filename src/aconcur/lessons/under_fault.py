"""Run one version of a lesson into a fault.

``python -m aconcur.lessons.item39_queue.faults`` lists the
commands, one a fault and version.

How a fault is observed: the version runs in a process of
its own. It calls `begin()` when its work is in full swing.
That is a state, never a time: so many calls have arrived,
so many children run. From then on the parent takes the
time, and sends the signal if the fault is one. When the
work has ended, the process counts its threads, tasks,
children and descriptors; those that end within `SETTLE`
do not count. After the process has exited, the parent
looks for processes that are left: all inherit one
environment variable. In the end they are killed, so no
fault leaves anything on the machine.
"""

from __future__ import annotations

__all__ = (
    "FAULTS",
    "Arriving",
    "Make",
    "Observation",
    "Scenario",
    "Scenarios",
    "State",
    "arrivals",
    "arrive",
    "begin",
    "busy",
    "cancelled_twice",
    "children",
    "command_of",
    "during",
    "in_time",
    "kill_a_child",
    "kill_a_worker",
    "main",
    "observe",
)

import asyncio
import gc
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
from tempfile import mkstemp
from typing import Any, Final, TypeAlias
from uuid import uuid4

AsyncWork: TypeAlias = Callable[
    ..., Coroutine[Any, Any, object]
]
Scenario: TypeAlias = Callable[[], Any]
State: TypeAlias = Callable[[], bool]
"""Returns whether the work is in full swing."""
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

LIMIT: Final = 8.0
"""Seconds after which a version is said to run on.

No version that ends needs more than three, and none that
runs on ends within thirty: a busy machine changes neither.
"""
SETTLE: Final = 1.0
"""Seconds that all gets to end after the work."""
ORPHANS: Final = 2.0
"""Seconds that processes get to end after the program."""
START: Final = 60.0
"""Seconds until `begin()`; far beyond any start."""
POLL: Final = 0.005

MARK: Final = "ACONCUR_UNDER_FAULT"
REPORT: Final = "ACONCUR_FAULT_REPORT"
ARRIVALS: Final = "ACONCUR_FAULT_ARRIVALS"


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


def arrive(*args: object) -> None:
    """Note that a call has begun, in whatever process."""
    log = os.open(
        os.environ[ARRIVALS], os.O_WRONLY | os.O_APPEND
    )
    os.write(log, f"{os.getpid()} {args}\n".encode())
    os.close(log)


def _arrived(*args: object) -> list[int]:
    """Return the processes of the calls that began.

    Args:
        args: of those with these arguments; of all calls
            without.
    """
    text = Path(os.environ[ARRIVALS]).read_text()
    return [
        int(line.split()[0])
        for line in text.splitlines()
        if not args or line.endswith(f" {args}")
    ]


class Arriving:
    """A function that arrives, then does its work.

    It pickles if the function does.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call

    def __call__(self, *args: object) -> Any:  # noqa: ANN401
        """Arrive, and call."""
        arrive(*args)
        return self.call(*args)


def arrivals(count: int) -> State:
    """Return the state: so many calls have begun."""
    return lambda: len(_arrived()) >= count


def children(count: int, name: str) -> State:
    """Return the state: so many children run a program."""
    return lambda: len(_running(name)) >= count


def busy(seconds: float) -> State:
    """Return the state: it has computed for so long."""
    return lambda: time.process_time() - _START >= seconds


_START: Final = time.process_time()


def _running(name: str) -> list[int]:
    return [
        pid
        for pid in _children()
        if _read(f"/proc/{pid}/comm").strip()
        == name.encode()
    ]


def during(
    state: State,
    work: Callable[..., Any],
    *args: object,
    call: Callable[[], object] = begin,
) -> Scenario:
    """Return what runs the work and calls in its middle.

    Args:
        state: when the work is in full swing.
        work: a function, or a coroutine function.
        args: its arguments.
        call: what to call then, in a thread of its own.
    """

    def watch() -> None:
        while not state():
            time.sleep(POLL)
        call()

    def start() -> None:
        threading.Thread(target=watch, daemon=True).start()

    async def awaited() -> None:
        start()
        await work(*args)

    def called() -> None:
        start()
        work(*args)

    is_async = inspect.iscoroutinefunction(work)
    return awaited if is_async else called


def in_time(
    state: State, work: AsyncWork, *args: object
) -> Scenario:
    """Return what gives the work 0.1 s more, then."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as limit:

            def call() -> None:
                begin()
                loop.call_soon_threadsafe(
                    limit.reschedule, loop.time() + 0.1
                )

            await during(state, work, *args, call=call)()

    return run


def cancelled_twice(
    state: State, work: AsyncWork, *args: object
) -> Scenario:
    """Return what cancels the work, and again at once."""

    async def run() -> None:
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            task.cancel()
            loop.call_soon(task.cancel)

        def call() -> None:
            begin()
            loop.call_soon_threadsafe(cancel)

        started = during(state, work, *args, call=call)
        task = loop.create_task(started())
        await task

    return run


def kill_a_child(name: str) -> None:
    """Begin, and kill one child that runs a program."""
    _kill(_running(name))


def kill_a_worker(*args: object) -> None:
    """Begin, and kill the worker of one call.

    Args:
        args: the call's arguments; any call without.
    """
    _kill(_arrived(*args))


def _kill(pids: list[int]) -> None:
    begin()
    os.kill(pids[0], signal.SIGKILL)


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
            end = time.monotonic() + SETTLE
            while tasks := len(asyncio.all_tasks()) - 1:
                if time.monotonic() >= end:
                    break
                await asyncio.sleep(POLL)

    def left() -> dict[str, int]:
        counts = {
            "children": len(_children()),
            "threads": threading.active_count() - threads,
            "tasks": tasks,
            "descriptors": _descriptors() - descriptors,
        }
        return {k: n for k, n in counts.items() if n > 0}

    try:
        if inspect.iscoroutinefunction(scenario):
            asyncio.run(counted())
        else:
            scenario()
    except BaseException as error:  # noqa: ASYNC103, BLE001
        outcome = _name(error)
    ended = time.monotonic()
    while left() and time.monotonic() < ended + SETTLE:
        # What only waits for the collector is not left, nor
        # what subprocess frees when it is used again.
        gc.collect()
        subprocess._cleanup()  # type: ignore[attr-defined]  # noqa: SLF001
        time.sleep(POLL)
    _report(
        {
            "outcome": outcome,
            "left": left(),
            "peak": _peak(),
            "settled": time.monotonic() - ended,
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
    log, arrival_log = mkstemp(prefix="aconcur-arrivals-")
    os.close(log)
    process = subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", module),
            *(version, fault, "--inside"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ
        | {
            MARK: mark,
            REPORT: str(writing),
            ARRIVALS: arrival_log,
        },
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
        Path(arrival_log).unlink()


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
    said.wait_for("outcome", 0)
    report = said.last
    seconds -= report.get("settled", 0)
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
            time.sleep(POLL)
        # A child that lives on has lost its parent.
        left["children"] = len(_marked(mark))
    return Observation(
        outcome,
        round(max(seconds, 0), 2),
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
            ended = False
            with suppress(BlockingIOError):
                while more := os.read(self.fd, 65536):
                    self.text += more
                ended = True
            for line in self.text.splitlines():
                self.last |= json.loads(line)
            if key in self.last:
                return True
            if ended or time.perf_counter() >= deadline:
                return False
            time.sleep(POLL)


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
