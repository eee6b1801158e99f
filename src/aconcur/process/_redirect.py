"""Where a stage's input comes from and where its outputs go: the vocabulary, and how files open.

Invariants
    1. A value is classified once, by the functions here, for stdin, stdout and stderr alike.
    2. A file object is used by its descriptor only if the descriptor is all that the object is. One
       that transforms its data (gzip, bz2, lzma, an HTTP response) is read or written through its
       methods.
    3. Nothing here blocks the event loop: a named pipe is opened without blocking, and waited for.
"""

from __future__ import annotations

__all__ = (
    "CAPTURE",
    "DISCARD",
    "INHERIT",
    "PIPE",
    "STDOUT",
    "Append",
    "HasFileno",
    "Input",
    "Output",
    "Sink",
    "Stderr",
    "Tee",
    "Wiring",
    "Writer",
    "called_plainly",
    "check_output",
    "close",
    "descriptor_to_read",
    "descriptor_to_write",
    "open_named_pipes",
    "open_path",
    "path_and_flags",
    "read_in_thread",
    "read_on",
    "sink_of",
    "take_read_ahead",
)

import errno
import io
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, Protocol, TypeAlias, TypeVar, final

import anyio
import anyio.to_thread

from aconcur._core.validation import check_plain_function

T = TypeVar("T")


class Wiring(Enum):
    """Ends of a pipe of commands that need no value."""

    CAPTURE = "capture"
    DISCARD = "discard"
    INHERIT = "inherit"
    PIPE = "pipe"
    STDOUT = "stdout"

    def __repr__(self) -> str:
        return self.name


CAPTURE: Final = Wiring.CAPTURE
"""Keep the data and return it. Of a captured stderr the last 64 KiB are kept."""
DISCARD: Final = Wiring.DISCARD
"""Send the data to the null device."""
INHERIT: Final = Wiring.INHERIT
"""Use this process's own stdin, stdout or stderr. With a terminal as stdin the commands stay in
our process group, so that Ctrl-C, Ctrl-Z and reading from the terminal work; processes that a
command starts then outlive it. Afterwards our group has the terminal again, and, if a command was
killed, the terminal modes from before."""
PIPE: Final = Wiring.PIPE
"""For ``open()``: the block writes the input, or reads the output."""
STDOUT: Final = Wiring.STDOUT
"""``stderr=STDOUT``: send stderr to where stdout goes, as the shell's ``2>&1`` and ``|&``."""


class HasFileno(Protocol):
    """An open file, or a socket."""

    def fileno(self) -> int:
        """Return its descriptor."""
        ...


class Writer(Protocol):
    """An object that bytes can be written to, such as ``gzip.open(path, "wb")``."""

    def write(self, data: bytes, /) -> object:
        """Take the data."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Append:
    """``output=Append(path)``: add to the end of the file, as the shell's ``>>``."""

    path: str | os.PathLike[str]

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | os.PathLike):
            raise TypeError(f"Append needs a path, not {self.path!r}")


@final
@dataclass(frozen=True, slots=True)
class Tee:
    """``output=Tee(function)``: capture the output and call the function with each piece too."""

    function: Callable[[bytes], object]

    def __post_init__(self) -> None:
        check_plain_function("Tee's argument", self.function)


Input: TypeAlias = (
    bytes
    | bytearray
    | memoryview
    | str
    | os.PathLike[str]
    | HasFileno
    | Iterable[bytes]
    | AsyncIterable[bytes]
    | Literal[Wiring.INHERIT, Wiring.PIPE]
    | None
)
"""Bytes; text, sent as UTF-8; a path; an open file; an iterable or async iterable of bytes;
``INHERIT``; None for no input at all. A path is never a ``str``: wrap it in ``Path``. An open file
is read from where it stands, also where it has read ahead from a pipe; one that transforms its
data (``gzip.open``, an HTTP response) is read through its ``read`` method, in a thread."""

Output: TypeAlias = (
    Literal[Wiring.CAPTURE, Wiring.DISCARD, Wiring.INHERIT]
    | os.PathLike[str]
    | Append
    | HasFileno
    | Writer
    | Tee
    | Callable[[bytes], object]
)
"""``CAPTURE``, ``DISCARD``, ``INHERIT``; a path, whose file is created or emptied;
``Append(path)``; an open file; a function that is called with each piece; ``Tee(function)``, which
captures as well. A file that transforms its data (``gzip.open``) gets it through ``write``."""

Stderr: TypeAlias = Output | Literal[Wiring.STDOUT, Wiring.PIPE]
"""As for ``Output``, or ``STDOUT``; with ``open()`` also ``PIPE``."""

Sink: TypeAlias = Callable[[bytes], object]

_CREATE: Final = os.O_WRONLY | os.O_CREAT
# Seconds between two looks whether a named pipe has a reader: no system call that does not block
# waits for one.
_POLL: Final = 0.02


