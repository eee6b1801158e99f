"""Commands with asyncio, in one thread.

Laws:
1. A child belongs to an `async with` block, which kills and
   reaps it: on an error, and on cancellation too.
2. No child outlives the call that started it.
3. Only children hold the pipe between two children.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Sequence,
)
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    suppress,
)
from io import FileIO
from time import perf_counter
from typing import Any, Final, TypeAlias, TypeVar

from aconcur.lessons.alone import alone
from aconcur.lessons.item36_subprocess.work import (
    ECHO,
    KIB,
    LIMIT,
    OPENSSL,
    SLEEP,
    check,
    environment,
    many_inputs,
    md5_argv,
    parse_digest,
)
from aconcur.lessons.to_the_end import to_the_end

T = TypeVar("T")
Option: TypeAlias = Any  # any of Popen's
Started: TypeAlias = AbstractAsyncContextManager[Process]

CHUNK: Final = 64 * KIB  # what a pipe of Linux holds


async def end(child: Process) -> None:
    """Kill the child if it runs, and reap it."""
    if child.returncode is None:
        # Before 3.13 child.kill() polls: it may take the
        # status from the loop, which then makes one up.
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    # wait() alone hangs on a pipe that is full and unread.
    reaping = asyncio.ensure_future(child.communicate())
    try:
        await to_the_end(reaping)
    finally:
        # When main() fails, asyncio.run cancels all tasks
        # that are left: this one too.
        if reaping.cancelled():
            await end(child)


@asynccontextmanager
async def start(
    argv: Sequence[str], **options: Option
) -> AsyncIterator[Process]:
    """Start a child that cannot outlive the block.

    Cancellation reaches neither step: a child half started
    has no owner yet, one half ended leaves open files. What
    the child started itself lives on, and delays the end as
    long as it keeps the child's output open.

    One case asyncio itself cannot end: all tasks of the
    loop are cancelled while it connects a child's pipes,
    in a task that only it knows. The child is killed, but
    `create_subprocess_exec` waits for ever.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(*argv, **options)
    )
    try:
        yield await to_the_end(starting)
    finally:
        if starting.exception() is None:
            await end(starting.result())


async def feed(child: Process, data: bytes) -> None:
    """Write the data, a chunk at a time, and close.

    `communicate(data)` would first copy what the pipe does
    not hold. A child that stops reading does not make an
    error here: its status decides.
    """
    assert child.stdin is not None
    view = memoryview(data)
    with suppress(BrokenPipeError, ConnectionResetError):
        for at in range(0, len(view), CHUNK):
            if child.stdin.is_closing():
                return  # uvloop would call it an error
            child.stdin.write(view[at : at + CHUNK])
            await child.stdin.drain()
    child.stdin.close()


async def read(child: Process) -> bytes:
    """Read all that the child says."""
    assert child.stdout is not None
    return await child.stdout.read()


async def at_once(
    function: Callable[[bytes], Awaitable[T]],
    inputs: Sequence[bytes],
    limit: int,
) -> list[T]:
    """Await the function of all inputs, in tasks."""
    places = asyncio.Semaphore(limit)

    async def one(data: bytes) -> T:
        async with places:
            return await function(data)

    try:
        async with asyncio.TaskGroup() as group:
            each = [
                group.create_task(one(data))
                for data in inputs
            ]
    except ExceptionGroup as errors:
        failure = errors.exceptions[0]
    else:
        return [task.result() for task in each]
    raise failure


async def finish(
    argv: Sequence[str], child: Process
) -> None:
    """Wait for the child, which must succeed."""
    check(argv, await child.wait())


@asynccontextmanager
async def pipe() -> AsyncIterator[tuple[FileIO, FileIO]]:
    """Open a pipe: an end to read and an end to write."""
    reading, writing = os.pipe()
    with (
        FileIO(reading, "r") as source,
        FileIO(writing, "w") as sink,
    ):
        yield source, sink


async def echo() -> str:
    """Return what the echo child says."""
    async with start(ECHO, stdout=PIPE) as child:
        out = await read(child)
        await finish(ECHO, child)
    return out.decode()


def run_openssl(output: int | FileIO) -> Started:
    """Start a child that encrypts."""
    return start(
        OPENSSL,
        env=environment(),
        stdin=PIPE,
        stdout=output,
    )


def run_md5(input_stdin: FileIO) -> Started:
    """Start a child that hashes another child's output."""
    return start(md5_argv(), stdin=input_stdin, stdout=PIPE)


async def encrypt(data: bytes) -> bytes:
    """Encrypt: feed and read at once."""
    async with run_openssl(PIPE) as openssl:
        async with asyncio.TaskGroup() as both:
            both.create_task(feed(openssl, data))
            out = both.create_task(read(openssl))
        await finish(OPENSSL, openssl)
    return out.result()


async def digest(data: bytes) -> str:
    """Encrypt and hash, by a pipe."""
    # On the way out openssl ends first:
    # did md5, openssl would complain on
    # stderr about a broken pipe.
    async with (
        pipe() as (source, sink),
        run_md5(source) as md5,
        run_openssl(sink) as openssl,
    ):
        source.close()
        sink.close()
        await feed(openssl, data)
        out = await read(md5)
        await finish(md5_argv(), md5)
        await finish(OPENSSL, openssl)
    return parse_digest(out)


async def encrypt_all(
    inputs: Sequence[bytes],
) -> list[bytes]:
    """Encrypt every input, all children at once, in order.

    For a few inputs: each costs a child.

    **Cancelled**: every child has been killed and reaped.

    Raises:
        subprocess.CalledProcessError: openssl failed.
        FileNotFoundError: there is no openssl.
    """
    return await at_once(encrypt, inputs, limit=len(inputs))


async def digest_all(inputs: Sequence[bytes]) -> list[str]:
    """Return the MD5 of each input's cipher text, in order.

    LIMIT inputs are in work at a time. One failure ends all
    and leaves no child.

    **Cancelled**: every child has been killed and reaped.

    Raises:
        subprocess.CalledProcessError: a command failed.
        FileNotFoundError: a command is not there.
    """
    return await at_once(digest, inputs, LIMIT)


async def finish_within(
    argv: Sequence[str], seconds: float
) -> int | None:
    """Return the command's status, or None if too slow.

    One that is too slow has been killed and reaped; what it
    started itself has not.

    **Cancelled**: the command has been killed and reaped.
    """
    async with start(
        argv, stdin=DEVNULL, stdout=DEVNULL
    ) as child:
        try:
            async with asyncio.timeout(seconds):
                return await child.wait()
        except TimeoutError:
            return None


async def main(size: int) -> None:
    """Show what the commands give."""
    print(await echo(), end="")
    secrets = [os.urandom(10) for _ in range(3)]
    for out in await encrypt_all(secrets):
        print(
            f"10 random bytes | openssl: {out.hex(' ', 4)}"
        )
    with many_inputs(size, seed=0) as (inputs,):
        began = perf_counter()
        digests = await digest_all(inputs)
        took = perf_counter() - began
        [out] = await encrypt_all(inputs[:1])
    print(
        f"{size} × 64 KiB | openssl | md5sum: {took:.2f} s"
    )
    print(f"the first: {digests[0]}")
    print(f"hashlib:   {hashlib.md5(out).hexdigest()}")
    slow = await finish_within(SLEEP, 0.2)
    print(f"sleep 60, given 0.2 s: {slow} (killed)")


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=32, unit="inputs"
    ) as size:
        asyncio.run(main(size))
