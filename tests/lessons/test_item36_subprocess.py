"""Item 36: commands that run at once, joined by pipes, and none that outlives its caller."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aconcur.lessons.item36_subprocess import original, rebuilt, work
from tests.lessons.conftest import Call
from tests.support.commands import free_files
from tests.support.programs import started
from tests.support.states import BOUND

LESSON = "item36_subprocess"
pytestmark = [
    # The slowest takes a second or two: what takes longer is a deadlock.
    pytest.mark.timeout(45),
    pytest.mark.skipif(not all(map(shutil.which, work.OPENSSL[:1])), reason="needs openssl"),
]

Put: TypeAlias = Callable[[str, str], None]
"""Put a shell script on PATH, before the real program of that name."""

COPY = "exec cat"

LASTING = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_DFL)
open(f"{sys.argv[1]}/started.{os.getpid()}", "w").close()
time.sleep(6)
open(f"{sys.argv[1]}/survived.{os.getpid()}", "w").close()
"""


@pytest.fixture(autouse=True)
def watchers_have_ended() -> Iterator[None]:
    """Let 3.11's threads end, one a child, which report just before they do."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("asyncio-waitpid-"):
            thread.join(30)


@pytest.fixture
def call(call: Call) -> Call:
    """Give up on a deadlock while the rest of the test run can still go on."""

    async def in_time(*args: object) -> object:
        with anyio.fail_after(30):
            return await call(*args)

    return in_time


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[str]:
    """Return a script that heeds neither SIGTERM nor the end of its input, and must be killed.

    The test fails where one lived to its own end: somebody waited for it.
    """
    program = tmp_path / "lasting.py"
    program.write_text(LASTING)
    yield f"exec {sys.executable} -IS {program} {tmp_path}"
    assert not list(tmp_path.glob("survived.*"))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder on PATH, before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


@pytest.fixture
def put(programs: Path) -> Put:
    def put(name: str, script: str) -> None:
        program = programs / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return put


@pytest.fixture
def only(programs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Leave nothing on PATH but the real programs named, and those put there."""

    def only(*names: str) -> None:
        for name in names:
            real = shutil.which(name)
            assert real is not None
            (programs / name).symlink_to(real)
        monkeypatch.setenv("PATH", str(programs))

    return only


@pytest.fixture
def quiet_loop(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail on what a loop says about children and transports that it lost."""
    yield
    gc.collect()
    slow = "Executing "  # a loaded machine, which is no fault of the code
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert not [line for line in said if not line.startswith(slow)]


@pytest.fixture
def uses_uvloop(anyio_backend_options: dict[str, Any]) -> bool:
    return bool(anyio_backend_options.get("use_uvloop"))


def children() -> set[str]:
    found: set[str] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(task.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    # Other tests of this process may have started multiprocessing's tracker, which stays.
    return found - {str(resource_tracker._resource_tracker._pid)}  # type: ignore[attr-defined]


def has_written_much(pid: str) -> bool:
    try:
        written = Path("/proc", pid, "io").read_text().split("wchar: ")[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(written) > 4 * work.MIB


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count


def openssl(data: bytes, *more: str) -> bytes:
    """Run the lesson's openssl as simply as can be."""
    return subprocess.run(
        [*work.OPENSSL, *more],
        env=work.environment(),
        input=data,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout


def numbered(count: int, size: int = 64) -> list[bytes]:
    return [str(n).encode() * size for n in range(count)]


# What the commands give


@pytest.mark.entry("echo")
async def test_the_echo_child_says_hello(call: Call) -> None:
    assert await call() == "Hello from the child!\n"


@pytest.mark.entry("encrypt_all")
async def test_what_was_encrypted_can_be_decrypted(call: Call) -> None:
    inputs = [b"", b"x", os.urandom(10), os.urandom(300_000)]
    secrets = await call(inputs)
    assert all(secret != data for secret, data in zip(secrets, inputs, strict=True))
    assert [openssl(secret, "-d") for secret in secrets] == inputs


@pytest.mark.entry("encrypt_all")
async def test_the_same_input_gives_the_same_cipher_text(call: Call) -> None:
    first, second = await call([b"twice", b"twice"])
    assert first == second == openssl(b"twice")


@pytest.mark.entry("digest_all")
async def test_digests_are_those_of_hashlib_over_the_cipher_text(call: Call) -> None:
    inputs = [os.urandom(10), b"", os.urandom(300_000), *numbered(work.LIMIT)]
    expected = [hashlib.md5(openssl(data)).hexdigest() for data in inputs]
    assert await call(inputs) == expected


@pytest.mark.entry("digest_all")
@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 7, 8, 9, 65_535, 65_536, 65_537, 200_000]), max_size=3)
)
async def test_any_sizes_around_a_pipe_and_a_block(call: Call, sizes: list[int]) -> None:
    inputs = [bytes(size) for size in sizes]
    assert await call(inputs) == [hashlib.md5(openssl(data)).hexdigest() for data in inputs]


