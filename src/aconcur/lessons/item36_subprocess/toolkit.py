"""The same calls on `aconcur.process`.

Whatever happens, a run leaves nothing: no child, no file,
and no process that a child has started itself. That runs on
asyncio and trio alike.
"""

from __future__ import annotations

__all__ = (
    "digest_all",
    "echo",
    "encrypt_all",
    "finish_within",
)

import hashlib
import os
from collections.abc import Sequence
from time import perf_counter

import anyio

from aconcur.lessons.alone import alone
from aconcur.lessons.item36_subprocess.work import (
    ECHO,
    LIMIT,
    OPENSSL,
    PASSWORD,
    SLEEP,
    check,
    many_inputs,
    md5_argv,
    parse_digest,
)
from aconcur.process import (
    Command,
    CommandTimeout,
    Completed,
    Runnable,
    Secret,
    run_many,
)


def openssl() -> Command:
    """Return the command that encrypts: a value."""
    return Command(
        *OPENSSL, env={"password": Secret(PASSWORD)}
    )


def output(done: Completed) -> bytes:
    """Return the output if all commands ended well.

    By itself a run lets a command end by SIGPIPE, as when
    `head` has had enough. A hash of a part would be wrong.
    """
    for stage in reversed(done.stages):
        check(stage.args, stage.returncode)
    return done.stdout


async def at_once(
    command: Runnable, inputs: Sequence[bytes], limit: int
) -> list[bytes]:
    """Run the command on all inputs.

    Outcomes are taken as they come: in order, a failure
    would wait for slower ones before it.
    """
    async with run_many(
        ((command, data) for data in inputs),
        limit=limit,
        check=False,
        grace=0.5,
    ) as outcomes:
        found = {
            outcome.index: output(outcome.result())
            async for outcome in outcomes
        }
    return [found[index] for index in range(len(inputs))]


async def echo() -> str:
    """Return what the echo child says."""
    return (await Command(*ECHO).run()).text()


async def encrypt_all(
    inputs: Sequence[bytes],
) -> list[bytes]:
    """Encrypt every input, all children at once, in order.

    For a few inputs: each costs a child.

    **Cancelled**: every child has been ended and reaped.

    Raises:
        subprocess.CalledProcessError: openssl failed.
        FileNotFoundError: there is no openssl.
    """
    return await at_once(
        openssl(), inputs, limit=len(inputs) or 1
    )


async def digest_all(inputs: Sequence[bytes]) -> list[str]:
    """Return the MD5 of each input's cipher text, in order.

    LIMIT inputs are in work at a time. One failure ends all
    and leaves no child.

    **Cancelled**: every child has been ended and reaped.

    Raises:
        subprocess.CalledProcessError: a command failed.
        FileNotFoundError: a command is not there.
    """
    chain = openssl() | Command(*md5_argv())
    lines = await at_once(chain, inputs, LIMIT)
    return [parse_digest(line) for line in lines]


async def finish_within(
    argv: Sequence[str], seconds: float
) -> int | None:
    """Return the command's status, or None if too slow.

    One that is too slow has been ended and reaped, and all
    that it started.

    **Cancelled**: as if it were too slow.
    """
    try:
        done = await Command(*argv).run(
            check=False, timeout=seconds, grace=0.5
        )
    except CommandTimeout:
        return None
    return done.returncodes[0]


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
        anyio.run(main, size)
