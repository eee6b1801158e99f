"""Commands with `subprocess.Popen`, a thread an input.

Laws:
1. A child belongs to the thread that started it. That one
   feeds it, reads it, reaps it; others may only kill it.
2. No child outlives the call that started it.
3. Only children hold the pipe between two children.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import (
    FIRST_EXCEPTION,
    Future,
    ThreadPoolExecutor,
    wait,
)
from subprocess import (
    DEVNULL,
    PIPE,
    Popen,
    TimeoutExpired,
)
from threading import Lock
from time import perf_counter
from types import TracebackType
from typing import IO, Any, Final, TypeAlias, TypeVar
from weakref import WeakSet

from aconcur.lessons.alone import alone
from aconcur.lessons.item36_subprocess.work import (
    ECHO,
    LIMIT,
    OPENSSL,
    SLEEP,
    check,
    environment,
    many_inputs,
    md5_argv,
    parse_digest,
)

T = TypeVar("T")
Option: TypeAlias = Any  # any of Popen's
Start: TypeAlias = Callable[..., "Child"]

WAKE: Final = 0.1  # seconds: how late Ctrl-C may be


class Child(Popen[bytes]):
    """A child that cannot outlive its `with` block.

    Popen's own block waits for it, for ever if need be.
    This one kills what still runs, and then waits. What the
    child started itself lives on, and delays the end as
    long as it keeps the child's output open.
    """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()  # leaves one that has ended alone
        super().__exit__(kind, error, trace)


class Children:
    """What many threads start and one thread can kill."""

    def __init__(self) -> None:
        self.lock = Lock()
        # Weak, so that a child whose thread is done with it
        # drops out.
        self.started: WeakSet[Child] = WeakSet()
        self.killed = False

    def start(
        self, argv: Sequence[str], **options: Option
    ) -> Child:
        """Start a child; if it comes too late, kill it."""
        child = Child(argv, **options)
        with self.lock:
            self.started.add(child)
            if self.killed:
                child.kill()
        return child

    def kill(self) -> None:
        """Kill all children, also those still to come."""
        with self.lock:
            self.killed = True
            for child in self.started:
                child.kill()


def at_once(
    function: Callable[[Start, bytes], T],
    inputs: Sequence[bytes],
    limit: int,
) -> list[T]:
    """Call the function on all inputs, in threads."""
    children = Children()
    with ThreadPoolExecutor(max(1, limit)) as pool:
        try:
            each = [
                pool.submit(function, children.start, data)
                for data in inputs
            ]
            join(each)
            return [future.result() for future in each]
        finally:
            # Nothing stops a thread from outside. It ends
            # when its children do.
            pool.shutdown(wait=False, cancel_futures=True)
            children.kill()


def join(each: Iterable[Future[T]]) -> None:
    """Wait for all futures, or raise what fails first."""
    pending = set(each)
    while pending:
        # Ctrl-C may reach the thread of a child, and this
        # one hears of it only when it wakes.
        done, pending = wait(pending, WAKE, FIRST_EXCEPTION)
        for future in done:
            future.result()


def finish(argv: Sequence[str], child: Child) -> None:
    """Wait for the child, which must succeed."""
    check(argv, child.wait())


def echo() -> str:
    """Return what the echo child says."""
    with Child(ECHO, stdout=PIPE) as child:
        out, _ = child.communicate()
        finish(ECHO, child)
    return out.decode()


def run_openssl(start: Start) -> Child:
    """Start a child that encrypts."""
    return start(
        OPENSSL,
        env=environment(),
        stdin=PIPE,
        stdout=PIPE,
    )


def run_md5(
    start: Start, input_stdin: IO[bytes] | None
) -> Child:
    """Start a child that hashes another child's output.

    Our copy of the pipe's end is closed: were it open, the
    other child could not learn that this one is gone.
    """
    assert input_stdin is not None
    with input_stdin:
        return start(
            md5_argv(), stdin=input_stdin, stdout=PIPE
        )


def encrypt(start: Start, data: bytes) -> bytes:
    """Encrypt: feed and read at once."""
    with run_openssl(start) as openssl:
        out, _ = openssl.communicate(data)
        finish(OPENSSL, openssl)
    return out


def digest(start: Start, data: bytes) -> str:
    """Encrypt and hash, joined by a pipe."""
    with (
        run_openssl(start) as openssl,
        run_md5(start, openssl.stdout) as md5,
    ):
        openssl.stdout = None  # it is md5's
        openssl.communicate(data)
        out, _ = md5.communicate()
        finish(md5_argv(), md5)
        finish(OPENSSL, openssl)
    return parse_digest(out)


def encrypt_all(inputs: Sequence[bytes]) -> list[bytes]:
    """Encrypt every input, all children at once, in order.

    For a few inputs: each costs a child and a thread.

    Raises:
        subprocess.CalledProcessError: openssl failed.
        FileNotFoundError: there is no openssl.
    """
    return at_once(encrypt, inputs, limit=len(inputs))


def digest_all(inputs: Sequence[bytes]) -> list[str]:
    """Return the MD5 of each input's cipher text, in order.

    LIMIT inputs are in work at a time. One failure ends all
    and leaves no child.

    Raises:
        subprocess.CalledProcessError: a command failed.
        FileNotFoundError: a command is not there.
    """
    return at_once(digest, inputs, LIMIT)


def digest_one_by_one(
    inputs: Sequence[bytes],
) -> list[str]:
    """Return the same, one chain of commands after another.

    Raises:
        subprocess.CalledProcessError: a command failed.
        FileNotFoundError: a command is not there.
    """
    return at_once(digest, inputs, 1)


def finish_within(
    argv: Sequence[str], seconds: float
) -> int | None:
    """Return the command's status, or None if too slow.

    One that is too slow has been killed and reaped; what it
    started itself has not.
    """
    with Child(
        argv, stdin=DEVNULL, stdout=DEVNULL
    ) as child:
        try:
            return child.wait(seconds)
        except TimeoutExpired:
            return None


def main(size: int) -> None:
    """Show what the commands give."""
    print(echo(), end="")
    secrets = [os.urandom(10) for _ in range(3)]
    for out in encrypt_all(secrets):
        print(
            f"10 random bytes | openssl: {out.hex(' ', 4)}"
        )
    with many_inputs(size, seed=0) as (inputs,):
        began = perf_counter()
        digests = digest_all(inputs)
        took = perf_counter() - began
        [out] = encrypt_all(inputs[:1])
    print(
        f"{size} × 64 KiB | openssl | md5sum: {took:.2f} s"
    )
    print(f"the first: {digests[0]}")
    print(f"hashlib:   {hashlib.md5(out).hexdigest()}")
    slow = finish_within(SLEEP, 0.2)
    print(f"sleep 60, given 0.2 s: {slow} (killed)")


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=32, unit="inputs"
    ) as size:
        main(size)
