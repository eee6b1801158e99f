"""The marks, as a user's test suite has them: each test runs pytest on a suite of its own."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.support.extras import skip_without

pytestmark = skip_without("trio")  # the marks run a test on both back-ends

HEAD = """
import anyio
import pytest
from anyio.lowlevel import checkpoint


class Account:
    def __init__(self):
        self.balance = 100

    async def withdraw(self, amount, lock=None):
        async with lock or anyio.Lock():
            if self.balance >= amount:
                await checkpoint()
                self.balance -= amount


async def two_withdrawals(lock):
    account = Account()
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(account.withdraw, 80, lock)
    assert account.balance >= 0
"""

INI = "[pytest]\nfilterwarnings = error\nstrict_markers = true\n"

Suite = Callable[..., pytest.RunResult]


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Suite:
    def run(tests: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(HEAD + tests)
        pytester.makeini(f"{INI}aconcur_backends = asyncio trio\n")
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)

    return run


def test_a_race_fails_on_both_back_ends_and_is_shown_with_its_schedule(suite: Suite) -> None:
    done = suite("@pytest.mark.explore\nasync def test_race(): await two_withdrawals(None)\n")
    done.assert_outcomes(failed=2)
    out = done.stdout.str()
    for part in ("test_race[asyncio]", "test_race[trio]", "assert account.balance >= 0"):
        assert part in out
    # pytest explains the assertion, and the note tells the order of events.
    assert "where -60 = <" in out
    assert "in the loop's own order" in out
    assert re.search(r"withdraw#2 +…?\w+\.py:11 +async with lock", out)
    assert "replay token '" in out


def test_what_has_no_race_passes_in_all_schedules(suite: Suite) -> None:
    done = suite(
        "@pytest.mark.explore(bound=3)\n"
        "async def test_locked(): await two_withdrawals(anyio.Lock())\n"
    )
    done.assert_outcomes(passed=2)


def test_the_token_of_a_failure_runs_that_schedule_alone(suite: Suite) -> None:
    tests = (
        "runs = []\n"
        "@pytest.mark.explore\n"
        "async def test_race():\n"
        "    runs.append(1)\n"
        "    await two_withdrawals(None)\n"
        "def test_runs(): assert len(runs) == 2\n"
    )
    found = re.search(r"replay token '(fifo)'", suite(tests).stdout.str())
    assert found
    again = suite(tests, "--explore-replay", found[1])
    again.assert_outcomes(failed=2, passed=1)
    suite(tests, "--explore-replay", "base").assert_outcomes(passed=3)


@pytest.mark.parametrize("option", ["bound=-1", "strategy='best'", "backed='trio'"])
def test_wrong_options_are_named(suite: Suite, option: str) -> None:
    done = suite(f"@pytest.mark.explore({option})\nasync def test_it(): pass\n")
    done.assert_outcomes(failed=2)
    assert option.partition("=")[0] in done.stdout.str()


@pytest.mark.parametrize("mark", ["explore", "cancel_everywhere"])
def test_a_mark_on_a_plain_test_is_an_error(suite: Suite, mark: str) -> None:
    done = suite(f"@pytest.mark.{mark}\ndef test_it(): pass\n")
    assert f"test_it: @pytest.mark.{mark} needs an async test" in (
        done.stdout.str() + done.stderr.str()
    )


def test_fixtures_parameters_and_classes_work(suite: Suite) -> None:
    done = suite(
        "@pytest.fixture\n"
        "def amount(): return 30\n"
        "@pytest.mark.explore\n"
        "class TestAll:\n"
        "    @pytest.mark.parametrize('times', [1, 2])\n"
        "    async def test_it(self, amount, times):\n"
        "        account = Account()\n"
        "        async with anyio.create_task_group() as group:\n"
        "            for _ in range(times): group.start_soon(account.withdraw, amount)\n"
        "        assert account.balance == 100 - 30 * times\n"
    )
    done.assert_outcomes(passed=4)


def test_hypothesis_drives_the_inputs(suite: Suite) -> None:
    done = suite(
        "from hypothesis import given, settings, strategies as st\n"
        "@pytest.mark.explore(bound=1)\n"
        "@settings(max_examples=30, deadline=None, database=None, derandomize=True)\n"
        "@given(st.integers(1, 100))\n"
        "async def test_it(amount):\n"
        "    account = Account()\n"
        "    async with anyio.create_task_group() as group:\n"
        "        for _ in range(2): group.start_soon(account.withdraw, amount)\n"
        "    assert account.balance >= 0\n"
    )
    done.assert_outcomes(failed=2)
    assert "amount=51" in done.stdout.str()


def test_other_async_tests_are_left_to_anyio(suite: Suite) -> None:
    done = suite("@pytest.mark.anyio\nasync def test_it(): await checkpoint()\n")
    done.assert_outcomes(passed=2)


def test_a_deadlock_is_a_failure_that_names_the_cycle(suite: Suite) -> None:
    done = suite(
        "@pytest.mark.explore\n"
        "async def test_abba():\n"
        "    a, b = anyio.Lock(), anyio.Lock()\n"
        "    async def take(first, second):\n"
        "        async with first:\n"
        "            async with second: pass\n"
        "    async with anyio.create_task_group() as group:\n"
        "        group.start_soon(take, a, b)\n"
        "        group.start_soon(take, b, a)\n"
    )
    done.assert_outcomes(failed=2)
    assert "cycle: take#1 -> take#2 -> take#1" in done.stdout.str()


def test_async_fixtures_keep_their_loop_beside_the_runs(suite: Suite) -> None:
    done = suite(
        "@pytest.fixture\n"
        "async def amount(anyio_backend):\n"
        "    await checkpoint()\n"
        "    yield 30\n"
        "    await checkpoint()\n"
        "@pytest.mark.explore\n"
        "async def test_schedules(amount): await Account().withdraw(amount)\n"
        "@pytest.mark.cancel_everywhere\n"
        "async def test_cancels(amount): await Account().withdraw(amount)\n"
    )
    done.assert_outcomes(passed=4)


def test_a_cancel_that_leaves_something_fails_on_both_back_ends(suite: Suite) -> None:
    done = suite(
        "import os, tempfile\n"
        "@pytest.mark.cancel_everywhere(twice=False)\n"
        "async def test_it():\n"
        "    folder = tempfile.mkdtemp()\n"
        "    await checkpoint()\n"
        "    os.rmdir(folder)\n"
    )
    done.assert_outcomes(failed=2)
    out = done.stdout.str()
    assert "CancelSweepFailed" in out
    assert "temporary file: tmp" in out


def test_a_test_with_both_marks_is_explored_and_cancelled(suite: Suite) -> None:
    tests = (
        "import os, tempfile\n"
        "@pytest.mark.{0}\n"
        "@pytest.mark.{1}\n"
        "async def test_leak():\n"
        "    folder = tempfile.mkdtemp()\n"
        "    await checkpoint()\n"
        "    os.rmdir(folder)\n"
        "@pytest.mark.{0}\n"
        "@pytest.mark.{1}\n"
        "async def test_race(): await two_withdrawals(None)\n"
        "@pytest.mark.{0}\n"
        "@pytest.mark.{1}\n"
        "async def test_fine(): await checkpoint()\n"
    )
    for marks in (("explore", "cancel_everywhere"), ("cancel_everywhere", "explore")):
        done = suite(tests.format(*marks))
        done.assert_outcomes(failed=4, passed=2)
        assert "temporary file: tmp" in done.stdout.str()
        assert "replay token '" in done.stdout.str()


def test_a_marks_backend_leaves_out_the_others(suite: Suite) -> None:
    done = suite(
        "@pytest.mark.explore(backend='asyncio')\n"
        "async def test_one(): await checkpoint()\n"
        "@pytest.mark.cancel_everywhere(backend='uvloop')\n"
        "async def test_other(): await checkpoint()\n"
        "@pytest.mark.explore(backend='trio')\n"
        "@pytest.mark.cancel_everywhere(backend='asyncio')\n"
        "async def test_both(): await checkpoint()\n",
        "-v",
    )
    done.assert_outcomes(passed=4)
    for name in ("one", "other", "both[asyncio]", "both[trio]"):
        assert f"test_{name} PASSED" in done.stdout.str()


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("explore(3)", "@pytest.mark.explore takes its options by name, like bound=3, not 3"),
        ("cancel_everywhere(False)", "takes its options by name, like twice=False, not False"),
        ("explore(backend='uvloop')", "backend must be one of asyncio, trio, not 'uvloop'"),
    ],
)
def test_arguments_that_a_mark_cannot_obey_are_errors(suite: Suite, mark: str, said: str) -> None:
    done = suite(f"@pytest.mark.{mark}\nasync def test_it(): pass\n")
    done.assert_outcomes(errors=1)
    assert said in done.stdout.str()


# --- the same verdict, however people write their tests

LOST_UPDATE = """
import asyncio
import unittest

