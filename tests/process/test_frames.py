"""Reading what is not lines: other line ends, so many bytes, up to a pattern, a dialogue."""

from __future__ import annotations

import re
import sys
import traceback
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from aconcur.process import (
    PIPE,
    Command,
    InputClosed,
    OutputEnded,
    Running,
    Secret,
)
from tests.support.commands import lives, python, sh
from tests.support.states import until

CAT = Command("cat")


@pytest.mark.parametrize(
    ("data", "end", "expected"),
    [
        (b"0%\r50%\r100%\r", b"\r", [b"0%", b"50%", b"100%"]),
        (b"a\0b\0", b"\0", [b"a", b"b"]),
        (b"a\rb\nc", (b"\n", b"\r"), [b"a", b"b", b"c"]),
        (b"a\r\nb\nc\r\n", (b"\n", b"\r\n"), [b"a", b"b", b"c"]),
        (b"a--b--c", b"--", [b"a", b"b", b"c"]),
        (b"", b"\0", []),
        (b"\0\0", b"\0", [b"", b""]),
        (b"x" * 200_000 + b"--y", b"--", [b"x" * 200_000, b"y"]),
    ],
)
async def test_lines_may_end_in_anything(data: bytes, end: Any, expected: list[bytes]) -> None:  # noqa: ANN401
    async with CAT.open(input=data) as running:
        assert [line async for line in running.lines(end=end)] == expected


async def test_a_line_end_may_come_in_two_pieces() -> None:
    async with sh("printf 'a\\r'; sleep 0.1; printf '\\nb'").open() as running:
        assert [line async for line in running.lines(end=b"\r\n")] == [b"a", b"b"]


async def test_one_of_several_line_ends_may_come_in_two_pieces() -> None:
    pieces = sh("printf 'a\r'; read x; printf '\n\nb\r'; read x; printf 'c\r'; read x; printf '\n'")
    async with pieces.open(input=PIPE) as running:
        lines = running.lines(end=(b"\r\n", b"\n", b"\r"))
        assert await anext(lines) == b"a"
        await running.write(b"\n")
        assert [await anext(lines), await anext(lines)] == [b"", b"b"]
        await running.write(b"\n")
        assert await anext(lines) == b"c"
        await running.write(b"\n")
        assert [line async for line in lines] == []


async def test_progress_comes_as_it_is_shown() -> None:
    async with sh("printf '1\\r'; read x; printf '2\\r'").open(input=PIPE) as running:
        lines = running.lines(end=b"\r")
        with anyio.fail_after(20):
            assert await anext(lines) == b"1"
            await running.write(b"\n")
            assert await anext(lines) == b"2"


@pytest.mark.parametrize("end", [b"", (), (b"",), (b"a", b"")])
async def test_an_empty_end_is_refused(end: Any) -> None:  # noqa: ANN401
    async with CAT.open() as running:
        with pytest.raises(ValueError, match="must not be empty"):
            running.lines(end=end)
        with pytest.raises(TypeError, match="are needed, not 'x'"):
            running.lines(end="x")  # type: ignore[arg-type]


MESSAGES = b"Content-Length: 7\r\n\r\n{'a':1}Content-Length: 2\r\n\r\n{}"


async def test_a_header_and_a_body_of_its_length() -> None:
    found = []
    async with CAT.open(input=MESSAGES) as running:
        for _ in range(2):
            header = await running.read_until(b"\r\n\r\n")
            length = int(header.split(b":")[1])
            found.append(await running.read_exactly(length))
        assert await running.read_exactly(0) == b""
        with pytest.raises(ValueError, match="count must be at least 0 bytes, not -1"):
            await running.read_exactly(-1)
        assert [chunk async for chunk in running.chunks()] == []
    assert found == [b"{'a':1}", b"{}"]


async def test_all_ways_of_reading_may_alternate() -> None:
    data = b"".join(b"%d\n" % n for n in range(100_000))
    async with CAT.open(input=data) as running:
        got = await anext(running.lines()) + b"\n"
        got += await running.read_exactly(10)
        got += await running.read_until(b"100\n")
        got += b"".join(line + b"\n" for line in await anext(running.line_batches()))
        got += await anext(running.lines(end=b"7")) + b"7"
        got += await anext(running.chunks())
        async for line in running.lines():
            got += line + b"\n"
            if line.endswith(b"99"):
                break
        got += (await anext(running.events())).line + b"\n"
        got += await running.receive(5)
        got += await running.read_until(re.compile(rb"99999\n"))
        assert await anext(running.chunks(), b"") == b""
    assert got == data


async def test_what_ends_too_early_is_still_there() -> None:
    async with CAT.open(input=b"abc") as running:
        with pytest.raises(OutputEnded, match="the output of cat ended after b'abc' before 4 by"):
            await running.read_exactly(4)
        with pytest.raises(OutputEnded, match=r"before b'x' came") as caught:
            await running.read_until(b"x")
        assert caught.value.partial == b"abc"
        assert isinstance(caught.value, EOFError)
        assert await running.read_exactly(3) == b"abc"