@pytest.mark.entry("encrypt_all", "digest_all")
async def test_no_input_gives_nothing(call: Call) -> None:
    assert await call([]) == []


@pytest.mark.entry("digest_all")
async def test_sixteen_mebibytes_pass_without_deadlock(call: Call, put: Put) -> None:
    # A pipe does not care for the cipher; a real one would take its time.
    put("openssl", COPY)
    data = bytes(16 * work.MIB)  # a pipe holds 64 KiB, and 1 MiB at the most
    assert await call([data]) == [hashlib.md5(data).hexdigest()]


@pytest.mark.entry("encrypt_all")
async def test_inputs_beyond_a_pipe_are_fed_and_read_at_once(call: Call) -> None:
    inputs = [os.urandom(400_000) for _ in range(3)]
    secrets = await call(inputs)
    assert [openssl(secret, "-d") for secret in secrets] == inputs


# How many at once


@pytest.mark.entry("encrypt_all")
async def test_all_children_encrypt_at_once(call: Call, put: Put, tmp_path: Path) -> None:
    # Each child waits until all have read beyond what two pipes hold.
    put(
        "openssl",
        f"""
        head -c 500000; : > {tmp_path}/started.$$
        until [ $(ls {tmp_path} | grep -c started) -ge 4 ]; do sleep 0.01; done
        {COPY}
        """,
    )
    inputs = [bytes([n]) * 1_000_000 for n in range(4)]
    assert await call(inputs) == inputs


