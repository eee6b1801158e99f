"""aconcur.run: SIGTERM and SIGHUP cancel the main function, and the exit code tells so."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import anyio
import pytest

import aconcur

LOOPS = ("asyncio", "uvloop", "trio")

PROGRAM = """
import sys, anyio, aconcur
async def main(*args):
    try:
        print("ready", flush=True)
        await anyio.sleep(60)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.05)
        print("cleaned up", flush=True)
options = {"use_uvloop": True} if sys.argv[1] == "uvloop" else {}
backend = "trio" if sys.argv[1] == "trio" else "asyncio"
"""

RUN = "aconcur.run(main, backend=backend, backend_options=options)"


def start(code: str, loop: str = "asyncio") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + code, loop],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_cancels_the_main_function_and_is_the_exit_code(
    number: int, code: int, loop: str
) -> None:
    process = start(RUN, loop)
    process.send_signal(number)
    assert process.communicate(timeout=20) == ("cleaned up\n", "")
    assert process.returncode == code


def test_a_second_signal_does_not_cut_the_clean_up_short() -> None:
    process = start(RUN)
    for _ in range(3):
        process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=20) == ("cleaned up\n", "")
    assert process.returncode == 143


@pytest.mark.parametrize("loop", LOOPS)
def test_ctrl_c_is_as_without(loop: str) -> None:
    process = start(RUN, loop)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert output == "cleaned up\n"
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode == -signal.SIGINT


def test_an_error_of_the_clean_up_is_raised() -> None:
    process = start("""
async def failing():
    try: await main()
    finally: raise LookupError("mine")
aconcur.run(failing)
""")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert errors.rstrip().endswith("LookupError: mine")
    assert process.returncode == 1


def test_a_signal_with_a_handler_or_ignored_stays_as_it_is() -> None:
    process = start(
        """
import signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGTERM, lambda *_: print("mine", flush=True))
"""
        + RUN
    )
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    process.kill()
    assert process.communicate(timeout=20) == ("", "")


def test_the_result_and_the_handlers_come_back(anyio_backend_name: str) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)

    async def add(one: int, two: int) -> int:
        await anyio.lowlevel.checkpoint()
        return one + two

    assert aconcur.run(add, 1, 2, backend=anyio_backend_name) == 3
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == before
    with pytest.raises(LookupError):
        aconcur.run(_fail, backend=anyio_backend_name)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == before


async def _fail() -> None:
    raise LookupError


def test_it_runs_in_another_thread() -> None:
    found: list[int] = []

    async def main() -> int:
        return threading.get_ident()

    thread = threading.Thread(target=lambda: found.append(aconcur.run(main)))
    thread.start()
    thread.join()
    assert found == [thread.ident]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'aconcur' has no attribute 'walk'"):
        _ = aconcur.walk  # type: ignore[attr-defined]
