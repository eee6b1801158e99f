"""Commands and pipes beside the shell and the other ways: ``python -m benchmarks.process``.

Every figure is the median, and the quartiles, of the ratios of single rounds to the baseline of
the same round; the versions of a case run in turn. A ratio below 1 is faster than the baseline.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

import anyio

from aconcur.process import DISCARD, Command, run_many

Version: TypeAlias = Callable[[], Awaitable[object]]
Case: TypeAlias = dict[str, Version]

MIB = 1 << 20
OPENSSL = ("openssl", "enc", "-aes-256-ctr", "-nosalt", "-K", "00" * 32, "-iv", "00" * 16)
DES3 = ("openssl", "enc", "-des3", "-pbkdf2", "-S", "7468652073616c74", "-pass", "pass:x")
QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL}
SINK = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
static char buffer[1 << 20];
int main(int argc, char **argv) {
    int ends[2];
    if (pipe(ends)) return 1;
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    if (!fork()) { dup2(ends[1], 1); close(ends[0]); close(ends[1]); execvp(argv[1], argv + 1); }
    close(ends[1]);
    while (read(ends[0], buffer, sizeof buffer) > 0) {}
    return wait(0) < 0;
}
"""


async def shell(line: str) -> None:
    """Run a line in sh, waited for by a thread: the loop is no part of the figure."""
    await anyio.to_thread.run_sync(lambda: subprocess.run(["sh", "-c", line], check=True, **QUIET))


_backend = "asyncio"


async def communicate(argv: tuple[str, ...], data: bytes, **options: Any) -> None:
    """Do it with the loop's own subprocesses."""
    if _backend == "trio":
        import trio

        names = [name for name in ("stdout", "stderr") if name not in options]
        captured: dict[str, Any] = {f"capture_{name}": True for name in names}
        await trio.run_process(list(argv), stdin=data, **captured, **options)
        return
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    child = await asyncio.create_subprocess_exec(*argv, stdin=subprocess.PIPE, **options)
    await child.communicate(data)


def chain(folder: Path, size: int) -> Case:
    data = os.urandom(size * MIB)
    file = folder / "chain"
    file.write_bytes(data)
    pipe = Command(*OPENSSL) | Command("md5sum")
    line = f"cat {file} | {' '.join(OPENSSL)} | md5sum"
    return {
        "shell": lambda: shell(line),
        "aconcur": lambda: pipe.run(input=data),
        "aconcur, file": lambda: pipe.run(input=file),
        "loop's own": lambda: communicate(("sh", "-c", f"{' '.join(OPENSSL)} | md5sum"), data),
        "anyio": lambda: anyio.run_process(f"{' '.join(OPENSSL)} | md5sum", input=data),
    }


def feed(folder: Path, size: int) -> Case:
    data = bytes(size * MIB)
    file = folder / "feed"
    file.write_bytes(data)
    return {
        "shell": lambda: shell(f"cat {file} | cat > /dev/null"),
        "aconcur": lambda: Command("cat").run(input=data, output=DISCARD),
        "loop's own": lambda: communicate(("cat",), data, **QUIET),
        "anyio": lambda: anyio.run_process(["cat"], input=data, **QUIET),
    }


def read(folder: Path, size: int, block: int) -> Case:
    argv = ("dd", "if=/dev/zero", f"bs={block}", f"count={size * MIB // block}", "status=none")
    sink = folder / "sink"
    sink.with_suffix(".c").write_text(SINK)
    subprocess.run(["cc", "-O2", "-w", "-o", sink, sink.with_suffix(".c")], check=True)

    async def ours() -> None:
        async with Command(*argv).open() as running:
            async for _ in running.chunks():
                pass

    async def theirs() -> None:
        async with await anyio.open_process(list(argv)) as process:
            assert process.stdout is not None
            async for _ in process.stdout:
                pass

    return {
        "C, 1 MiB pipe": lambda: shell(f"{sink} {' '.join(argv)}"),
        "aconcur": ours,
        "aconcur, run": lambda: Command(*argv).run(output=len),
        "anyio": theirs,
    }


def both(folder: Path, size: int, argv: tuple[str, ...]) -> Case:
    data = bytes(size * MIB)
    file = folder / "both"
    file.write_bytes(data)
    line = " ".join(argv)

    async def ours() -> None:
        async with Command(*argv).open(input=data) as running:
            async for _ in running.chunks():
                pass

    return {
        "shell": lambda: shell(f"cat {file} | {line} | cat > /dev/null"),
        "aconcur": lambda: Command(*argv).run(input=data, output=len),
        "aconcur, open": ours,
        "aconcur, captured": lambda: Command(*argv).run(input=data),
        "loop's own": lambda: communicate(argv, data),
        "anyio": lambda: anyio.run_process(list(argv), input=data),
    }


def lines(folder: Path, count: int) -> Case:
    file = folder / "lines"
    file.write_bytes((b"x" * 63 + b"\n") * count)

    async def stdlib() -> None:
        def work() -> None:
            with subprocess.Popen(["cat", file], stdout=subprocess.PIPE) as child:
                assert child.stdout is not None
                for _ in child.stdout:
                    pass

        work()

    async def single() -> None:
        async with Command("cat", file).open() as running:
            async for _ in running.lines():
                pass

    async def batches() -> None:
        async with Command("cat", file).open() as running:
            async for batch in running.line_batches():
                for _ in batch:
                    pass

    return {"for line in stdout": stdlib, "aconcur": single, "aconcur, batches": batches}