import pytest


class Counter:
    def __init__(self):
        self.count = 0

    async def add(self):
        seen = self.count
        await asyncio.sleep(0)
        self.count = seen + 1


async def both_add(counter):
    await asyncio.gather(counter.add(), counter.add())
    assert counter.count == 2, counter.count
"""

FORMS = {
    "a function": """
@pytest.mark.explore
async def test_it(): await both_add(Counter())
""",
    "a fixture": """
@pytest.fixture
def counter(): return Counter()
@pytest.mark.explore
async def test_it(counter): await both_add(counter)
""",
    "a fixture that ends": """
@pytest.fixture
def base(): return Counter
@pytest.fixture
def counter(base, request):
    request.addfinalizer(lambda: None)
    yield base()
@pytest.mark.explore
async def test_it(counter): await both_add(counter)
""",
    "a class with setup_method": """
class TestIt:
    def setup_method(self, method): self.counter = Counter()
    def teardown_method(self): assert self.counter
    @pytest.mark.explore
    async def test_it(self): await both_add(self.counter)
""",
    "a fixture of a class": """
class TestIt:
    @pytest.fixture
    def counter(self): return Counter()
    @pytest.mark.explore
    async def test_it(self, counter): await both_add(counter)
""",
    "parameters": """
@pytest.fixture(params=[0])
def counter(request):
    counter = Counter()
    counter.count = request.param
    return counter
