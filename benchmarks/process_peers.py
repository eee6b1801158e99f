"""The other ways to run commands: each does what ``Command.run`` does in ``benchmarks.process``.

Peers that are not installed are left out.
"""

from __future__ import annotations

__all__ = ("fed", "piped", "read_lines", "truths")

import asyncio
import shlex
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import anyio

Argv: TypeAlias = Sequence[str]
Peer: TypeAlias = Callable[[], Awaitable[object]]
Peers: TypeAlias = dict[str, tuple[str, Peer]]
"""By name: the back-end, and what to await there."""

_NOWHERE: dict[str, Any] = {"stdout": subprocess.DEVNULL}


def piped(first: Argv, second: Argv, data: bytes) -> Peers:
    """Return what sends bytes through a pipe of two and captures its output."""
    line = f"{shlex.join(first)} | {shlex.join(second)}"

    async def blocking() -> None:
        subprocess.run(line, shell=True, input=data, capture_output=True, check=True)

    async def own() -> None:
        await _communicate(("sh", "-c", line), data, stdout=subprocess.PIPE)

    async def trio_own() -> None:
        await import_module("trio").run_process(
            line, shell=True, stdin=data, capture_stdout=True, capture_stderr=True
        )

    async def through_anyio() -> None:
        await anyio.run_process(line, input=data)

    async def shellous() -> None:
        sh = import_module("shellous").sh
        await (sh(*first).stdin(data) | sh(*second))

    async def plumbum() -> None:
        local = import_module("plumbum").local
        chain = local[first[0]][first[1:]] | local[second[0]][second[1:]]
        (chain << data)()

    async def amoffat() -> None:
        sh = import_module("sh")
        fed = sh.Command(first[0])(*first[1:], _in=data, _piped=True)
        sh.Command(second[0])(*second[1:], _in=fed)

    return _installed(
        {
            "subprocess": ("asyncio", blocking),
            "asyncio": ("asyncio", own),
            "uvloop": ("uvloop", own),
            "trio": ("trio", trio_own),
            "anyio": ("asyncio", through_anyio),
            "shellous": ("asyncio", shellous),
            "plumbum": ("asyncio", plumbum),
            "sh": ("asyncio", amoffat),
        }
    )


def fed(argv: Argv, data: bytes) -> Peers:
    """Return functions that feed bytes to a command and discard its output."""

    async def own() -> None:
        await _communicate(argv, data, **_NOWHERE)

    async def trio_own() -> None:
        await import_module("trio").run_process(list(argv), stdin=data, **_NOWHERE)

    async def through_anyio() -> None:
        await anyio.run_process(list(argv), input=data, **_NOWHERE)

    async def shellous() -> None:
        sh = import_module("shellous").sh
        await sh(*argv).stdin(data).stdout(sh.DEVNULL)

    async def plumbum() -> None:
        command = import_module("plumbum").local[argv[0]][argv[1:]]
        ((command > "/dev/null") << data)()

    return _installed(
        {
            "asyncio": ("asyncio", own),
            "uvloop": ("uvloop", own),
            "trio": ("trio", trio_own),
            "anyio": ("asyncio", through_anyio),
            "shellous": ("asyncio", shellous),
            "plumbum": ("asyncio", plumbum),
        }
    )


def truths(count: int) -> Peers:
    """Return what runs a program that does nothing, again and again, and captures its output."""
    true = ["/bin/true"]

    async def own() -> None:
        for _ in range(count):
            await _communicate(true, b"", stdout=subprocess.PIPE)

    async def trio_own() -> None:
        for _ in range(count):
            await import_module("trio").run_process(true, capture_stdout=True, capture_stderr=True)

    async def through_anyio() -> None:
        for _ in range(count):
            await anyio.run_process(true)

    async def shellous() -> None:
        sh = import_module("shellous").sh
        for _ in range(count):
            await sh(*true)

    async def plumbum() -> None:
        command = import_module("plumbum").local[true[0]]
        for _ in range(count):
            command()

    async def amoffat() -> None:
        command = import_module("sh").Command(true[0])
        for _ in range(count):
            command()

    return _installed(
        {
            "asyncio": ("asyncio", own),
            "uvloop": ("uvloop", own),
            "trio": ("trio", trio_own),
            "anyio": ("asyncio", through_anyio),
            "shellous": ("asyncio", shellous),
            "plumbum": ("asyncio", plumbum),
            "sh": ("asyncio", amoffat),
        }
    )


def read_lines(file: Path) -> Peers:
    """Return what reads the lines that ``cat`` prints."""

    async def own() -> None:
        child = await asyncio.create_subprocess_exec("cat", file, stdout=subprocess.PIPE)
        assert child.stdout is not None
        async for _ in child.stdout:
            pass
        await child.wait()

    async def shellous() -> None:
        async for _ in import_module("shellous").sh("cat", str(file)):
            pass

    return _installed(
        {"asyncio": ("asyncio", own), "uvloop": ("uvloop", own), "shellous": ("asyncio", shellous)}
    )


async def _communicate(argv: Argv, data: bytes, *, stdout: int) -> None:
    stdin = subprocess.PIPE if data else subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(
        *argv, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE
    )
    await child.communicate(data or None)


def _installed(peers: Peers) -> Peers:
    return {name: peer for name, peer in peers.items() if _can_import(name)}


def _can_import(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    return True
