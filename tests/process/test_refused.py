"""An argument is honoured or refused: a coroutine function is never called without await."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from aconcur.pipeline import Queue
from aconcur.process import Command, Tee, run_many
from tests.support.commands import sh

ECHO = Command("echo", "x")


async def send(data: object) -> None:
    raise AssertionError(data)


async def generate(data: object) -> AsyncIterator[object]:
    yield data


class Sender:
    async def __call__(self, data: object) -> None:
        raise AssertionError(data)


COROUTINE_FUNCTIONS: list[Any] = [
    send,
    generate,
    partial(partial(send), b""),
    Sender(),
    Queue[object](1).put,
]


@pytest.mark.parametrize("function", COROUTINE_FUNCTIONS)
async def test_a_coroutine_function_is_refused_before_the_start(function: Any) -> None:  # noqa: ANN401
    refused = pytest.raises(
        TypeError, match="is a coroutine function: it would be called and never"
    )
    for option in ("output", "on_progress", "on_start", "on_end"):
        with refused:
            await ECHO.run(**{option: function})
        with refused:
            ECHO.open(**{option: function})
    with refused:
        Tee(function)
    with refused:
        Command("x", stderr=function)
    with refused:
        async with run_many([ECHO], output=function):
            raise AssertionError


async def test_a_function_that_returns_a_coroutine_is_an_error() -> None:
    with pytest.raises(TypeError, match="must not return an awaitable"):
        await ECHO.run(output=lambda data: send(data))
    with pytest.raises(TypeError, match="must not return an awaitable"):
        await ECHO.run(output=Tee(lambda data: send(data)))


async def test_a_file_with_an_async_write_is_refused() -> None:
    class File:
        async def write(self, data: bytes) -> None:
            raise AssertionError(data)

    with pytest.raises(TypeError, match=r"output\.write must be a plain function"):
        await ECHO.run(output=File())


async def test_pipes_for_a_block_are_refused_without_one() -> None:
    from aconcur.process import PIPE

    with pytest.raises(ValueError, match=r"stderr=PIPE only works with open\(\)"):
        await Command("true", stderr=PIPE).run()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"umask": 0o1000}, "umask must be from 0 to 0o777, not 512"),
        ({"user": "no-such-user"}, "user must be one of this system: there is no 'no-such-user'"),
        ({"group": "no-such-group"}, "group must be one of this system"),
        ({"user": 1.5}, "user must be a name or an id, not 1.5"),
        ({"user": -1}, "user must be an id of at least 0, not -1"),
        ({"extra_groups": "wheel"}, "extra_groups must be a list of names or ids, not 'wheel'"),
        ({"extra_groups": ["no-such-group"]}, "group must be one of this system"),
        ({"pass_fds": [1]}, "pass_fds must be 3 and above, not 1"),
        ({"pass_fds": ["3"]}, "pass_fds must be descriptors"),
        ({"nice": 20}, "nice must be from -20 to 19, not 20"),
        ({"rlimits": {-1: 0}}, "rlimits: there is no limit -1"),
        ({"rlimits": {0: (2, 1)}}, r"soft must be from 0 to hard, not \(2, 1\)"),
        ({"rlimits": {0: "x"}}, r"rlimits\[0\] must be a number or \(soft, hard\), not 'x'"),
        ({"rlimits": 5}, "rlimits must map resource.RLIMIT_"),
    ],
)
def test_wrong_start_options_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Command("true", **options)
    with pytest.raises((TypeError, ValueError), match=message):
        Command("true").with_(**options)


async def test_output_that_was_cut_off_is_a_failure_under_check() -> None:
    late = sh("(sleep 60; echo late) & echo early")
    done = await late.run(linger=0.05, check=False)
    assert (done.stdout, done.held, done.cut_off, done.ok) == (b"early\n", True, True, False)
    from aconcur.process import CommandFailed

    with pytest.raises(CommandFailed, match=r"held the output longer than linger=.*linger="):
        await late.run(linger=0.05)
    quiet = sh("sleep 60 >/dev/null & echo early")  # holds stderr alone
    done = await quiet.run(linger=0.05)
    assert (done.stdout, done.held, done.cut_off, done.ok) == (b"early\n", True, False, True)
