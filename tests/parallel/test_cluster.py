"""A real scheduler and two workers on loopback: mapped over, and one of them killed."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
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


@pytest.fixture(scope="session")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Start the cluster, let a client do all scenarios, and end the cluster."""
    folder = tmp_path_factory.mktemp("cluster")
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.cluster_client", str(folder)],
        capture_output=True,
        cwd=ROOT,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


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
    assert said["example"] == "216 2919\n"


def test_aconcur_gcd_computes_there(said: dict[str, Any]) -> None:
    assert said["gcd"] == "12,18,6\n6,4,2\nexit 1\n"


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
