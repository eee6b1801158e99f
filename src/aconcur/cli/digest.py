"""``aconcur digest``: the digest of each file's cipher text, many files at once."""

from __future__ import annotations

__all__ = ("run",)

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import anyio

from aconcur.cli.command import UsageError
from aconcur.errors import AconcurError
from aconcur.process import (
    Command,
    CommandFailed,
    CommandNotFound,
    Outcome,
    Runnable,
    Secret,
    run_many,
)

# The name that openssl finds the password by; it is in no other program's environment.
_VARIABLE: Final = "ACONCUR_DIGEST_PASSWORD"
_LEGACY: Final = (
    "--book is the chapter's des3 and md5: an exercise, not advice. "
    "Leave it out for aes-256-ctr and sha256."
)


class NotAllDigestedError(AconcurError):
    """Raised when some files could not be digested: each has been named on stderr."""

    def __init__(self, failed: int, total: int) -> None:
        super().__init__(f"{failed} of {total} files could not be digested: see the lines above")


def run(chosen: argparse.Namespace) -> None:
    """Obey the command line."""
    if chosen.jobs is not None and chosen.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {chosen.jobs}")
    if chosen.book and (chosen.cipher or chosen.digest):
        raise UsageError("--book says cipher and digest by itself: give neither")
    if chosen.book:
        print(f"aconcur: {_LEGACY}", file=sys.stderr)
    chain = _chain(
        chosen.cipher or ("des3" if chosen.book else "aes-256-ctr"),
        chosen.digest or ("md5" if chosen.book else "sha256"),
        chosen.salt,
        _password(chosen),
    )
    failed = anyio.run(_digest_all, chain, chosen.files, chosen.jobs)
    if failed:
        raise NotAllDigestedError(failed, len(chosen.files))


def _password(chosen: argparse.Namespace) -> Secret:
    if chosen.password_file is not None:
        lines = Path(chosen.password_file).read_bytes().splitlines()
        if not lines or not lines[0]:
            raise UsageError(f"--password-file {chosen.password_file} has no first line")
        return Secret(lines[0])
    try:
        return Secret(os.environb[os.fsencode(chosen.password_env)])
    except KeyError:
        raise UsageError(
            f"there is no password: set the variable {chosen.password_env}, name another one with "
            "--password-env, or use --password-file"
        ) from None


def _chain(cipher: str, digest: str, salt: str, password: Secret) -> Runnable:
    encrypt = Command(
        *("openssl", "enc", f"-{cipher}", "-pbkdf2", "-S", salt, "-pass", f"env:{_VARIABLE}"),
        env={_VARIABLE: password},
    )
    return encrypt | Command("openssl", "dgst", f"-{digest}", "-r")


async def _digest_all(chain: Runnable, files: Sequence[str], jobs: int | None) -> int:
    """Print a line for each file, in their order; return how many had none."""
    failed = 0
    async with run_many(
        ((chain, Path(file)) for file in files), limit=jobs, ordered=True
    ) as outcomes:
        async for outcome in outcomes:
            _show_progress(outcome.index, len(files))
            file = files[outcome.index]
            if outcome.error is not None:
                print(f"aconcur: {file}: {_reason(outcome)}", file=sys.stderr)
                failed += 1
            else:
                print(_line(outcome.result().text().split()[0], file))
    _show_progress(len(files), len(files))
    return failed


def _reason(outcome: Outcome) -> str:
    error = outcome.error
    if isinstance(error, CommandNotFound):
        raise error
    if isinstance(error, CommandFailed):
        return str(error)
    if isinstance(error, OSError):
        return error.strerror or str(error)
    assert error is not None
    raise error


def _line(digest: str, file: str) -> str:
    """Return a line as md5sum prints it: a name that would break it is escaped, and marked so."""
    escaped = file.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == file else chr(92)}{digest}  {escaped}"


def _show_progress(done: int, total: int) -> None:
    """Draw a line that moves, and wipe it before anything else is printed."""
    if sys.stderr.isatty():
        text = f"{done}/{total} files" if done < total else ""
        print(f"\r\x1b[K{text}\r", end="", file=sys.stderr, flush=True)
    elif done == total:
        print(f"{total} files", file=sys.stderr)
