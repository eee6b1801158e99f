"""Run one version of a lesson and measure it from inside: the child side of :mod:`.rounds`.

It reads its orders as lines of JSON on stdin and answers each with one line of JSON on stdout. A
fresh process for each version, so that no version inherits another's memory, imports or pools; it
lives through all rounds, so that imports are not measured again. An order of another size makes a
new input; any other line runs the version once.

Rule: what the lesson prints goes nowhere; stdout belongs to the answers.
Rule: this file imports next to nothing, for every worker that a lesson spawns imports it again.
"""

from __future__ import annotations

__all__ = ("main",)

import gc
import hashlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any, TextIO

SHOWN = 160


class Started:
    """Counts the threads and child processes that this process starts from Python.

    What uvloop starts by itself is not seen: it calls no Python to do so.
    """

    def __init__(self) -> None:
        self.threads: int = 0
        self.children: int = 0
        sys.addaudithook(self._hear)
        self._count_starts(Thread, "threads")
        self._count_starts(BaseProcess, "children")

    def _hear(self, event: str, _: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            self.children += 1

    def _count_starts(self, kind: type[Thread | BaseProcess], counter: str) -> None:
        start = kind.start

        def counted(self_: Any) -> None:  # noqa: ANN401 - a Thread or a BaseProcess
            setattr(self, counter, getattr(self, counter) + 1)
            start(self_)

        setattr(kind, "start", counted)  # noqa: B010 - to type checkers a method is constant


def resident_peak() -> int:
    """Return the most bytes this process held resident since :func:`forget_peak`."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    """Lower the recorded peak to the memory that is resident now, if the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): reset the peak
    except OSError:
        return


def processor_seconds() -> float:
    """Return user and system time of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def driver(entry: Callable[..., Any], backend: str) -> Callable[..., Any]:
    """Return a plain function that runs ``entry`` to its answer.

    The event loop is loaded and tried before that: what it does once a process is not the entry's
    (trio looks for a library, which starts ``ldconfig``).
    """
    import inspect

    if not inspect.iscoroutinefunction(entry):
        return entry
    import anyio

    options = {"use_uvloop": True} if backend == "uvloop" else {}
    loop = "trio" if backend == "trio" else "asyncio"

    def run(*arguments: object) -> Any:  # noqa: ANN401 - any entry's answer
        return anyio.run(entry, *arguments, backend=loop, backend_options=options)

    anyio.run(anyio.sleep, 0, backend=loop, backend_options=options)
    return run


def measured(
    run: Callable[..., Any], arguments: tuple[Any, ...], started: Started
) -> dict[str, Any]:
    """Run once; return the figures and the answer."""
    gc.collect()
    forget_peak()
    peak, threads, children = resident_peak(), started.threads, started.children
    cpu, wall = processor_seconds(), time.perf_counter()
    answer = run(*arguments)
    wall, cpu = time.perf_counter() - wall, processor_seconds() - cpu
    text = json.dumps(answer, sort_keys=True, default=repr, ensure_ascii=False)
    return {
        "wall": wall,
        "cpu": cpu,
        "memory": max(resident_peak() - peak, 0),
        "threads": started.threads - threads,
        "children": started.children - children,
        "digest": hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest(),
        "shown": text if len(text) <= SHOWN else text[: SHOWN - 1] + "…",
    }


def serve(order: dict[str, Any], answers: TextIO) -> None:
    """Set up what the first line orders, then run once for every line that follows."""
    package, seed = order["package"], order["seed"]
    file, _, name = order["reference"].partition("::")
    entry = getattr(import_module(f"{package}.{file.removesuffix('.py')}"), name)
    if order["input"] is None:
        tell(answers, {"ready": True})
        for _ in sys.stdin:
            tell(answers, {"rows": entry(order["size"], seed)})
        return
    make_input = getattr(import_module(f"{package}.work"), order["input"])
    with ExitStack() as stack:
        arguments = stack.enter_context(make_input(order["size"], seed))
        run, started = driver(entry, order["backend"]), Started()
        # Loaded modules stay to the end: without this, collecting takes longer than many a run.
        gc.freeze()
        tell(answers, {"ready": True})
        for line in sys.stdin:
            if "size" in (asked := json.loads(line)):
                stack.close()
                arguments = stack.enter_context(make_input(asked["size"], seed))
                tell(answers, {"ready": True})
            else:
                tell(answers, measured(run, arguments, started))


def tell(answers: TextIO, message: dict[str, Any]) -> None:
    """Write one line of JSON."""
    answers.write(json.dumps(message) + "\n")
    answers.flush()


@contextmanager
def answers_on_stdout() -> Iterator[TextIO]:
    """Keep stdout for the answers and send everything else that is printed to nowhere."""
    sys.stdout.flush()
    with (
        os.fdopen(os.dup(1), "w", encoding="utf-8") as answers,
        open(os.devnull, "w") as nowhere,  # noqa: PTH123 - a device, not a path
    ):
        os.dup2(nowhere.fileno(), 1)
        yield answers


def leave(_signal: int, _frame: FrameType | None) -> None:
    """Unwind on SIGTERM, so that an input's context manager cleans up."""
    sys.exit(143)


def main() -> None:
    """Obey the orders on stdin until it ends."""
    signal.signal(signal.SIGTERM, leave)
    with answers_on_stdout() as answers:
        try:
            serve(json.loads(sys.stdin.readline()), answers)
        except Exception as error:
            tell(answers, {"error": f"{type(error).__name__}: {error}"})
            raise


if __name__ == "__main__":
    main()
