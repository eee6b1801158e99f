"""What run() gives: inputs, outputs, statuses, environment, text."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import signal
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aconcur.process import (
    CAPTURE,
    DISCARD,
    INHERIT,
    PIPE,
    STDOUT,
    Append,
    Command,
    CommandFailed,
    CommandNotFound,
    CommandStartError,
    Completed,
    OutputTooLarge,
    StageResult,
    Tee,
    TransferProgress,
)
from tests.support.commands import python, sh

CAT = Command("cat")
MIB = 1 << 20
BIG = os.urandom(3 * MIB)


async def pieces(data: bytes, size: int = 70_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        await anyio.lowlevel.checkpoint()
        yield data[at : at + size]


def _file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# Input


@pytest.mark.parametrize("size", [0, 1, 4096, 65_535, 65_536, 65_537, 200_000, len(BIG)])
async def test_bytes_of_any_size_come_through(size: int) -> None:
    data = BIG[:size]
    assert (await CAT.run(input=data)).stdout == data
    assert (await (CAT | CAT | CAT).run(input=bytearray(data))).stdout == data
    assert (await CAT.run(input=memoryview(data)[::1])).stdout == data


async def test_every_kind_of_input_comes_through(tmp_path: Path) -> None:
    path = _file(tmp_path / "data", BIG)
    assert (await CAT.run(input=path)).stdout == BIG
    with path.open("rb") as file:
        assert (await CAT.run(input=file)).stdout == BIG
    with path.open("rb") as file:
        file.read(1000)
        assert (await CAT.run(input=file)).stdout == BIG[1000:]
    assert (await CAT.run(input=io.BytesIO(BIG))).stdout == BIG
    assert (await CAT.run(input=[b"a", b"", BIG, b"z"])).stdout == b"a" + BIG + b"z"
    assert (await CAT.run(input=(b"%d\n" % n for n in range(9)))).stdout.count(b"\n") == 9
    assert (await CAT.run(input=pieces(BIG))).stdout == BIG
    assert (await CAT.run(input="grüße")).text() == "grüße"
    assert (await CAT.run()).stdout == b""


async def test_small_chunks_reach_the_program_in_large_writes() -> None:
    reads = python("import os\nn = 0\nwhile os.read(0, 1 << 20): n += 1\nprint(n)")
    done = await reads.run(input=(b"x" * 64 for _ in range(20_000)))
    assert int(done.stdout) < 100


async def test_what_an_input_raises_is_raised_and_ends_the_commands() -> None:
    def bad() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise LookupError("from the input")

    async def worse() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        raise LookupError("from the input")

    for source in (bad(), worse()):
        with pytest.raises(LookupError, match="from the input"):
            await (CAT | CAT).run(input=source)


async def test_an_async_generator_is_closed_when_the_program_reads_no_more() -> None:
    closed = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 10_000
        finally:
            closed.append(True)

    assert (await Command("head", "-c", "5").run(input=endless())).stdout == b"xxxxx"
    assert closed == [True]


def test_a_tee_needs_a_function() -> None:
    with pytest.raises(TypeError, match="Tee's argument must be a function, not None"):
        Tee(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (["text"], "input must yield bytes, not str"),
        ([1], "input must yield bytes, not int"),
        (3, "input must be bytes, str, a path, .* not int"),
        (PIPE, r"input=PIPE only works with open\(\)"),
    ],
)
async def test_an_input_of_another_kind_is_refused(source: object, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        await CAT.run(input=source)  # type: ignore[arg-type]


async def test_a_missing_input_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        await CAT.run(input=tmp_path / "missing")
    assert str(caught.value.filename) == str(tmp_path / "missing")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        await CAT.run(input=tmp_path)


# Output


async def test_every_kind_of_output(tmp_path: Path) -> None:
    path = _file(tmp_path / "out", b"old old old")
    echo = Command("echo", "new")
    assert (await echo.run(output=path)).stdout == b""
    assert path.read_bytes() == b"new\n"
    await echo.run(output=Append(path))
    assert path.read_bytes() == b"new\nnew\n"
    with path.open("wb") as file:
        file.write(b"first ")
        await echo.run(output=file)
        file.write(b"last")
    assert path.read_bytes() == b"first new\nlast"[: path.stat().st_size]
    assert (await echo.run(output=DISCARD)).stdout == b""
    seen: list[bytes] = []
    assert (await echo.run(output=seen.append)).stdout == b""
    assert (await echo.run(output=Tee(seen.append))).stdout == b"new\n"
    assert seen == [b"new\n", b"new\n"]
    assert (await echo.run(output=CAPTURE)).stdout == b"new\n"


async def test_the_inherited_output_is_ours(capfd: pytest.CaptureFixture[str]) -> None:
    command = Command("sh", "-c", "echo out; echo err >&2", stderr=INHERIT)
    done = await command.run(output=INHERIT)
    assert capfd.readouterr() == ("out\n", "err\n")
    assert (done.stdout, done.stages[0].stderr) == (b"", b"")


async def test_captured_output_is_in_memory_once() -> None:
    size = 1 << 24
    tracemalloc.start()
    try:
        done = await Command("head", "-c", str(size), "/dev/zero").run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(done.stdout) == size
    assert peak < 1.5 * size


@pytest.mark.parametrize("output", ["a/str/path", 3, b"x", PIPE])
async def test_an_output_of_another_kind_is_refused(output: object) -> None:
    with pytest.raises((TypeError, ValueError), match="output"):
        await CAT.run(output=output)  # type: ignore[arg-type]


async def test_what_an_output_function_raises_is_raised() -> None:
    def refuse(data: bytes) -> None:
        raise LookupError(data[:1])

    for source in (None, pieces(b"x" * 100_000)):
        with pytest.raises(LookupError):
            await (Command("yes") | CAT).run(input=source, output=refuse)


async def test_too_much_output_is_an_error_with_what_fits() -> None:
    with pytest.raises(OutputTooLarge, match="yes wrote more than 100000 bytes") as caught:
        await Command("yes").run(max_output=100_000)
    assert caught.value.completed.stdout == b"y\n" * 50_000
    assert (await Command("printf", "12345").run(max_output=5)).stdout == b"12345"
    with pytest.raises(OutputTooLarge):
        await Command("printf", "12345").run(max_output=4)
    with pytest.raises(OutputTooLarge):
        await Command("printf", "12345").run(max_output=0, output=Tee(print))
    with pytest.raises(ValueError, match="max_output limits what is captured"):
        await CAT.run(max_output=1, output=DISCARD)


async def test_an_unsuitable_number_is_refused() -> None:
    with pytest.raises(ValueError, match="grace must be at least 0 seconds, not -1"):
        await CAT.run(grace=-1)
    with pytest.raises(ValueError, match="linger must be at least 0"):
        await CAT.run(linger=-1)
    with pytest.raises(ValueError, match="max_output must be at least 0"):
        await CAT.run(max_output=-1)
    with pytest.raises(ValueError, match="timeout must be at least 0 seconds or None, not nan"):
        await CAT.run(timeout=float("nan"))
    with pytest.raises(ValueError, match="grace must be at least 0 seconds, not nan"):
        await CAT.run(grace=float("nan"))
    wrong: Any = "2"
    with pytest.raises(TypeError, match="timeout must be a number of seconds or None, not '2'"):
        await CAT.run(timeout=wrong)
    with pytest.raises(TypeError, match="on_progress must be a function, not '2'"):
        await CAT.run(on_progress=wrong)


# Status


async def test_every_stage_has_a_status_and_its_stderr() -> None:
    pipe = sh("echo one >&2; exit 1") | sh("echo two >&2; kill -9 $$") | sh("echo three >&2")
    done = await pipe.run(check=False)
    assert done.returncodes == (1, -9, 0)
    assert [stage.stderr for stage in done.stages] == [b"one\n", b"two\n", b"three\n"]
    assert [stage.ok for stage in done.stages] == [False, False, True]
    assert (done.ok, done.failed) == (False, done.stages[1])
    assert str(done.stages[1]).endswith("was killed by SIGKILL")


async def test_a_failure_names_the_last_stage_that_failed() -> None:
    pipe = sh("exit 1") | sh("echo long story >&2; echo short >&2; exit 7") | CAT
    with pytest.raises(
        CommandFailed, match=r"sh -c .* \(stage 2 of 3\) exited with 7:\n  long story\n  short$"
    ) as caught:
        await pipe.run()
    assert caught.value.completed.returncodes == (1, 7, 0)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.completed) == (str(caught.value), caught.value.completed)


async def test_a_silent_failure_says_what_to_do() -> None:
    with pytest.raises(CommandFailed, match=r"^sh -c 'exit 3' exited with 3; .* ok_codes="):
        await sh("exit 3").run()


async def test_statuses_that_are_no_failure() -> None:
    grep = Command("grep", "x", ok_codes={0, 1})
    assert (await grep.run(input=b"y")).returncodes == (1,)
    with pytest.raises(CommandFailed, match="exited with 2"):
        await Command("grep", "x", "/no/such/file", ok_codes={0, 1}).run()
    with pytest.raises(CommandFailed, match="exited with 0"):
        await Command("true", ok_codes={1}).run()


async def test_a_reader_that_had_enough_is_no_failure() -> None:
    done = await (Command("yes") | CAT | Command("head", "-n", "1")).run()
    assert (done.stdout, done.returncodes[0], done.ok) == (b"y\n", -signal.SIGPIPE, True)


async def test_sigpipe_of_the_last_stage_is_a_failure() -> None:
    with pytest.raises(CommandFailed, match="was killed by SIGPIPE"):
        await (CAT | sh("kill -PIPE $$")).run()


@pytest.mark.parametrize("source", [BIG, [BIG], None], ids=["bytes", "iterable", "async"])
async def test_a_program_may_stop_reading_early(source: object) -> None:
    given = pieces(BIG) if source is None else source
    done = await Command("true").run(input=given)  # type: ignore[arg-type]
    assert (done.stdout, done.ok) == (b"", True)
    done = await (Command("head", "-c", "3") | CAT).run(input=BIG)
    assert (done.stdout, done.returncodes) == (BIG[:3], (0, 0))


async def test_a_program_that_closes_its_input_and_goes_on() -> None:
    closes = python("import os, time; os.close(0); time.sleep(0.05); print('done')")
    assert (await closes.run(input=BIG)).stdout == b"done\n"


async def test_much_stderr_before_any_reading_blocks_nobody() -> None:
    shouts = python(
        "import sys; sys.stderr.write('e' * (1 << 20) + 'end'); sys.stderr.flush();"
        "sys.stdout.buffer.write(sys.stdin.buffer.read())"
    )
    done = await (shouts | shouts).run(input=BIG)
    assert done.stdout == BIG
    for stage in done.stages:
        assert (stage.stderr_size, len(stage.stderr)) == (MIB + 3, 65_536)
        assert stage.stderr.endswith(b"eend")


async def test_stderr_can_go_elsewhere() -> None:
    both = "echo out; echo err >&2"
    done = await Command("sh", "-c", both, stderr=STDOUT).run()
    assert sorted(done.stdout.split()) == [b"err", b"out"]
    done = await Command("sh", "-c", both, stderr=DISCARD).run()
    assert (done.stdout, done.stages[0].stderr_size) == (b"out\n", 0)
    done = await (Command("sh", "-c", both, stderr=STDOUT) | Command("sort")).run()
    assert done.text() == "err\nout\n"


async def test_a_program_killed_amid_its_output_is_told_with_what_it_wrote() -> None:
    with pytest.raises(CommandFailed, match="was killed by SIGKILL") as caught:
        await sh("printf partial; kill -9 $$").run(input=BIG)
    assert caught.value.completed.stdout == b"partial"


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    result = StageResult(("x" * 1000,), -63, b"", 0, ok=False)
    assert str(result).endswith("… was killed by signal 63")
    assert len(str(result)) < 250


# Text


async def test_text_is_utf_8_and_broken_text_keeps_its_bytes() -> None:
    done = await Command("printf", b"gr\xc3\xbc\xc3\x9fe\r\n").run()
    assert done.text() == "grüße\r\n"
    done = await Command("sh", "-c", r"printf 'a\377'; printf 'b\377' >&2").run()
    with pytest.raises(UnicodeDecodeError):
        done.text()
    assert (done.stdout, done.text("latin-1"), done.text(errors="replace")) == (
        b"a\xff",
        "aÿ",
        "a\ufffd",
    )
    assert done.stages[0].stderr_text == r"b\xff"


# Environment and folder


async def test_the_environment_is_added_to_replaced_or_emptied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GIVEN", "ours")

    async def environment(**options: object) -> set[str]:
        command = Command("env", **options)  # type: ignore[arg-type]
        return set((await command.run()).text().splitlines())

    assert "GIVEN=ours" in await environment()
    added = await environment(env={"GIVEN": "theirs", "MORE": b"x", "HOME": None})
    assert {"GIVEN=theirs", "MORE=x"} < added
    assert not [line for line in added if line.startswith("HOME=")]
    assert await environment(env={"ONLY": "this"}, inherit_env=False) == {"ONLY=this"}
    assert await environment(inherit_env=False) == set()


async def test_the_path_searched_is_the_commands(tmp_path: Path) -> None:
    program = _file(tmp_path / "hello", b"#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    done = await Command("hello", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}).run()
    assert done.stdout == b"hello\n"


async def test_the_folder_is_the_commands(tmp_path: Path) -> None:
    assert (await Command("pwd", cwd=tmp_path).run()).text().strip() == str(tmp_path)


# What does not start


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_missing_program_is_named_and_the_others_end(place: int, tmp_path: Path) -> None:
    lasting = sh(f": > {tmp_path}/pid.$$; exec sleep 60")
    commands = [lasting] * 3
    commands[place] = Command("no-such-program", "x")
    with pytest.raises(CommandNotFound, match="no-such-program was not found: install") as caught:
        await (commands[0] | commands[1] | commands[2]).run(input=BIG)
    assert (caught.value.stage, caught.value.filename) == (place, "no-such-program")
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize("number", [errno.EACCES, errno.E2BIG, errno.ENOEXEC])
async def test_the_system_refuses_the_second_stage(number: int, tmp_path: Path) -> None:
    plain = _file(tmp_path / "plain", b"not a program")
    odd = _file(tmp_path / "odd", b"\x7fELF\0 nothing")
    odd.chmod(0o755)
    second = {
        errno.EACCES: Command(plain),
        errno.E2BIG: Command("true", "x" * 3_000_000),
        errno.ENOEXEC: Command(odd),
    }[number]
    with pytest.raises(CommandStartError, match=os.strerror(number)) as caught:
        await (sh("exec sleep 60") | second).run()
    assert (caught.value.errno, caught.value.stage) == (number, 1)
    assert len(str(caught.value)) < 300


async def test_a_program_that_is_refused_says_what_to_do(tmp_path: Path) -> None:
    plain = _file(tmp_path / "plain", b"echo\n")
    with pytest.raises(
        CommandStartError, match=r"denied: make it executable with chmod \+x /.*ain"
    ):
        await Command(plain).run()
    with pytest.raises(CommandStartError, match=r"Permission denied: it is a folder"):
        await Command(tmp_path).run()
    plain.chmod(0o755)
    with pytest.raises(CommandStartError, match=r"no interpreter: begin it with #!/bin/sh"):
        await Command(plain).run()
    with pytest.raises(CommandStartError, match=r"pass long arguments by input= or in a file"):
        await Command("true", "x" * 3_000_000).run()


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(CommandStartError) as caught:
        await (sh("exec sleep 60") | Command("true", cwd=missing)).run()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(missing))
    assert str(missing) in str(caught.value)
    assert not isinstance(caught.value, FileNotFoundError)
    with pytest.raises(CommandStartError, match="true did not start: '': No such"):
        await Command("true", cwd="").run()


# Figures


async def test_progress_tells_bytes_in_and_out(tmp_path: Path) -> None:
    path = _file(tmp_path / "in", BIG)
    told: list[TransferProgress] = []
    slow = sh("cat; sleep 0.15")
    await slow.run(input=BIG, on_progress=told.append)
    assert len(told) >= 2
    assert told[-1] == TransferProgress(len(BIG), len(BIG))
    told.clear()
    await slow.run(input=path, output=tmp_path / "out", on_progress=told.append)
    assert told[-1] == TransferProgress(len(BIG), len(BIG))
    with path.open("rb") as source, (tmp_path / "copy").open("wb") as sink:
        await CAT.run(input=source, output=sink, on_progress=told.append)
    assert told[-1] == TransferProgress(len(BIG), len(BIG))
    await CAT.run(input=pieces(BIG), on_progress=told.append)
    assert told[-1] == TransferProgress(len(BIG), len(BIG))


async def test_a_result_can_be_shown_without_its_bytes() -> None:
    done: Completed = await Command("echo", "data").run()
    assert "data\\n" not in repr(done)
    assert 0 < done.seconds < 20
    assert not done.held


# What a stage gets


async def test_a_stage_gets_three_blocking_descriptors_and_no_other() -> None:
    look = python(
        "import fcntl, os, sys\n"
        "fds = sorted(int(fd) for fd in os.listdir('/proc/self/fd'))\n"
        "open_ = [fd for fd in fds if os.path.exists(f'/proc/self/fd/{fd}')]\n"
        "flags = [bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK) for fd in (0, 1, 2)]\n"
        "print(len([fd for fd in open_ if fd > 2]), flags, file=sys.stderr)\n"
    )
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        for source in (None, BIG, pieces(b"x")):
            done = await (look | look).run(input=source)
            for stage in done.stages:
                assert stage.stderr_text == "0 [False, False, False]\n"
    finally:
        os.close(reading)
        os.close(writing)


async def test_signals_are_as_a_shell_sets_them() -> None:
    done = await python(
        "import signal; print(signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL,"
        "signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    ).run()
    # Python ignores SIGPIPE by itself, so look at the program that starts Python.
    assert done.stdout.endswith(b"set()\n")
    ignored = (await Command("grep", "SigIgn", "/proc/self/status").run()).text().split()[1]
    assert not int(ignored, 16) & (1 << (signal.SIGPIPE - 1))


async def test_the_shell_agrees() -> None:
    encrypt = Command(
        *("openssl", "enc", "-aes-256-ctr", "-pbkdf2", "-S", "7468652073616c74"),
        *("-pass", "env:password"),
        env={"password": "x"},
    )
    pipe = encrypt | Command("md5sum")
    shell = await anyio.run_process(["sh", "-c", str(pipe)], input=BIG)
    assert (await pipe.run(input=BIG)).stdout == shell.stdout
    plain = (await encrypt.run(input=BIG)).stdout
    assert hashlib.md5(plain).hexdigest().encode() == shell.stdout[:32]


def test_a_loop_in_another_thread(anyio_backend_name: str) -> None:
    import threading

    found: list[bytes] = []

    async def main() -> None:
        found.append((await (CAT | CAT).run(input=b"aside")).stdout)

    thread = threading.Thread(target=lambda: anyio.run(main, backend=anyio_backend_name))
    thread.start()
    thread.join()
    assert found == [b"aside"]


async def test_many_run_at_once() -> None:
    found: dict[int, bytes] = {}

    async def one(number: int) -> None:
        found[number] = (await (CAT | CAT).run(input=b"%d" % number)).stdout

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, number)
    assert found == {number: b"%d" % number for number in range(20)}