def check_output(name: str, output: object) -> None:
    """Refuse a value that no output can go to.

    Raises:
        TypeError: it is of another kind, or a coroutine function.
    """
    if isinstance(output, Wiring | os.PathLike | Append | Tee):
        return
    if hasattr(output, "fileno") or hasattr(output, "write"):
        if hasattr(output, "write"):
            check_plain_function(f"{name}.write", output.write)
        return
    if not callable(output):
        raise TypeError(
            f"{name} must be CAPTURE, DISCARD, INHERIT, a path (not a str), Append(path), an open "
            f"file, a function or Tee(function), not {type(output).__name__}"
        )
    check_plain_function(name, output)


def sink_of(output: object, keep: Sink) -> Sink | None:
    """Return the function that takes an output piece by piece; ``keep`` for one to capture.

    None if the data does not pass through this process.
    """
    if output is CAPTURE:
        return keep
    if isinstance(output, Tee):
        return _both(keep, output.function)
    if isinstance(output, Wiring | os.PathLike | Append):
        return None
    if hasattr(output, "write"):
        return None if descriptor_to_write(output) is not None else _write_all(output)
    return None if hasattr(output, "fileno") or not callable(output) else called_plainly(output)


def _both(keep: Sink, function: Sink) -> Sink:
    call = called_plainly(function)

    def both(data: bytes) -> None:
        keep(data)
        call(data)

    return both


def called_plainly(function: Callable[[T], object]) -> Callable[[T], None]:
    """Return a function that raises if the call returned a coroutine: it would never run."""

    def call(argument: T) -> None:
        result = function(argument)
        if hasattr(result, "__await__"):
            if hasattr(result, "close"):
                result.close()
            raise TypeError(
                f"{function!r} must not return an awaitable, but it did: it would never be awaited"
            )

    return call