@pytest.mark.entry("digest_all")
async def test_no_more_chains_than_the_limit_at_once(call: Call, put: Put, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    put(
        "openssl",
        f"""
        : > {tmp_path}/started.$$
        until [ $(ls {tmp_path} | grep -c started) -ge {work.LIMIT} ]; do sleep 0.05; done
        sleep 0.2  # time for more to come, if more may
        files=$(ls {tmp_path})
        began=$(echo "$files" | grep -c started) ended=$(echo "$files" | grep -c ended)
        echo $((began - ended)) >> {seen}
        cat
        : > {tmp_path}/ended.$$
        """,
    )
    inputs = numbered(2 * work.LIMIT)
    assert await call(inputs) == [hashlib.md5(data).hexdigest() for data in inputs]
    counts = [int(line) for line in seen.read_text().split()]
    assert len(counts) == len(inputs)
    assert max(counts) == work.LIMIT


@pytest.mark.parametrize("version", ["original", "rebuilt", "toolkit"])
def test_a_process_that_may_open_only_64_files_digests_them_all(version: str) -> None:
    program = f"""
import asyncio, resource
from aconcur.lessons.item36_subprocess import {version} as version
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
inputs = [bytes([n]) * 1000 for n in range(32)]
answer = version.digest_all(inputs)
print(len(set(asyncio.run(answer) if asyncio.iscoroutine(answer) else answer)))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == (b"32\n", b"", 0)


@pytest.mark.parametrize("entry", ["encrypt_all", "digest_all"])
@pytest.mark.parametrize("version", [original, rebuilt])
def test_running_out_of_files_is_an_error_that_leaves_nothing(
    version: ModuleType, entry: str
) -> None:
    # Not on uvloop, which in this case raises "Unknown error -1" or hangs.
    with asyncio.Runner(debug=True) as runner:

        def call(inputs: list[bytes]) -> list[object]:
            answer: Any = getattr(version, entry)(inputs)
            found: list[object] = runner.run(answer) if version is rebuilt else answer
            return found

        call([b"x"])
        before = descriptors()
        for count in range(14):
            with free_files(count), pytest.raises(OSError, match=r"Too many open files"):
                call(numbered(8))
            assert not children()
            assert descriptors() == before
        assert len(call(numbered(2))) == 2


# Failures


@pytest.mark.entry("encrypt_all", "digest_all")
async def test_a_failed_command_is_named_and_the_password_is_not(call: Call, put: Put) -> None:
    put("openssl", "exit 3")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        await call([os.urandom(300_000)])
    assert caught.value.cmd[0] == "openssl"
    assert caught.value.returncode == 3
    said = repr(caught.value) + str(caught.value)
    assert repr(work.PASSWORD)[2:-1] not in said
    assert " pass " not in said


@pytest.mark.entry("encrypt_all", "digest_all")
async def test_a_command_killed_in_mid_stream_is_told_by_its_signal(call: Call, put: Put) -> None:
    put("openssl", "head -c 100000; kill -9 $$")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        await call([os.urandom(300_000)])
    assert (caught.value.cmd[0], caught.value.returncode) == ("openssl", -signal.SIGKILL)


@pytest.mark.entry("digest_all")
async def test_the_blame_is_on_the_command_that_failed_first(call: Call, put: Put) -> None:
    # openssl fails too, because nobody reads what it writes.
    put("md5sum", "exit 4")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        await call([os.urandom(work.MIB)])
    assert (caught.value.cmd, caught.value.returncode) == (["md5sum"], 4)


@pytest.mark.entry("encrypt_all")
async def test_a_command_may_succeed_without_reading(call: Call, put: Put) -> None:
    put("openssl", "exit 0")
    assert await call([os.urandom(work.MIB)]) == [b""]


@pytest.mark.entry("digest_all")
async def test_a_first_command_may_succeed_without_reading(call: Call, put: Put) -> None:
    put("openssl", "echo early")
    assert await call([os.urandom(work.MIB)]) == [hashlib.md5(b"early\n").hexdigest()]


@pytest.mark.entry("digest_all")
async def test_a_hash_of_a_part_is_no_answer(call: Call, put: Put) -> None:
    put("openssl", COPY)
    put("md5sum", "head -c 9 >/dev/null; echo 0123456789abcdef0123456789abcdef; exit 0")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        # More than any pipe between the two holds.
        await call([bytes(4 * work.MIB)])
    assert caught.value.cmd[0] == "openssl"


@pytest.mark.entry("digest_all")
async def test_what_is_no_digest_is_refused(call: Call, put: Put) -> None:
    put("md5sum", "cat > /dev/null; echo hello")
    with pytest.raises(ValueError, match="hello"):
        await call([b"x"])


@pytest.mark.entry("encrypt_all", "digest_all")
async def test_one_failure_ends_commands_that_would_never_end(
    call: Call, put: Put, lasting: str
) -> None:
    put("openssl", f'read line; [ "$line" = bad ] && exit 5; {lasting}')
    with pytest.raises(subprocess.CalledProcessError) as caught:
        await call([b"slow\n", b"bad\n", b"slow\n"])
    assert caught.value.returncode == 5
    assert not children()


@pytest.mark.entry("encrypt_all", "digest_all")
async def test_a_missing_first_command(call: Call, only: Callable[..., None]) -> None:
    only("md5sum")
    with pytest.raises(FileNotFoundError) as caught:
        await call([b"x", b"y"])
    assert caught.value.filename in {"openssl", None}  # uvloop does not say
    assert not children()


@pytest.mark.entry("digest_all")
async def test_the_first_does_not_survive_a_missing_second(
    call: Call, only: Callable[..., None], put: Put, lasting: str
) -> None:
    only()
    put("openssl", lasting)
    with pytest.raises(FileNotFoundError) as caught:
        await call([b"x", b"y"])
    assert caught.value.filename in {"md5sum", None}  # uvloop does not say
    assert not children()


def test_a_child_that_comes_too_late_is_killed() -> None:
    children = original.Children()
    children.kill()
    with children.start(["sleep", "60"]) as child:
        assert child.wait(30) == -signal.SIGKILL


def test_after_a_failure_threads_begin_nothing_new() -> None:
    began: list[bytes] = []
    others = threading.Event()

    def work(start: original.Start, data: bytes) -> None:
        began.append(data)
        if data == b"bad":
            assert others.wait(30)
            raise LookupError
        others.set()
        with start(["sleep", "60"]) as child:
            child.wait()  # killed when nothing new can begin

    with pytest.raises(LookupError):
        original.at_once(work, [b"bad", *[b"good"] * 20], limit=2)
    assert len(began) <= 3


# Too slow


@pytest.mark.entry("finish_within")
@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9), ("yes | head", 0)]
)
async def test_a_command_in_time_gives_its_status(call: Call, script: str, status: int) -> None:
    assert await call(["sh", "-c", script], 20) == status


@pytest.mark.entry("finish_within")
async def test_a_command_too_slow_is_killed_and_reaped(call: Call, lasting: str) -> None:
    assert await call(["sh", "-c", lasting], 0.2) is None
    assert not children()


@pytest.mark.entry("finish_within")
@pytest.mark.parametrize("script", ["exec yes", "kill -STOP $$"])
async def test_a_command_that_floods_or_stands_still_is_killed(call: Call, script: str) -> None:
    assert await call(["sh", "-c", script], 0.1) is None
    assert not children()


@pytest.mark.entry("finish_within")
@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_is_too_slow(call: Call, seconds: float) -> None:
    assert await call(["sleep", "60"], seconds) is None
    assert not children()


@pytest.mark.entry("finish_within")
async def test_a_missing_command_is_not_a_slow_one(call: Call) -> None:
    with pytest.raises(FileNotFoundError):
        await call(["no-such-program"], 1)


# The password


def test_the_password_is_bytes_that_are_no_text() -> None:
    with pytest.raises(UnicodeDecodeError):
        work.PASSWORD.decode()


@pytest.mark.entry("encrypt_all")
async def test_the_password_is_in_the_environment_and_not_in_argv(call: Call, put: Put) -> None:
    put("openssl", "cat /proc/$$/environ")
    [environment] = await call([b""])
    assert b"password=" + work.PASSWORD in environment.split(b"\0")
    put("openssl", "cat /proc/$$/cmdline")
    [argv] = await call([b""])
    assert argv.endswith("\0".join(["", *work.OPENSSL[1:], ""]).encode())
    assert work.PASSWORD not in argv


@pytest.mark.entry("digest_all")
async def test_only_openssl_gets_the_password(call: Call, put: Put, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    put("md5sum", f"cat /proc/$$/environ > {seen}; exec {shutil.which('md5sum')}")
    await call([b"x"])
    assert seen.stat().st_size > 0
    assert b"password=" not in seen.read_bytes()


# The answer of the hashing command


@pytest.mark.parametrize("line", ["{}  -\n", "{}\n", "{} *-\n"])
def test_digests_of_gnu_and_of_bsd(line: str) -> None:
    digest = hashlib.md5(b"x").hexdigest()
    assert work.parse_digest(line.format(digest).encode()) == digest


@pytest.mark.parametrize("line", [b"", b"\n", b"d41d8", b"z" * 32, b"\xff" * 32, b"A" * 32])
def test_no_digest_in_the_answer(line: bytes) -> None:
    with pytest.raises(ValueError, match="no MD5 digest in "):
        work.parse_digest(line)


def test_bsd_has_md5_and_gnu_has_md5sum(only: Callable[..., None], put: Put) -> None:
    only()
    put("md5", COPY)
    assert work.md5_argv() == ("md5",)
    put("md5sum", COPY)
    assert work.md5_argv() == ("md5sum",)


# Cancellation: only the rebuilt version can be cancelled


Make: TypeAlias = Callable[[], Awaitable[object]]
DATA = [os.urandom(200_000), b""]
ENTRIES: dict[str, Make] = {
    "encrypt_all": lambda: rebuilt.encrypt_all(DATA),
    "digest_all": lambda: rebuilt.digest_all(DATA),
    "finish_within": lambda: rebuilt.finish_within(["sleep", "60"], 60),
}


async def cancel(task: asyncio.Task[object], *, again: bool) -> None:
    task.cancel()
    while not task.done():
        await asyncio.sleep(0)
        if again:
            task.cancel()


@pytest.mark.asyncio_only
@pytest.mark.usefixtures("quiet_loop")
@pytest.mark.parametrize("make", ENTRIES.values(), ids=list(ENTRIES))
async def test_cancelled_at_any_step_no_child_and_no_file_is_left(make: Make, put: Put) -> None:
    put("md5sum", "trap '' TERM; exec sleep 60")
    await rebuilt.echo()  # libuv opens a spare file first
    before = descriptors()
    for steps in [0, 1, 2, 3, 4, 6, 9, 13, 26, 61, 150, 341]:
        task = asyncio.ensure_future(make())
        for _ in range(steps):
            await asyncio.sleep(0)
        await cancel(task, again=steps % 2 == 1)
        assert task.cancelled() or task.exception() is None
        assert not children()
        assert descriptors() == before


def others() -> set[asyncio.Task[Any]]:
    """Return every task but the one that runs and that which drives the test."""
    return {
        task
        for task in asyncio.all_tasks() - {asyncio.current_task()}
        if "TestRunner." not in getattr(task.get_coro(), "__qualname__", "")
    }


def connects_pipes(task: asyncio.Task[Any]) -> bool:
    return getattr(task.get_coro(), "__name__", "") == "_connect_pipes"


@pytest.mark.asyncio_only
@pytest.mark.usefixtures("quiet_loop")
@pytest.mark.parametrize("make", ENTRIES.values(), ids=list(ENTRIES))
async def test_when_every_task_is_cancelled_no_child_and_no_file_is_left(
    make: Make, put: Put, uses_uvloop: bool
) -> None:
    # As asyncio.run does when main() has failed.
    put("md5sum", "trap '' TERM; exec sleep 60")
    await rebuilt.echo()  # libuv opens a spare file first
    before = descriptors()
    for steps in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 20, 26, 61, 150, 341]:
        task = asyncio.ensure_future(make())
        for _ in range(steps):
            await asyncio.sleep(0)
        if steps % 2:  # amid the ending, too
            task.cancel()
            await asyncio.sleep(0)
        async with asyncio.timeout(BOUND):
            while any(map(connects_pipes, others())):  # asyncio itself would hang
                await asyncio.sleep(0)
        for each in others():
            each.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None
        assert not others()
        async with asyncio.timeout(BOUND):
            # uvloop kills a half-started child and goes on before that ends
            while uses_uvloop and children():
                await asyncio.sleep(0)
        assert not children()
        assert descriptors() == before


@pytest.mark.asyncio_only
async def test_a_reaping_that_is_cancelled_begins_again() -> None:
    # A grandchild holds the output, so that no reaping ends before we let it.
    child = await asyncio.create_subprocess_exec(
        "sh", "-c", "sleep 60 & echo $!; exec sleep 60", stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    grandchild = int(await child.stdout.readline())
    ending = asyncio.ensure_future(rebuilt.end(child))
    try:
        async with asyncio.timeout(BOUND):
            while not (reaping := others() - {ending}):
                await asyncio.sleep(0)
        for each in reaping:
            each.cancel()
        await asyncio.wait(reaping)
        for _ in range(50):
            await asyncio.sleep(0)
        assert not ending.done()
    finally:
        os.kill(grandchild, signal.SIGKILL)
    await asyncio.wait([ending])
    assert ending.cancelled()
    assert child.returncode == -signal.SIGKILL
    assert not children()


async def until_started(count: int, folder: Path) -> None:
    while True:
        if sum(1 for _ in folder.glob("started.*")) >= count:
            return
        await anyio.sleep(0.005)


@pytest.mark.asyncio_only
@pytest.mark.usefixtures("quiet_loop")
@pytest.mark.parametrize("entry", [rebuilt.encrypt_all, rebuilt.digest_all])
async def test_cancelled_amid_commands_that_never_end(
    entry: Callable[[list[bytes]], Awaitable[object]], put: Put, lasting: str, tmp_path: Path
) -> None:
    put("openssl", lasting)
    task = asyncio.ensure_future(entry([os.urandom(300_000)] * 3))
    await until_started(3, tmp_path)
    await cancel(task, again=False)
    assert task.cancelled()
    assert not children()


@pytest.mark.asyncio_only
@pytest.mark.usefixtures("quiet_loop")
async def test_a_timeout_around_ends_the_commands(put: Put, lasting: str) -> None:
    put("openssl", lasting)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await rebuilt.digest_all([os.urandom(300_000)] * 3)
    assert not children()


@pytest.mark.asyncio_only
@pytest.mark.usefixtures("quiet_loop")
async def test_an_anyio_timeout_around_ends_the_commands(put: Put, lasting: str) -> None:
    put("openssl", lasting)
    with pytest.raises(TimeoutError):
        with anyio.fail_after(0.1):
            await rebuilt.digest_all([os.urandom(300_000)] * 3)
    assert not children()


@pytest.mark.asyncio_only
@pytest.mark.usefixtures("quiet_loop")
async def test_a_failing_sibling_ends_the_commands(put: Put, lasting: str, tmp_path: Path) -> None:
    put("openssl", lasting)

    async def fail() -> None:
        await until_started(2, tmp_path)
        raise LookupError

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(rebuilt.digest_all([b"x", b"y"]))
            group.create_task(fail())

    with pytest.RaisesGroup(LookupError):
        await both()
    assert not children()


@pytest.mark.asyncio_only
@pytest.mark.usefixtures("quiet_loop")
async def test_cancelled_writers_do_not_complain_of_their_readers(
    capfd: pytest.CaptureFixture[str], put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = rebuilt.end

    async def end_slowly(child: Process) -> None:
        await end(child)
        await asyncio.sleep(0.1)  # time to complain

    monkeypatch.setattr(rebuilt, "end", end_slowly)
    put("openssl", "trap '' PIPE; exec dd if=/dev/zero bs=64k")
    task = asyncio.ensure_future(rebuilt.digest_all(numbered(3)))
    async with asyncio.timeout(BOUND):
        while sum(map(has_written_much, children())) < 3:
            await asyncio.sleep(0)
    await cancel(task, again=False)
    assert capfd.readouterr() == ("", "")


@pytest.mark.asyncio_only
@pytest.mark.usefixtures("quiet_loop")
async def test_a_child_whose_pipe_is_full_and_unread_can_be_ended() -> None:
    async def start_and_end() -> None:
        async with rebuilt.start(["yes"], stdout=asyncio.subprocess.PIPE) as child:
            stat = Path(f"/proc/{child.pid}/stat")
            asleep = 0
            while asleep < 200:  # so long that nobody reads: its pipe is full
                await asyncio.sleep(0)
                asleep = asleep + 1 if stat.read_text().split()[2] == "S" else 0

    others = asyncio.all_tasks()
    task = asyncio.ensure_future(start_and_end())
    await asyncio.wait([task], timeout=30)
    ended = task.done()
    for each in asyncio.all_tasks() - others:
        each.cancel()  # what hangs here heeds no cancellation from outside
    await asyncio.wait([task])
    assert ended
    assert not children()


@pytest.mark.asyncio_only
@pytest.mark.usefixtures("quiet_loop")
async def test_a_failing_block_ends_its_child() -> None:
    with pytest.raises(LookupError):
        async with rebuilt.start(["sleep", "60"]):
            raise LookupError
    assert not children()


# Each version by itself


def alone(version: str, *options: str) -> list[str]:
    return [sys.executable, "-m", f"aconcur.lessons.{LESSON}.{version}", *options]


@pytest.mark.parametrize("version", ["original", "rebuilt", "toolkit"])
def test_alone_it_shows_its_work(version: str) -> None:
    ran = subprocess.run(alone(version, "--size", "2"), capture_output=True, check=False)
    assert (ran.stderr, ran.returncode) == (b"", 0)
    lines = ran.stdout.decode().splitlines()
    assert lines[0] == "Hello from the child!"
    assert lines[-3].split()[-1] == lines[-2].split()[-1]
    assert lines[-1].endswith("None (killed)")


@pytest.mark.parametrize("version", ["original", "rebuilt", "toolkit"])
def test_alone_without_programs_it_says_what_is_missing(version: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        alone(version),
        capture_output=True,
        check=False,
        env=os.environ | {"PATH": str(tmp_path)},
    )
    assert (ran.stdout, ran.returncode) == (b"", 1)
    assert b"openssl" in ran.stderr
    assert ran.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("amid", "to"),
    [("encrypt_all", "group"), ("digest_all", "group"), ("digest_all", "parent")],
)
@pytest.mark.parametrize("version", ["original", "rebuilt", "toolkit"])
def test_alone_interrupted_it_leaves_nothing(
    version: str, amid: str, to: str, put: Put, lasting: str, tmp_path: Path
) -> None:
    longest = {"encrypt_all": 0, "digest_all": 10}[amid]
    put(
        "openssl",
        f"""
        [ $(head -c 100 | wc -c) -le {longest} ] && exec echo short
        {lasting}
        """,
    )
    with started(*alone(version)) as program:
        anyio.run(until_started, {"encrypt_all": 3, "digest_all": work.LIMIT}[amid], tmp_path)
        (os.killpg if to == "group" else os.kill)(program.pid, signal.SIGINT)
        _, errors = program.communicate(timeout=50)
        assert program.returncode == 130
        assert errors.strip().endswith("interrupted")
        assert "\n" not in errors.strip()
        for noted in tmp_path.glob("started.*"):
            assert not Path("/proc", noted.suffix[1:]).exists()
