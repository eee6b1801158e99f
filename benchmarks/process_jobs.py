"""The same jobs in several libraries: lines, and what a cancel and a kill leave behind.

``python -m benchmarks.process_jobs`` runs every job of every library that is installed, each in a
program of its own, checks what it prints, and prints the table of ``docs/commands.md``. A cell is
the number of lines, without imports, or a word for the fault. The last two rows count the
processes that live 1 s after the program's time limit of 0.3 s, or its death by SIGKILL.
"""

from __future__ import annotations

__all__ = ("JOBS", "LIBRARIES", "cell", "lines_of", "main")

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from typing import Final
from uuid import uuid4

from benchmarks.process_survivors import MARK, marked

FAMILY: Final = "sleep 60 & sleep 60"
"""Two processes: a shell and what it has left in the background."""

RUN: Final = {
    "aconcur": "import anyio\nfrom aconcur.process import Command\n{}\nanyio.run(main)",
    "asyncio": "import asyncio\nfrom asyncio.subprocess import PIPE\n{}\nasyncio.run(main())",
    "anyio": "import anyio, subprocess\n{}\nanyio.run(main)",
    "trio": "import trio, subprocess\n{}\ntrio.run(main)",
    "shellous": "import asyncio\nfrom shellous import sh\n{}\nasyncio.run(main())",
    "plumbum": "from plumbum import local\n{}",
    "sh": "import sh\n{}",
    "bash": "{}",
}
LIBRARIES: Final = tuple(RUN)

JOBS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "the output of a pipe": (
        "a\nb\n",
        {
            "aconcur": """
                async def main():
                    done = await (Command("printf", "b\\na\\n") | Command("sort")).run()
                    print(done.text(), end="")
            """,
            "shellous": """
                async def main():
                    print(await (sh("printf", "b\\na\\n") | sh("sort")), end="")
            """,
            "plumbum": """
                print((local["printf"]["b\\na\\n"] | local["sort"])(), end="")
            """,
            "sh": """
                print(sh.sort(_in=sh.printf("b\\na\\n", _piped=True)), end="")
            """,
            "bash": "printf 'b\\na\\n' | sort",
            "asyncio": """
                async def main():
                    first = await asyncio.create_subprocess_exec("printf", "b\\na\\n", stdout=PIPE)
                    second = await asyncio.create_subprocess_exec("sort", stdin=PIPE, stdout=PIPE)
                    out, _ = await second.communicate(await first.stdout.read())
                    await first.wait()
                    print(out.decode(), end="")
            """,
            "anyio": """
                async def main():
                    first = await anyio.run_process(["printf", "b\\na\\n"])
                    second = await anyio.run_process(["sort"], input=first.stdout)
                    print(second.stdout.decode(), end="")
            """,
            "trio": """
                async def main():
                    first = await trio.run_process(["printf", "b\\na\\n"], capture_stdout=True)
                    second = await trio.run_process(
                        ["sort"], stdin=first.stdout, capture_stdout=True)
                    print(second.stdout.decode(), end="")
            """,
        },
    ),
    "the third line of an endless program": (
        "3\n",
        {
            "aconcur": """
                async def main():
                    async with Command("seq", "inf").open() as running:
                        async for line in running.lines():
                            if line == b"3":
                                return print(line.decode())
            """,
            "shellous": """
                async def main():
                    async for line in sh("seq", "inf"):
                        if line == "3\\n":
                            print(line, end="")
                            break
            """,
            "bash": "seq inf | sed -n '3{p;q}'",
            "plumbum": """
                process = local["seq"]["inf"].popen()
                for line, _ in process.iter_lines():
                    if line.strip() == "3":
                        print(line.strip())
                        break
                process.kill()
            """,
            "sh": """
                seq = sh.seq("inf", _iter=True, _bg_exc=False)
                for line in seq:
                    if line == "3\\n":
                        print(line, end="")
                        seq.kill()
                        break
            """,
            "asyncio": """
                async def main():
                    process = await asyncio.create_subprocess_exec("seq", "inf", stdout=PIPE)
                    async for line in process.stdout:
                        if line == b"3\\n":
                            print(line.decode(), end="")
                            break
                    process.kill()
                    await process.wait()
            """,
            "anyio": """
                async def main():
                    from anyio.streams.buffered import BufferedByteReceiveStream
                    async with await anyio.open_process(["seq", "inf"]) as process:
                        stream = BufferedByteReceiveStream(process.stdout)
                        while (line := await stream.receive_until(b"\\n", 100)) != b"3":
                            pass
                        print(line.decode())
                        process.kill()
            """,
        },
    ),
    "a failure in the middle of a pipe": (
        "failed\n",
        {
            "aconcur": """
                from aconcur.process import CommandFailed
                async def main():
                    try:
                        await (Command("sh", "-c", "exit 3") | Command("cat")).run()
                    except CommandFailed:
                        print("failed")
            """,
            "shellous": """
                from shellous import ResultError
                async def main():
                    try:
                        await (sh("sh", "-c", "exit 3") | sh("cat"))
                    except ResultError:
                        print("failed")
            """,
            "plumbum": """
                from plumbum import ProcessExecutionError
                try:
                    (local["sh"]["-c", "exit 3"] | local["cat"])()
                except ProcessExecutionError:
                    print("failed")
            """,
            "sh": """
                try:
                    sh.cat(_in=sh.sh("-c", "exit 3", _piped=True))
                except sh.ErrorReturnCode:
                    print("failed")
            """,
            "bash": "set -o pipefail; sh -c 'exit 3' | cat || echo failed",
        },
    ),
}