def _write_all(file: Writer) -> Sink:
    def write(data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = file.write(view)  # type: ignore[arg-type]
            if not isinstance(written, int) or written >= len(view):
                return
            view = view[written:]

    return write


def path_and_flags(value: object, *, write: bool) -> tuple[str | os.PathLike[str], int] | None:
    """Return the path of a redirection and how to open it; None if it names no path."""
    if isinstance(value, Append):
        return value.path, _CREATE | os.O_APPEND
    if isinstance(value, os.PathLike):
        return value, _CREATE | os.O_TRUNC if write else os.O_RDONLY
    return None


def close(fd: int) -> None:
    """Close a descriptor.

    An error is not told: the system has closed it all the same (close(2)), and what a program wrote
    through it is the program's own to check.
    """
    try:
        os.close(fd)
    except OSError as error:
        if error.errno == errno.EBADF:  # it was closed before: a fault of this package
            raise


def open_path(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file for a stage.

    Raises:
        OSError: it cannot be opened, or is a folder: some programs take the error of reading a
            folder for the end of their input.
    """
    fd = os.open(path, flags, 0o666)
    if flags & os.O_ACCMODE == os.O_RDONLY and stat.S_ISDIR(os.fstat(fd).st_mode):
        close(fd)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    return fd


async def open_named_pipes(
    input: object,  # noqa: A002
    outputs: Iterable[object],
) -> dict[tuple[str, int], int]:
    """Open those of the files that are named pipes (fifo(7)): that waits for the other end.

    Returns:
        The descriptor for each path and its flags. The caller closes them.

    **Cancelled**: all are closed again.
    """
    opened: dict[tuple[str, int], int] = {}
    wanted = [path_and_flags(input, write=False)] if isinstance(input, os.PathLike) else []
    for output in outputs:
        if isinstance(output, os.PathLike | Append):
            wanted.append(path_and_flags(output, write=True))  # noqa: PERF401
    try:
        for path, flags in filter(None, wanted):
            name = os.fspath(path)
            if (name, flags) not in opened and _is_named_pipe(name):
                opened[name, flags] = await _open_named_pipe(name, flags)
    except BaseException:
        for fd in opened.values():
            close(fd)
        raise
    return opened


def _is_named_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:  # told when it is opened
        return False


async def _open_named_pipe(path: str, flags: int) -> int:
    """Open a named pipe when its other end is there, without a thread that open(2) would block."""
    while True:
        try:
            fd = os.open(path, flags | os.O_NONBLOCK)
            break
        except OSError as error:
            if error.errno != errno.ENXIO:  # there is no reader yet
                raise
        await anyio.sleep(_POLL)
    try:
        if not flags & os.O_WRONLY:
            # Opened without a writer, so a program would read the end at once: wait for data.
            await anyio.wait_readable(fd)
        os.set_blocking(fd, True)
    except BaseException:
        close(fd)
        raise
    return fd


def descriptor_to_read(file: Any) -> int | None:  # noqa: ANN401 - anything with fileno()
    """Return the descriptor of a file, set to where the file object stands.

    None if the object has no descriptor, or reads something else than its descriptor holds.

    Raises:
        TypeError: the object can be read neither by its descriptor nor by ``read()``.
        ValueError: it is a text file that stands at a place that has no byte offset.
    """
    plain = _plain_file(file)
    if plain is None or (fd := _fileno(plain)) is None:
        return None
    # A buffered file has read ahead: let the program go on where its reader stands.
    if isinstance(plain, io.TextIOWrapper):
        if (position := _text_position(plain)) is not None:
            os.lseek(fd, position, os.SEEK_SET)
    elif isinstance(plain, io.BufferedReader | io.BufferedRandom) and plain.seekable():
        os.lseek(fd, plain.tell(), os.SEEK_SET)
    return fd


def take_read_ahead(file: Any) -> bytes:  # noqa: ANN401 - as for descriptor_to_read()
    """Take what the object has read from a pipe or a socket and not handed out.

    If it holds nothing, the call may take data from the pipe instead. It does not wait.

    Raises:
        ValueError: it is a text file that holds text: its bytes are not known any more.
    """
    plain = _plain_file(file)
    if isinstance(plain, io.TextIOWrapper) and not plain.seekable():
        try:
            # Refused while decoded text is left over from the last read.
            plain.reconfigure(encoding=plain.encoding, errors=plain.errors)
        except io.UnsupportedOperation:
            raise ValueError(
                f"{plain.name!r} is a text file on a pipe, and holds text that was read ahead: "
                "open it in binary mode, or read from its .buffer only"
            ) from None
        plain = plain.buffer
    if not isinstance(plain, io.BufferedReader) or plain.seekable():
        return b""
    fd = plain.fileno()
    blocking = os.get_blocking(fd)
    os.set_blocking(fd, False)
    try:
        return plain.read1()
    finally:
        os.set_blocking(fd, blocking)


async def read_on(data: bytes, fd: int) -> AsyncIterator[bytes]:
    """Iterate over the data, and then over all data that comes from a pipe or a socket."""
    blocking = os.get_blocking(fd)
    try:
        while data:
            yield data  # noqa: ASYNC119 - closed by the task that iterates
            await anyio.wait_readable(fd)
            data = os.read(fd, 1 << 16)
    finally:
        with suppress(OSError):  # it was closed meanwhile
            os.set_blocking(fd, blocking)  # uvloop has changed that


def descriptor_to_write(file: Any) -> int | None:  # noqa: ANN401 - anything with fileno()
    """Return the descriptor of a file, after the data that the object holds has been written.

    None if the object has no descriptor, or writes something else than it is given.
    """
    plain = _plain_file(file)
    if plain is None or (fd := _fileno(plain)) is None:
        return None
    if isinstance(plain, io.IOBase):
        plain.flush()
    if isinstance(plain, io.TextIOWrapper) and (position := _text_position(plain)) is not None:
        os.lseek(fd, position, os.SEEK_SET)  # it has read ahead, and only the buffer was flushed
    return fd


def _fileno(file: HasFileno) -> int | None:
    try:
        return file.fileno()
    except io.UnsupportedOperation:  # BytesIO
        return None


def _plain_file(file: Any) -> Any:  # noqa: ANN401
    """Return the object whose descriptor is all that it is; None if there is none."""
    if not hasattr(file, "fileno"):
        return None
    if isinstance(file, ssl.SSLSocket):
        raise TypeError("the descriptor of an SSL socket holds cipher text: read() from it instead")
    if isinstance(file, io.FileIO | socket.socket):
        return file
    if isinstance(file, io.TextIOWrapper):
        return file if _plain_file(getattr(file, "buffer", None)) is not None else None
    if isinstance(file, io.BufferedReader | io.BufferedWriter | io.BufferedRandom):
        return file if isinstance(file.raw, io.FileIO) else None
    # tempfile's wrappers
    inner = getattr(file, "file", None) or getattr(file, "_file", None)
    if type(file).__module__ == "tempfile" and inner is not None:
        return _plain_file(inner)
    # An object that has a descriptor and nothing else, such as one that opens a file when asked.
    return None if hasattr(file, "read") or hasattr(file, "write") else file


def _text_position(file: io.TextIOWrapper) -> int | None:
    if not file.seekable() or not file.readable():
        return None
    try:
        position = file.tell()
    except OSError:  # for line in file: ...
        position = -1
    # A decoder in the middle of something puts its state into the higher bits.
    if not 0 <= position < 1 << 64:
        raise ValueError(
            f"{file.name!r} is a text file that was read in part, and where it stands has no byte "
            "offset: open it in binary mode, or use readline() instead of iterating over it"
        )
    return position


async def read_in_thread(file: Any) -> AsyncIterator[bytes]:  # noqa: ANN401 - has read()
    """Iterate over the data of a file object whose ``read`` may block.

    Raises:
        http.client.IncompleteRead: the connection was lost in the middle of an HTTP response.
    """
    # For an HTTP response of known length, read1() of CPython 3.11 waits for more than the response
    # on a connection that is kept alive. No method tells that the response was cut short.
    counted = type(file).__module__ == "http.client" and file.length is not None
    read = file.read if counted else getattr(file, "read1", file.read)
    while data := await anyio.to_thread.run_sync(read, 1 << 16, abandon_on_cancel=True):
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"input must yield bytes, not {type(data).__name__}")
        yield bytes(data)  # noqa: ASYNC119 - closed by the task that iterates
    if counted and file.length:
        from http.client import IncompleteRead  # imported already, by the response

        raise IncompleteRead(b"", file.length)