@pytest.mark.parametrize("twice", [1])
@pytest.mark.explore
async def test_it(counter, twice): await both_add(counter)
""",
    "unittest": """
class TestIt(unittest.IsolatedAsyncioTestCase):
    def setUp(self): self.made = []
    async def asyncSetUp(self):
        await asyncio.sleep(0)
        self.counter = Counter()
        self.addAsyncCleanup(asyncio.sleep, 0)
    async def asyncTearDown(self): assert self.made == []
    @pytest.mark.explore
    async def test_it(self): await both_add(self.counter)
""",
    "anyio's mark": """
@pytest.mark.anyio
@pytest.mark.explore
async def test_it(): await both_add(Counter())
""",
}
ASYNC_FIXTURE = """
@{fixture}
async def counter():
    await asyncio.sleep(0)
    yield Counter()
    await asyncio.sleep(0)
{mark}
@pytest.mark.explore
async def test_it(counter): await both_add(counter)
"""
ASYNCIO_FORMS = {
    "strict": "@pytest.mark.asyncio\n@pytest.mark.explore\n"
    "async def test_it(): await both_add(Counter())\n",
    "auto": "@pytest.mark.explore\nasync def test_it(): await both_add(Counter())\n",
    "strict, fixture": "import pytest_asyncio\n"
    + ASYNC_FIXTURE.format(fixture="pytest_asyncio.fixture", mark="@pytest.mark.asyncio"),
    "auto, fixture": ASYNC_FIXTURE.format(fixture="pytest.fixture", mark=""),
}


def mended(form: str) -> str:
    return form.replace("Counter()", "Mended()").replace("return Counter\n", "return Mended\n")


MENDED = """
class Mended(Counter):
    async def add(self): self.count += 1
