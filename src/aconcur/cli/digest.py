"""``aconcur digest``: the digest of each file's cipher text, many files at once."""

from __future__ import annotations

__all__ = ("add_arguments", "run")

import argparse
import errno
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, final

import aconcur
from aconcur.cli.command_line import UsageError
from aconcur.cli.output import StatusLine
from aconcur.errors import AconcurError
from aconcur.process import (
    Command,
    CommandFailed,
    CommandNotFound,
    CommandStartError,
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Send each file through openssl enc and then through openssl dgst, several files at a "
        "time, and print lines like those of md5sum, in the order of the files. The cipher text "
        "is not kept; its digest depends on the password."
    )
    parser.epilog = "A file that cannot be read is named on stderr; the exit code is then 1."
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="the files to digest")
    add("--cipher", metavar="NAME", help="one of openssl enc -list (default: aes-256-ctr)")
    digests = ("md5", "sha1", "sha256", "sha384", "sha512", "blake2b512")
    add("--digest", choices=digests, help="default: sha256")
    add("--book", action="store_true", help="the chapter's des3 and md5: an exercise, not advice")
    add("--salt", default="7468652073616c74", metavar="HEX", help="default: a fixed salt")
    add("--jobs", type=int, metavar="N", help="files at a time (default: two per core)")
    secret = parser.add_mutually_exclusive_group()
    add = secret.add_argument
    name = "ACONCUR_PASSWORD"
    add("--password-env", default=name, metavar="NAME", help=f"variable (default: {name})")
    add("--password-file", metavar="FILE", help="a file whose first line is the password")


def run(chosen: argparse.Namespace) -> None:
    """Run the command."""
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
    failed = aconcur.run(_digest_all, chain, chosen.files, chosen.jobs)
    if failed:
        raise NotAllDigestedError(failed, len(chosen.files))


def _password(chosen: argparse.Namespace) -> Secret:
    if chosen.password_file is not None:
        with open(chosen.password_file, "rb") as file:  # noqa: PTH123 - a Path of "" is the folder
            lines = file.read().splitlines()
        if not lines or not lines[0]:
            raise UsageError(f"--password-file {chosen.password_file} has no first line")
        return Secret(lines[0])
    password = os.environb.get(os.fsencode(chosen.password_env))
    if not password:
        raise UsageError(
            f"there is no password: set the variable {chosen.password_env}, name another one with "
            "--password-env, or use --password-file"
        )
    return Secret(password)


@final
class _File:
    """A file that is opened when its turn comes."""

    def __init__(self, name: str) -> None:
        self._name, self._fd = name, -1

    def as_input(self) -> _File | Path:
        """Return what ``run_many`` reads: a named pipe by its path, as opening it may wait."""
        with suppress(OSError):
            if stat.S_ISFIFO(os.stat(self._name).st_mode):  # noqa: PTH116 - a Path of "" exists
                return Path(self._name)
        return self

    def fileno(self) -> int:
        """Open it: called once, as the command starts."""
        self._fd = os.open(self._name, os.O_RDONLY)
        if stat.S_ISDIR(os.fstat(self._fd).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        return self._fd

    def check_end(self) -> None:
        """Raise the error that ended the reading, if one did: openssl enc takes it for the end."""
        if self._fd >= 0 and stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.read(self._fd, 1)

    def close(self) -> None:
        """Close it, if it was opened."""
        if self._fd >= 0:
            os.close(self._fd)


def _chain(cipher: str, digest: str, salt: str, password: Secret) -> Runnable:
    encrypt = Command(
        *("openssl", "enc", f"-{cipher}", "-pbkdf2", "-S", salt, "-pass", f"env:{_VARIABLE}"),
        env={_VARIABLE: password},
    )
    return encrypt | Command("openssl", "dgst", f"-{digest}", "-r")


async def _digest_all(chain: Runnable, names: Sequence[str], jobs: int | None) -> int:
    """Print a line for each file, in their order; return how many had none."""
    failed = 0
    status = StatusLine()
    files = [_File(name) for name in names]
    given = ((chain, file.as_input()) for file in files)
    async with run_many(given, limit=jobs, ordered=True) as outcomes:
        async for outcome in outcomes:
            name, file = names[outcome.index], files[outcome.index]
            with closing(file):
                digest, reason = _digest(outcome, file)
            status.clear()
            if reason:
                print(f"aconcur: {name or repr(name)}: {reason}", file=sys.stderr)
                failed += 1
            else:
                print(_line(digest, name))
            status.show(f"{outcome.index + 1}/{len(names)} files")
    status.clear()
    print(f"{len(names)} file{'s' if len(names) > 1 else ''}", file=sys.stderr)
    return failed


def _digest(outcome: Outcome, file: _File) -> tuple[str, str]:
    """Return the digest, or the reason why there is none."""
    try:
        words = outcome.result().text().split()
        file.check_end()
    except CommandNotFound:
        raise
    except CommandFailed as error:
        stage = error.completed.failed or error.completed.stages[-1]
        said = stage.stderr_text.strip().rpartition("\n")[2]
        return "", f"{stage}: {said}" if said else str(stage)
    except CommandStartError as error:
        return "", str(error)
    except OSError as error:
        return "", error.strerror or str(error)
    return (words[0], "") if words else ("", "openssl dgst printed no digest")


def _line(digest: str, file: str) -> str:
    """Return a line as md5sum prints it: a name that would break it is escaped, and marked so."""
    escaped = file.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == file else chr(92)}{digest}  {escaped}"