def in_turn(_: Path, count: int) -> Case:
    async def stdlib() -> None:
        for _ in range(count):
            subprocess.run(["/bin/true"], capture_output=True, check=True)

    async def ours() -> None:
        for _ in range(count):
            await Command("/bin/true").run()

    async def own() -> None:
        for _ in range(count):
            await communicate(("/bin/true",), b"")

    async def anyios() -> None:
        for _ in range(count):
            await anyio.run_process(["/bin/true"])

    return {"subprocess.run": stdlib, "aconcur": ours, "loop's own": own, "anyio": anyios}


def at_once(_: Path, count: int) -> Case:
    async def ours() -> None:
        async with run_many([Command("/bin/true")] * count, limit=16) as outcomes:
            async for outcome in outcomes:
                outcome.result()

    return {
        "xargs -P16": lambda: shell(f"seq {count} | xargs -P16 -n1 /bin/true"),
        "aconcur": ours,
    }


def chapter(_: Path, count: int) -> Case:
    pipe = Command(*DES3) | Command("md5sum")
    inputs = [os.urandom(10) for _ in range(count)]

    async def ours() -> None:
        async with run_many(((pipe, data) for data in inputs), limit=8) as outcomes:
            async for outcome in outcomes:
                outcome.result()

    one = f"printf 0123456789 | {' '.join(DES3)} | md5sum"
    return {
        "xargs -P8": lambda: shell(f"seq {count} | xargs -P8 -n1 sh -c '{one}'"),
        "aconcur": ours,
    }


CASES: dict[str, tuple[str, Callable[[Path], Case], int]] = {
    "chain": ("256 MiB | openssl aes-ctr | md5sum", lambda f: chain(f, 256), 5),
    "feed": ("256 MiB into cat", lambda f: feed(f, 256), 5),
    "read64k": ("512 MiB read, written in 64 KiB", lambda f: read(f, 512, 1 << 16), 7),
    "read1m": ("512 MiB read, written in 1 MiB", lambda f: read(f, 512, 1 << 20), 7),
    "both-cat": ("128 MiB through cat and back", lambda f: both(f, 128, ("cat",)), 5),
    "both-openssl": ("128 MiB through openssl and back", lambda f: both(f, 128, OPENSSL), 5),
    "lines": ("500 000 lines of 64 bytes", lambda f: lines(f, 500_000), 5),
    "in-turn": ("200 × /bin/true, one after the other", lambda f: in_turn(f, 200), 7),
    "at-once": ("300 × /bin/true, 16 at a time", lambda f: at_once(f, 300), 7),
    "chapter": (
        "60 × (10 bytes | openssl des3 | md5sum), 8 at a time",
        lambda f: chapter(f, 60),
        5,
    ),
}


async def compare(case: Case, rounds: int) -> dict[str, list[float]]:
    """Return each version's ratios to the first one."""
    for version in case.values():
        await version()
    ratios: dict[str, list[float]] = {name: [] for name in case}
    for _ in range(rounds):
        base = 0.0
        for name, version in case.items():
            gc.collect()
            began = perf_counter()
            await version()
            took = perf_counter() - began
            base = base or took
            ratios[name].append(took / base)
    return ratios


async def lateness(count: int) -> list[float]:
    """Return by how many milliseconds a loop that starts commands wakes late, each millisecond."""
    late: list[float] = []
    command = Command("/bin/true")

    async def watch() -> None:
        while True:
            began = perf_counter()
            await anyio.sleep(0.001)
            late.append((perf_counter() - began - 0.001) * 1e3)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        async with run_many([command] * count, limit=16) as outcomes:
            async for outcome in outcomes:
                outcome.result()
        tasks.cancel_scope.cancel()
    return sorted(late)


def memory_growth() -> float:
    """Return by how many MiB feeding 256 MiB raises this process's peak."""
    data = bytes(256 * MIB)
    anyio.run(lambda: Command("cat").run(input=data[:MIB], output=DISCARD))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    anyio.run(lambda: Command("cat").run(input=data, output=DISCARD))
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    """Measure, and print a table a case."""
    global _backend
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join([*CASES, 'late', 'memory'])}")
    parser.add_argument("--backend", choices=("asyncio", "uvloop", "trio"), default="asyncio")
    chosen = parser.parse_args()
    _backend = chosen.backend
    options: dict[str, Any] = {"backend": "trio" if _backend == "trio" else "asyncio"}
    if _backend == "uvloop":
        options["backend_options"] = {"use_uvloop": True}
    for name in chosen.cases or [*CASES, "late", "memory"]:
        if name == "memory":
            print(f"256 MiB fed: +{memory_growth():.1f} MiB")
        elif name == "late":
            late = anyio.run(lateness, 300, **options)
            p99 = late[len(late) * 99 // 100]
            p50 = late[len(late) // 2]
            print(f"late, 300 × /bin/true, 16 at a time: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
        else:
            what, make, rounds = CASES[name]
            with tempfile.TemporaryDirectory() as folder:
                ratios = anyio.run(compare, make(Path(folder)), rounds, **options)
            print(f"{name}: {what} on {_backend}")
            for version, values in ratios.items():
                low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
                print(f"  {version:<20} {middle:6.2f}  ({low:.2f}–{high:.2f})", flush=True)


if __name__ == "__main__":
    main()
