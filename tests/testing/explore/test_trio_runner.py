"""What only the explorer's hold on trio has to see to."""

from __future__ import annotations

import pytest
import trio
import trio._core._run as trio_core
import trio.testing

from aconcur.testing import Livelock, explore, replay


def test_trio_runs_as_ever_after_an_exploration() -> None:
    async def real() -> bytes:
        mine, other = trio.socket.socketpair()
        with mine, other:
            await other.send(b"x")
            return bytes(await mine.recv(1))

    async def scenario() -> None:
        await trio.lowlevel.checkpoint()

    before = {name: vars(trio_core)[name] for name in ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING")}
    explore(scenario, backend="trio").check()
    assert {name: vars(trio_core)[name] for name in before} == before
    assert trio.run(real) == b"x"
    assert trio.run(trio.to_thread.run_sync, abs, -1) == 1


def test_who_waits_for_all_to_be_blocked_waits_for_just_that() -> None:
    async def scenario() -> None:
        order: list[str] = []

        async def work() -> None:
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            order.append("worked")
            await trio.sleep(1)
            order.append("slept")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.testing.wait_all_tasks_blocked()
            order.append("blocked")
        assert order == ["worked", "blocked", "slept"]

    explore(scenario, backend="trio", bound=3).check()


def test_a_scenario_that_swallows_its_cancellation_is_cut() -> None:
    async def scenario() -> None:
        while True:
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled:  # noqa: ASYNC103 - the bug
                continue  # noqa: ASYNC104

    failure = replay(scenario, "base", backend="trio", max_steps=100).failure
    assert failure is not None
    assert isinstance(failure.error, Livelock)


def test_a_system_task_is_not_scheduled() -> None:
    async def scenario() -> None:
        called = trio.Event()
        trio.lowlevel.current_trio_token().run_sync_soon(called.set)
        with trio.fail_after(1):
            await called.wait()

    exploration = explore(scenario, backend="trio", bound=3, timers="idle").check()
    assert exploration.schedules == 1


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt])
def test_an_error_among_cancellations_is_kept(error: type[BaseException]) -> None:
    async def scenario() -> None:
        async def fail() -> None:
            raise error

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(fail)

    if issubclass(error, Exception):
        failure = explore(scenario, backend="trio").failure
        assert failure is not None
        assert failure.error.__class__ is ExceptionGroup
    else:
        with pytest.RaisesGroup(error):
            explore(scenario, backend="trio")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what trio lost
def test_a_run_that_a_signal_breaks_inside_trio_leaves_no_run_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A test's time limit raises in a handler, wherever trio is at that moment."""

    class LateError(BaseException):
        pass

    def interrupted(*_: object) -> None:
        raise LateError

    async def scenario() -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr("trio._core._run.TheIOManager.get_events", interrupted)
    with pytest.raises(LateError):
        explore(scenario, backend="trio").check()
    monkeypatch.undo()
    assert explore(scenario, backend="trio").check().schedules == 1