LASTING: Final = {
    "aconcur": """
        async def main():
            await Command("sh", "-c", FAMILY).run(timeout=LIMIT)
    """,
    "asyncio": """
        async def main():
            async with asyncio.timeout(LIMIT):
                process = await asyncio.create_subprocess_exec("sh", "-c", FAMILY)
                await process.wait()
    """,
    "anyio": """
        async def main():
            with anyio.fail_after(LIMIT):
                await anyio.run_process(["sh", "-c", FAMILY], stdout=None, stderr=None)
    """,
    "trio": """
        async def main():
            with trio.fail_after(LIMIT):
                await trio.run_process(["sh", "-c", FAMILY])
    """,
    "shellous": """
        async def main():
            async with asyncio.timeout(LIMIT):
                await sh("sh", "-c", FAMILY)
    """,
    "plumbum": 'local["sh"]["-c", FAMILY].run(timeout=LIMIT)',
    "sh": 'sh.sh("-c", FAMILY, _timeout=LIMIT)',
    "bash": "timeout LIMIT sh -c FAMILY",
}


def program(library: str, code: str) -> list[str]:
    """Return the arguments of a program that does a job."""
    whole = RUN[library].format(dedent(code).strip())
    return ["bash", "-c", whole] if library == "bash" else [sys.executable, "-c", whole]


def lines_of(code: str) -> int:
    """Count the lines of a job, without imports and the line that opens ``main``."""
    lines = dedent(code).strip().splitlines()
    return sum(not line.strip().startswith(("import", "from", "async def main")) for line in lines)


def cell(library: str, codes: dict[str, str], wanted: str) -> str:
    """Do a job; return its number of lines, or a word for the fault."""
    if library not in codes:
        return "–"
    try:
        ran = subprocess.run(
            program(library, codes[library]),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    if "No module named" in ran.stderr:
        return "not installed"
    return str(lines_of(codes[library])) if ran.stdout == wanted else "wrong"


def survivors(library: str, *, kill: bool) -> str:
    """Run the family with a limit, or kill the program; return how many processes are left."""
    mark = uuid4().hex
    code = (
        LASTING[library].replace("FAMILY", repr(FAMILY)).replace("LIMIT", "60" if kill else "0.3")
    )
    with subprocess.Popen(
        program(library, code),
        env={**os.environ, MARK: mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            if kill:
                end = time.monotonic() + 20
                while marked(mark) < 3 and time.monotonic() < end:
                    time.sleep(0.02)
                time.sleep(0.1)
                process.send_signal(signal.SIGKILL)
            process.wait(20)
            time.sleep(1)
            return str(marked(mark))
        except subprocess.TimeoutExpired:
            return "hangs"
        finally:
            process.kill()
            for pid in pids_with(mark):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def pids_with(mark: str) -> list[int]:
    """Return the processes that carry the mark."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def main() -> None:
    """Print the table."""
    print(f"| | {' | '.join(LIBRARIES)} |")
    print(f"| --- |{' ---: |' * len(LIBRARIES)}")
    for name, (wanted, codes) in JOBS.items():
        print(
            f"| {name} | {' | '.join(cell(one, codes, wanted) for one in LIBRARIES)} |", flush=True
        )
    for name, kill in (("left by a time limit", False), ("left by a kill", True)):
        print(
            f"| {name} | {' | '.join(survivors(one, kill=kill) for one in LIBRARIES)} |", flush=True
        )


if __name__ == "__main__":
    main()