async def test_a_pattern_that_does_not_come_in_time_loses_nothing() -> None:
    async with sh("printf abc; read x; echo d").open(input=PIPE) as running:
        with pytest.raises(TimeoutError, match=r"did not write b'd' within 0.1 s.*came: b'abc'"):
            await running.read_until(b"d", timeout=0.1)
        await running.write(b"\n")
        assert await running.read_until(b"d") == b"abcd"
        running.close_input()


# Dialogues


ASKS = """
import sys
def ask(text):
    sys.stdout.write(text); sys.stdout.flush()
    return sys.stdin.readline().strip()
name = ask("name: ")
if ask("sure? ") == "yes": print("hello", name)
"""


@pytest.mark.parametrize("pty", [False, True])
async def test_patterns_are_answered(pty: bool) -> None:
    options: dict[str, Any] = {"pty": True} if pty else {"input": PIPE}
    async with python(ASKS).open(**options) as running:
        answers: dict[bytes | re.Pattern[bytes], bytes | str | None]
        answers = {b"name: ": b"Ada\n", re.compile(rb"sure\? "): "yes\n", b"hello Ada": None}
        seen = []
        for _ in range(3):
            found = await running.expect(answers, timeout=20)
            seen.append(found.pattern)
            assert found.text.endswith((b"name: ", b"sure? ", b"hello Ada"))
        assert seen == [*answers]
        await running.wait()


async def test_a_password_is_typed_and_not_shown() -> None:
    prompt = "stty -echo; printf 'Password: '; read x; echo; test \"$x\" = hush-hush && echo right"
    async with sh(prompt).open(pty=True) as running:
        await running.expect({b"Password: ": Secret("hush-hush\n")}, timeout=20)
        assert b"hush" not in await running.read_until(b"right", timeout=20)


async def test_an_error_of_an_answer_does_not_hold_the_secret() -> None:
    answers = {b"ready": Secret("hush-hush" * 100_000)}
    async with sh("exec <&-; echo ready; sleep 60").open(input=PIPE) as running:
        with pytest.raises(InputClosed) as caught:
            await running.expect(answers)
        error = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        assert "hush-hush" not in "".join(error.format())


async def test_ssh_keygen_asks_twice(tmp_path: Path) -> None:
    command = Command("ssh-keygen", "-q", "-t", "ed25519", "-f", tmp_path / "key")
    async with command.open(pty=True) as running:
        for _ in range(2):
            prompt = re.compile(rb"passphrase[^:]*: ")
            await running.expect({prompt: b"five letters\n"}, timeout=20)
        await running.wait()
    assert (tmp_path / "key.pub").exists()


async def test_python_is_talked_with() -> None:
    async with Command(sys.executable, "-Siq", env={"TERM": "dumb"}).open(pty=True) as running:
        await running.expect({b">>> ": b"6 * 7\n"}, timeout=20)
        assert b"42" in await running.read_until(b">>> ", timeout=20)


# A byte stream of anyio


async def test_it_is_a_byte_stream() -> None:
    async with CAT.open(input=PIPE) as running:
        stream: anyio.abc.ByteStream = running
        await stream.send(b"abcdef")
        assert await stream.receive(4) == b"abcd"
        assert await stream.receive() == b"ef"
        await stream.send_eof()
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()


async def test_anyios_buffered_stream_reads_from_it() -> None:
    async with CAT.open(input=MESSAGES) as running:
        buffered = BufferedByteReceiveStream(running)
        assert await buffered.receive_until(b"\r\n\r\n", 100) == b"Content-Length: 7"
        assert await buffered.receive_exactly(7) == b"{'a':1}"


async def test_a_reader_that_has_gone_breaks_the_stream() -> None:
    async with Command("true").open(input=PIPE) as running:
        with pytest.raises(anyio.BrokenResourceError):
            await running.send(bytes(10_000_000))
        await running.aclose()


# Draining


SERVER = """
import sys, time
print("listening", flush=True)
for n in range(400): print("x" * 10_000, flush=True)
print("not stuck", file=sys.stderr, flush=True)
while True: time.sleep(60)
"""


async def listening(running: Running) -> None:
    async for line in running.lines():
        if line == b"listening":
            return


async def test_a_drained_server_goes_on_and_ends_with_the_block() -> None:
    seen: list[bytes] = []
    server = Command(*python(SERVER).args, stderr=seen.append)
    async with server.open() as running:
        await listening(running)
        await running.drain()
        await until(lambda: b"".join(seen) == b"not stuck\n")
        assert [chunk async for chunk in running.chunks()] == []
        pid = running.pids[0]
    assert not lives(pid)
