"""Commands and pipes beside the shell and the other ways: ``python -m benchmarks.process``.

All versions of a case run in turn, round by round, on loops that are kept in threads: asyncio,
uvloop and trio side by side. Every figure is the median, and the quartiles, of the seconds, and of
the ratios of single rounds to the baseline of the same round. A ratio below 1 is faster.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeAlias

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from aconcur.compare.figures import number_text, p99
from aconcur.process import DISCARD, Command, run_many
from benchmarks.process_peers import Peers, fed, piped, read_lines, truths
from benchmarks.side_by_side import compare_costs

Version: TypeAlias = Callable[[], Awaitable[object]]

BACKENDS = ("asyncio", "uvloop", "trio")
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
    """Run a line in sh, waited for by a thread, so that the figure does not depend on the loop."""
    await anyio.to_thread.run_sync(lambda: subprocess.run(["sh", "-c", line], check=True, **QUIET))


def ours(version: Version) -> Peers:
    """Return ours, on each back-end."""
    return {f"aconcur, {backend}": (backend, version) for backend in BACKENDS}


def here(version: Version) -> tuple[str, Version]:
    """Return what has nothing to do with any loop."""
    return "asyncio", version


def chain(folder: Path, size: int) -> Peers:
    data = os.urandom(size * MIB)
    file = folder / "chain"
    file.write_bytes(data)
    pipe = Command(*OPENSSL) | Command("md5sum")
    line = f"cat {file} | {' '.join(OPENSSL)} | md5sum"
    return {
        "shell": here(lambda: shell(line)),
        **ours(lambda: pipe.run(input=data)),
        "aconcur, a file": here(lambda: pipe.run(input=file)),
        **piped(OPENSSL, ("md5sum",), data),
    }


def feed(folder: Path, size: int) -> Peers:
    data = bytes(size * MIB)
    file = folder / "feed"
    file.write_bytes(data)
    return {
        "shell": here(lambda: shell(f"cat {file} | cat > /dev/null")),
        **ours(lambda: Command("cat").run(input=data, output=DISCARD)),
        **fed(("cat",), data),
    }


def read(folder: Path, size: int, block: int) -> Peers:
    argv = ("dd", "if=/dev/zero", f"bs={block}", f"count={size * MIB // block}", "status=none")
    sink = folder / "sink"
    sink.with_suffix(".c").write_text(SINK)
    subprocess.run(["cc", "-O2", "-w", "-o", sink, sink.with_suffix(".c")], check=True)

    async def chunks() -> None:
        async with Command(*argv).open() as running:
            async for _ in running.chunks():
                pass

    async def theirs() -> None:
        async with await anyio.open_process(list(argv)) as process:
            assert process.stdout is not None
            async for _ in process.stdout:
                pass

    return {
        "C, 1 MiB pipe": here(lambda: shell(f"{sink} {' '.join(argv)}")),
        **ours(chunks),
        "aconcur, run": here(lambda: Command(*argv).run(output=len)),
        "anyio": here(theirs),
        "anyio, trio": ("trio", theirs),
    }


def both(folder: Path, size: int, argv: tuple[str, ...]) -> Peers:
    data = bytes(size * MIB)
    file = folder / "both"
    file.write_bytes(data)
    line = " ".join(argv)

    async def chunks() -> None:
        async with Command(*argv).open(input=data) as running:
            async for _ in running.chunks():
                pass

    return {
        "shell": here(lambda: shell(f"cat {file} | {line} | cat > /dev/null")),
        **ours(lambda: Command(*argv).run(input=data, output=len)),
        "aconcur, open": here(chunks),
        "aconcur, captured": here(lambda: Command(*argv).run(input=data)),
        "anyio": here(lambda: anyio.run_process(list(argv), input=data)),
        "anyio, trio": ("trio", lambda: anyio.run_process(list(argv), input=data)),
    }


def lines(folder: Path, count: int) -> Peers:
    file = folder / "lines"
    file.write_bytes((b"x" * 63 + b"\n") * count)

    async def stdlib() -> None:
        with subprocess.Popen(["cat", file], stdout=subprocess.PIPE) as child:  # noqa: ASYNC220
            assert child.stdout is not None
            for _ in child.stdout:
                pass

    async def single() -> None:
        async with Command("cat", file).open() as running:
            async for _ in running.lines():
                pass

    async def batches() -> None:
        async with Command("cat", file).open() as running:
            async for batch in running.line_batches():
                for _ in batch:
                    pass

    return {
        "for line in stdout": here(stdlib),
        **ours(single),
        "aconcur, batches": here(batches),
        **read_lines(file),
    }


def in_turn(_: Path, count: int) -> Peers:
    async def stdlib() -> None:
        for _ in range(count):
            subprocess.run(["/bin/true"], capture_output=True, check=True)

    async def run() -> None:
        for _ in range(count):
            await Command("/bin/true").run()

    return {"subprocess.run": here(stdlib), **ours(run), **truths(count)}


def at_once(_: Path, count: int) -> Peers:
    async def run() -> None:
        async with run_many([Command("/bin/true")] * count, limit=16) as outcomes:
            async for outcome in outcomes:
                outcome.result()

    return {
        "xargs -P16": here(lambda: shell(f"seq {count} | xargs -P16 -n1 /bin/true")),
        **ours(run),
    }


def chapter(_: Path, count: int) -> Peers:
    pipe = Command(*DES3) | Command("md5sum")
    inputs = [os.urandom(10) for _ in range(count)]

    async def run() -> None:
        async with run_many(((pipe, data) for data in inputs), limit=8) as outcomes:
            async for outcome in outcomes:
                outcome.result()

    one = f"printf 0123456789 | {' '.join(DES3)} | md5sum"
    return {
        "xargs -P8": here(lambda: shell(f"seq {count} | xargs -P8 -n1 sh -c '{one}'")),
        **ours(run),
    }


def large_parent(_: Path, count: int) -> Peers:
    ballast = bytearray(b"x") * (2 << 30)

    async def run() -> None:
        for _ in range(count):
            await Command("/bin/true").run()
        assert ballast

    theirs = {name: peer for name, peer in truths(count).items() if name == "uvloop"}
    return {"aconcur, uvloop": ("uvloop", run), **theirs}


CASES: dict[str, tuple[str, Callable[[Path], Peers], int]] = {
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
    "large": ("100 × /bin/true beside 2 GiB of memory", lambda f: large_parent(f, 100), 3),
}


@contextmanager
def portals() -> Iterator[dict[str, BlockingPortal]]:
    """Keep a loop of each back-end in a thread."""
    with ExitStack() as stack:
        found = {}
        for name in BACKENDS:
            options = {"use_uvloop": True} if name == "uvloop" else {}
            backend = "trio" if name == "trio" else "asyncio"
            found[name] = stack.enter_context(start_blocking_portal(backend, options))
        yield found


def timed(portal: BlockingPortal, version: Version) -> Callable[[], float]:
    """Return what runs the version once and tells its seconds, less those of the portal."""

    async def work() -> float:
        began = perf_counter()
        await version()
        return perf_counter() - began

    return lambda: portal.call(work)


def measure(case: str, loops: dict[str, BlockingPortal], rounds: int | None) -> None:
    """Run every version of a case, and print the table."""
    what, make, usual = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        versions = {
            name: timed(loops[backend], version)
            for name, (backend, version) in make(Path(folder)).items()
        }
        for version in versions.values():
            with suppress(Exception):  # told in the rounds
                version()
        compare_costs(f"{case}: {what}", versions, unit="s", rounds=rounds or usual)


async def lateness(count: int) -> str:
    """Tell how late a loop that starts so many commands wakes, if it means to each millisecond."""
    late: list[float] = []
    command = Command("/bin/true")

    async def watch() -> None:
        while True:
            began = perf_counter()
            await anyio.sleep(0.001)
            late.append((perf_counter() - began - 0.001) * 1e3)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        if count:
            async with run_many([command] * count, limit=16) as outcomes:
                async for outcome in outcomes:
                    outcome.result()
        else:
            await anyio.sleep(0.5)
        tasks.cancel_scope.cancel()
    return f"p50 {median(late):.2f} ms, p99 {number_text(p99(late))} ms of {len(late)} wake-ups"


def memory_growth() -> float:
    """Return by how many MiB feeding 256 MiB raises this process's peak."""
    data = bytes(256 * MIB)
    anyio.run(lambda: Command("cat").run(input=data[:MIB], output=DISCARD))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    anyio.run(lambda: Command("cat").run(input=data, output=DISCARD))
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    """Measure, and print a table a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join([*CASES, 'late', 'memory'])}")
    parser.add_argument("--rounds", type=int, help="of each case, at least 2")
    chosen = parser.parse_args()
    cases = chosen.cases or ["memory", *CASES, "late"]
    if "memory" in cases:  # before anything else has raised the peak
        print(f"memory: 256 MiB fed, +{memory_growth():.1f} MiB")
        cases.remove("memory")
    with portals() as loops:
        for case in cases:
            if case == "late":
                print("\nlate: 300 × /bin/true, 16 at a time; in brackets nothing is started")
                for name, loop in loops.items():
                    with_many, idle = loop.call(lateness, 300), loop.call(lateness, 0)
                    print(f"  {name:<10} {with_many} ({idle})", flush=True)
            else:
                measure(case, loops, chosen.rounds)


if __name__ == "__main__":
    main()