"""


@pytest.mark.parametrize("form", FORMS)
def test_a_race_fails_and_its_mended_twin_passes(pytester: pytest.Pytester, form: str) -> None:
    pytester.makeini(INI)
    for tests, outcome in ((FORMS[form], "failed"), (mended(FORMS[form]), "passed")):
        pytester.makepyfile(LOST_UPDATE + MENDED + tests)
        done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly")
        done.assert_outcomes(**{outcome: 1})
        assert ("replay token 'fifo'" in done.stdout.str()) == (outcome == "failed")


@pytest.mark.parametrize("form", ASYNCIO_FORMS)
def test_pytest_asyncio_leaves_a_marked_test_to_the_mark(
    pytester: pytest.Pytester, form: str
) -> None:
    pytest.importorskip("pytest_asyncio")
    mode = form.partition(",")[0]
    pytester.makeini(f"{INI}asyncio_mode={mode}\nasyncio_default_fixture_loop_scope=function\n")
    for tests, outcome in (
        (ASYNCIO_FORMS[form], "failed"),
        (mended(ASYNCIO_FORMS[form]), "passed"),
    ):
        pytester.makepyfile(LOST_UPDATE + MENDED + tests)
        done = pytester.runpytest_subprocess("-p", "no:cacheprovider")
        done.assert_outcomes(**{outcome: 1})


def test_pytest_trios_mark_chooses_trio(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pytest_trio")
    pytester.makepyfile(
        "import pytest, trio\n"
        "@pytest.mark.trio\n"
        "@pytest.mark.explore\n"
        "async def test_it():\n"
        "    log = []\n"
        "    async def note(name):\n"
        "        await trio.lowlevel.checkpoint()\n"
        "        log.append(name)\n"
        "    async with trio.open_nursery() as group:\n"
        "        group.start_soon(note, 'a')\n"
        "        group.start_soon(note, 'b')\n"
        "    assert log == ['a', 'b']\n"
    )
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio")
    done.assert_outcomes(failed=1)
    assert "trio, schedule" in done.stdout.str()


def test_asyncio_alone_is_the_default(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)
    pytester.makepyfile(HEAD + "@pytest.mark.explore\nasync def test_it(): await checkpoint()\n")
    done = pytester.runpytest_inprocess("-v", "-p", "no:cacheprovider")
    done.assert_outcomes(passed=1)
    assert "test_it PASSED" in done.stdout.str()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("aconcur_backends = curio", "aconcur_backends must be one of asyncio, trio, not 'curio'"),
        ("aconcur_bound = many", "aconcur_bound must be a number, not 'many'"),
        ("aconcur_seconds = -1", "seconds must be more than 0, not -1.0"),
    ],
)
def test_a_wrong_ini_key_is_named(pytester: pytest.Pytester, key: str, said: str) -> None:
    pytester.makeini(f"{INI}{key}\n")
    pytester.makepyfile(HEAD + "@pytest.mark.explore\nasync def test_it(): await checkpoint()\n")
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    assert done.ret != 0
    assert said in done.stdout.str() + done.stderr.str()


def test_the_ini_keys_limit_the_search_unless_the_mark_does(pytester: pytest.Pytester) -> None:
    pytester.makeini(f"{INI}aconcur_bound = 0\n")
    pytester.makepyfile(
        HEAD + "@pytest.mark.explore\n"
        "async def test_ini(record_property): await two_withdrawals(anyio.Lock())\n"
        "@pytest.mark.explore(bound=2)\n"
        "async def test_mark(): await two_withdrawals(anyio.Lock())\n"
    )
    reports = pytester.inline_run("-p", "no:cacheprovider").getreports("pytest_runtest_logreport")
    ini, mark = (dict(one.user_properties)["schedules"] for one in reports if one.when == "call")
    assert ini == 2
    assert isinstance(mark, int)
    assert mark > 2


def test_a_unittest_class_that_is_not_async_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import pytest, unittest\n"
        "class TestIt(unittest.TestCase):\n"
        "    @pytest.mark.explore\n"
        "    async def test_it(self): pass\n"
    )
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    assert "needs unittest.IsolatedAsyncioTestCase" in done.stdout.str() + done.stderr.str()
