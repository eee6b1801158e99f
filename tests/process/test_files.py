"""A file object that transforms its data is used as it is, and a named pipe does not block."""

from __future__ import annotations

import bz2
import gzip
import http.client
import http.server
import io
import lzma
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from aconcur.process import Append, Command, CommandTimeout, run_many
from tests.support.commands import descriptors
from tests.support.states import until

CAT = Command("cat")
BODY = b"".join(b"line %d\n" % n for n in range(20_000))

OPENERS: list[Callable[..., Any]] = [gzip.open, bz2.open, lzma.open]


@pytest.mark.parametrize("opener", OPENERS, ids=["gzip", "bz2", "lzma"])
async def test_a_compressed_file_is_read_and_written_decompressed(
    opener: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "packed"
    with opener(path, "wb") as file:
        await CAT.run(input=BODY, output=file)
    with opener(path) as file:
        assert file.read() == BODY
    with opener(path) as file:
        assert file.read(5) == BODY[:5]
        assert (await CAT.run(input=file)).stdout == BODY[5:]


async def test_a_text_file_goes_on_where_its_reader_stands(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(BODY)
    with path.open() as file:
        head = file.readline()
        assert (await CAT.run(input=file)).stdout == BODY[len(head) :]
    with path.open() as file:
        next(file)
        with pytest.raises(ValueError, match=r"text file that was read in part.*binary mode"):
            await CAT.run(input=file)
    with path.open("w") as file:
        file.write("before ")
        await Command("echo", "after").run(output=file)
    assert path.read_bytes() == b"before after\n"


async def test_temporary_files_are_files() -> None:
    with tempfile.NamedTemporaryFile() as named, tempfile.SpooledTemporaryFile() as spooled:
        for file in (named, cast("Any", spooled)):
            await CAT.run(input=b"data", output=file)
            file.seek(0)
            assert (await CAT.run(input=file)).stdout == b"data"


async def test_bytes_in_memory_are_read_and_written() -> None:
    target = io.BytesIO()
    await CAT.run(input=io.BytesIO(BODY), output=target)
    assert target.getvalue() == BODY


@pytest.fixture
def url() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(BODY)

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        thread.join(20)


async def test_a_response_is_read_in_full(url: str) -> None:
    response = await anyio.to_thread.run_sync(urllib.request.urlopen, url)
    with response:
        assert (await CAT.run(input=response)).stdout == BODY


@pytest.mark.parametrize("missing", [0, 1])
async def test_a_response_that_is_cut_short_is_not_taken_for_the_whole(missing: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        length = f"Content-Length: {len(BODY) + missing}"
        theirs.sendall(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode() + BODY)
        if missing:  # otherwise the connection is kept alive
            theirs.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(ours)
        response.begin()
        with anyio.fail_after(20):
            if missing:
                with pytest.raises(http.client.IncompleteRead, match="1 more expected"):
                    await CAT.run(input=response)
            else:
                assert (await CAT.run(input=response)).stdout == BODY


async def test_a_socket_is_its_descriptor_unless_it_is_encrypted() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"data")
        ours.shutdown(socket.SHUT_WR)
        assert (await CAT.run(input=theirs)).stdout == b"data"
        context = ssl.create_default_context()
        secure = context.wrap_socket(ours, server_hostname="x", do_handshake_on_connect=False)
        with secure, pytest.raises(TypeError, match="SSL socket holds cipher text"):
            await CAT.run(input=secure)


class Reader:
    """Has a descriptor, and reads something else."""

    def __init__(self, data: bytes | str) -> None:
        self.data: Any = data

    def fileno(self) -> int:
        return 0

    def read(self, _: int) -> bytes | str:
        data, self.data = self.data, self.data[:0]
        return cast("bytes | str", data)


async def test_a_reader_of_text_is_refused() -> None:
    assert (await CAT.run(input=Reader(b"data"))).stdout == b"data"
    with pytest.raises(TypeError, match="input must yield bytes, not str"):
        await CAT.run(input=Reader("text"))


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


async def test_a_named_pipe_without_another_end_blocks_no_task(fifo: Path) -> None:
    before = descriptors()
    for options in ({"input": fifo}, {"output": fifo}, {"output": Append(fifo)}):
        began = time.perf_counter()
        with pytest.raises(CommandTimeout) as caught:
            await CAT.run(timeout=0.1, **options)
        assert time.perf_counter() - began < 2
        assert caught.value.completed.returncodes == (None,)
    with pytest.raises(CommandTimeout):
        await Command("cat", stderr=fifo).run(timeout=0.1)
    assert descriptors() == before


async def test_a_named_pipe_is_read_and_written_when_the_other_end_comes(fifo: Path) -> None:
    found: list[bytes] = []

    async def read() -> None:
        found.append((await CAT.run(input=fifo)).stdout)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.sleep(0.05)
        await CAT.run(input=BODY, output=fifo)
    assert found == [BODY]


async def test_one_output_for_many_commands_is_refused(tmp_path: Path) -> None:
    for output in (tmp_path / "all", str(tmp_path / "all")):
        with pytest.raises(ValueError, match=r"is one file.*\{index\}"):
            async with run_many([CAT], output=output):
                raise AssertionError
    async with run_many([Command("true", stderr=tmp_path / "all")]) as outcomes:
        assert "each of many commands would empty it" in str((await anext(outcomes)).error)


async def test_each_of_many_commands_has_an_output_of_its_own(tmp_path: Path) -> None:
    jobs = [Command("echo", str(n)) for n in range(3)]
    for output in (str(tmp_path / "{index}.out"), tmp_path / "{index}.out"):
        async with run_many(jobs, output=output) as outcomes:
            assert [outcome.error async for outcome in outcomes] == [None] * 3
        assert [(tmp_path / f"{n}.out").read_text() for n in range(3)] == ["0\n", "1\n", "2\n"]
    pieces: dict[int, list[bytes]] = {n: [] for n in range(3)}
    async with run_many(jobs, output=lambda index: pieces[index].append) as outcomes:
        assert [outcome.error async for outcome in outcomes] == [None] * 3
    assert pieces == {n: [b"%d\n" % n] for n in range(3)}
    one = (jobs[0], None, tmp_path / "own")
    async with run_many([one, jobs[1]], output=Append(tmp_path / "rest")) as outcomes:
        assert [outcome.error async for outcome in outcomes] == [None] * 2
    assert ((tmp_path / "own").read_text(), (tmp_path / "rest").read_text()) == ("0\n", "1\n")


async def test_an_output_function_of_many_must_name_an_output() -> None:
    seen: list[object] = []
    async with run_many([CAT], output=seen.append) as outcomes:
        assert "must return where the output of command 0 goes" in str(
            (await anext(outcomes)).error
        )


@pytest.fixture
def three_lines() -> Iterator[int]:
    """Yield the reading end of a pipe that holds three lines."""
    reading, writing = os.pipe()
    os.write(writing, b"one\ntwo\nthree\n")
    os.close(writing)
    yield reading
    with suppress(OSError):
        os.close(reading)


async def test_what_was_read_ahead_from_a_pipe_is_not_lost(three_lines: int) -> None:
    with open(three_lines, "rb") as file:  # noqa: ASYNC230
        assert file.readline() == b"one\n"  # noqa: ASYNC232
        assert (await Command("cat").run(input=file)).stdout == b"two\nthree\n"
        assert os.get_blocking(three_lines)


async def test_what_comes_into_the_pipe_later_comes_after_it() -> None:
    talker = subprocess.Popen(  # noqa: ASYNC220
        ["sh", "-c", r"printf 'one\ntwo\n'; read go; seq 30000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with talker:
        assert talker.stdout is not None
        assert talker.stdin is not None
        assert talker.stdout.readline() == b"one\n"
        heard: list[bytes] = []
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                await Command("cat").run(input=talker.stdout, output=heard.append)

            tasks.start_soon(run)
            await until(lambda: b"".join(heard) == b"two\n")
            talker.stdin.write(b"go\n")
            talker.stdin.close()
    assert b"".join(heard) == b"two\n" + b"".join(b"%d\n" % n for n in range(1, 30001))


async def test_a_text_file_on_a_pipe_is_read_if_nothing_was_and_else_refused(
    three_lines: int,
) -> None:
    with open(three_lines, encoding="utf-8") as file:  # noqa: ASYNC230
        assert (await Command("head", "-n1").run(input=file)).stdout == b"one\n"
    reading, writing = os.pipe()
    os.write(writing, b"one\ntwo\n")
    os.close(writing)
    with open(reading, encoding="utf-8") as file:  # noqa: ASYNC230, PTH123
        file.readline()  # noqa: ASYNC232
        with pytest.raises(ValueError, match="holds text that was read ahead: open it in binary"):
            await Command("cat").run(input=file)


async def test_an_output_goes_where_a_text_file_that_was_read_stands(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("1\n2\n3\n")
    with path.open("r+") as file:
        file.readline()
        await Command("echo", "X").run(output=file)
    assert path.read_text() == "1\nX\n3\n"
