"""A real scheduler and two workers on loopback: mapped over, and one of them killed."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from aconcur.errors import MissingRequirementError
from aconcur.parallel import ClusterUnreachable, cluster

ROOT = Path(__file__).parents[2]
LIMIT = 200
pytestmark = pytest.mark.timeout(300)
UNREACHED = """
import anyio, sys
from aconcur.parallel import ClusterUnreachable, cluster

async def main():
    try:
        async with cluster(sys.argv[1], timeout=0.5):
            pass
    except ClusterUnreachable as error:
        print(error)

anyio.run(main)
"""


def dask(*arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )


def address_in(file: Path) -> str | None:
    """Return what the scheduler has written, once it is all there."""
    try:
        address: str = json.loads(file.read_text())["address"]
    except (OSError, ValueError):
        return None
    return address


@pytest.fixture(scope="session")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Start the cluster, let a client of its own do all scenarios, and end the cluster."""
    folder = tmp_path_factory.mktemp("cluster")
    there = folder / "scheduler.json"
    here = ("--host", "127.0.0.1", "--no-dashboard")
    with ExitStack() as stack:

        def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
            process = stack.enter_context(dask(*arguments))
            stack.callback(process.kill)
            return process

        start("scheduler", *here, "--port", "0", "--scheduler-file", there)
        own = ("--no-nanny", "--nthreads", "1", "--local-directory", folder)
        workers = [start("worker", *here, "--scheduler-file", there, *own) for _ in range(2)]
        give_up = time.monotonic() + LIMIT
        while (address := address_in(there)) is None:
            assert time.monotonic() < give_up
            time.sleep(0.02)
        # All at once: whoever computes when the worker is killed loses nothing either.
        clients = [
            stack.enter_context(client(*arguments))
            for arguments in (
                ("-m", "tests.support.cluster_client", address, str(workers[0].pid)),
                ("examples/cluster.py", address),
                ("-m", "aconcur", "gcd", "--executor", address.replace("tcp", "dask")),
            )
        ]
        outputs = [
            one.communicate(text, timeout=LIMIT)
            for one, text in zip(clients, ("", "", "12,18\n7,x\n6,4\n"), strict=True)
        ]
        assert [one.returncode for one in clients] == [0, 0, 1], outputs
        found, example, computed = (output for output, _ in outputs)
        yield json.loads(found) | {"example": example, "gcd": computed}


def client(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )


@pytest.fixture(params=["asyncio", "trio"])
def scenario(request: pytest.FixtureRequest, said: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = said[request.param]
    return found


def test_every_result_is_there_in_order(scenario: dict[str, Any]) -> None:
    assert scenario["mapped"] is True


def test_what_main_defines_travels(scenario: dict[str, Any]) -> None:
    assert scenario["of_main"] == [1000, 1001, 1002]


def test_a_failure_names_its_item(scenario: dict[str, Any]) -> None:
    assert scenario["failing"] == [[7, "LookupError", 1]]


def test_a_stage_works_there(scenario: dict[str, Any]) -> None:
    assert scenario["pipeline"] == [4, 3, 2]


def test_an_endless_input_may_be_left(scenario: dict[str, Any]) -> None:
    assert scenario["left"] == 20


def test_it_says_where_and_how_many(scenario: dict[str, Any]) -> None:
    assert scenario["repr"].startswith("<Cluster tcp://127.0.0.1:")
    assert scenario["repr"].endswith(f": {scenario['workers']} workers>")
    assert 1 <= scenario["workers"] <= 2


def test_after_its_block_it_takes_no_call(scenario: dict[str, Any]) -> None:
    assert "the executor broke" in scenario["afterwards"]


def test_a_worker_that_is_killed_costs_no_item(said: dict[str, Any]) -> None:
    assert said["asyncio"]["bereaved"] == {"all": True, "workers": 1}


def test_the_example_needs_one_other_argument(said: dict[str, Any]) -> None:
    assert said["example"] == "350 77031\n"


def test_aconcur_gcd_computes_there(said: dict[str, Any]) -> None:
    assert said["gcd"] == "12,18,6\n6,4,2\n"


def test_nobody_at_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-c", UNREACHED, address],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    assert done.stdout.startswith(f"no scheduler answered at {address} within 0.5 s (")
    assert "start one with 'dask scheduler'" in done.stdout
    assert "Traceback" not in done.stderr


async def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingRequirementError, match=r"aconcur\[dask\]"):
        async with cluster("tcp://127.0.0.1:1"):
            pass


async def test_a_timeout_out_of_range() -> None:
    with pytest.raises(ValueError, match="timeout must be more than 0 seconds, not 0"):
        async with cluster("tcp://127.0.0.1:1", timeout=0):
            pass


def test_its_errors_can_be_pickled() -> None:
    import pickle

    error = ClusterUnreachable("tcp://h:1", 2.0, "why")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
