"""The command ``aconcur`` as a shell and a terminal see it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from aconcur import __version__
from aconcur.compare.lesson import load_lessons
from tests.support.extras import skip_without
from tests.support.programs import started
from tests.support.pseudo_terminal import open_pseudo_terminal
from tests.support.states import until_sync

ACONCUR = [sys.executable, "-m", "aconcur"]
# For what does not depend on how many versions are measured.
TWO_VERSIONS = [sys.executable, "-m", "tests.support.two_versions"]
QUEUE = "aconcur.lessons.item39_queue"


def run(
    *arguments: str, program: Sequence[str] = ACONCUR, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=60,
        check=False,
    )


def test_the_version_is_data() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"aconcur {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "arguments are required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["compare", "35"], "no item '35': choose from 36 (subprocess)"),
        (["compare", "--slowly"], "unrecognized arguments: --slowly"),
        (["compare", "--check", "--write"], "--check measures and writes nothing: give it alone"),
        (["compare", "--record", "--quick"], "--record does not go with --quick"),
        (["compare", "--write", "39"], "--write is for the whole page: name no item"),
    ],
)
def test_a_wrong_command_line_exits_with_two(arguments: Sequence[str], complaint: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_a_page_outside_a_checkout_is_asked_for_by_name(tmp_path: Path) -> None:
    code = (
        "import aconcur, aconcur.cli, sys, pathlib;"
        f"aconcur.__file__ = {str(tmp_path / 'a/b/c/d.py')!r};"
        "aconcur.cli.main(['compare', '--check'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (
        1,
        "aconcur: COMPARISON.md was not found here: run this in a checkout of aconcur\n",
    )


@pytest.mark.parametrize("project", ['[project]\nname = "other"\n', "project = 1\n", "", "no toml"])
@pytest.mark.parametrize("option", ["--write", "--check"])
def test_the_page_of_another_project_is_left_alone(
    tmp_path: Path, project: str, option: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(project)
    page = tmp_path / "COMPARISON.md"
    page.write_text("ours\n")
    code = (
        "import aconcur, aconcur.cli, sys, pathlib;"
        f"aconcur.__file__ = {str(tmp_path / 'a/b/c/d.py')!r};"
        f"aconcur.cli.main(['compare', {option!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr, page.read_text()) == (
        1,
        "aconcur: COMPARISON.md was not found here: run this in a checkout of aconcur\n",
        "ours\n",
    )


def test_a_lesson_is_shown_on_stdout_and_its_progress_on_stderr() -> None:
    done = run("compare", "40", "--quick", COLUMNS="100")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Item 40 (later editions: 71 and 75) · ")
    for part in ("all answers were equal", "no difference is claimed", "compare 40 --all"):
        assert part in done.stdout
    assert done.stderr.startswith("measuring item 40 (coroutines): ")
    assert "\x1b[" not in done.stdout + done.stderr


def test_raw_figures_are_json() -> None:
    done = run("compare", "40", "--quick", "--json", program=TWO_VERSIONS)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)["coroutines"]
    assert record["machine"]["python"].endswith(sys.version.split()[0])
    assert all(v["wall"] for case in record["cases"] for v in case["versions"])


def test_a_missing_program_fails_its_lesson_and_no_other(tmp_path: Path) -> None:
    done = run("compare", "36", "40", "--quick", program=TWO_VERSIONS, PATH=str(tmp_path))
    assert done.returncode == 1
    assert "item 36 (subprocess): program openssl was not found: install" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("Item 40 (later editions: 71 and 75) · ")


def test_a_missing_module_fails_its_lesson_and_no_other() -> None:
    hide = "import sys, aconcur.lessons.needs as n; n.find_spec = lambda name: None;"
    code = f"{hide} import aconcur.cli; aconcur.cli.main(['compare', 'queue', '--quick'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "item 39 (queue): module" in done.stderr
    assert "was not found: pip install 'aconcur[images]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_early_is_no_error() -> None:
    with started(*TWO_VERSIONS, "compare", "40", "40", "--quick") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(30)
    assert process.returncode == 1
    assert "Traceback" not in errors
    assert "Broken pipe" not in errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_a_full_disk_is_named() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device, not a path
        done = subprocess.run(
            [*TWO_VERSIONS, "compare", "40", "--quick"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.endswith("aconcur: [Errno 28] No space left on device\n")


def test_without_trio_nothing_is_recorded() -> None:
    code = (
        "import aconcur.compare.rounds as r, aconcur.cli.compare as c, aconcur.cli;"
        "r.find_spec = lambda name: None;"
        "c.write_record = None;"
        "aconcur.cli.main(['compare', '37', '--record'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "aconcur: a record holds every version, but trio is not installed: pip install trio\n",
    )


sees_processes = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="without /proc nobody tells a process's children"
)


def _group_members(group: int) -> list[str]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state != "Z":
            found.append(stat.parent.name)
    return found


def _probes_of(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(pid) for file in children for pid in file.read_text().split()]


@sees_processes
@pytest.mark.parametrize("whole_group", [True, False], ids=["terminal", "parent-only"])
def test_ctrl_c_in_the_middle_ends_everything_at_once(whole_group: bool) -> None:
    with started(*TWO_VERSIONS, "compare", "37") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("measuring item 37")
        until_sync(lambda: _probes_of(process.pid))
        probes = _probes_of(process.pid)
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=50)
        assert process.returncode == 130
        assert (output, errors) == ("", "aconcur: interrupted\n")
        assert not [member for probe in probes for member in _group_members(probe)]


def test_ctrl_c_while_it_is_still_importing_is_no_traceback() -> None:
    pressed = """
import signal, sys
class Press:
    def find_spec(self, name, *_):
        if name == "argparse":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Press())
from aconcur.cli import main
main(["--version"])
"""
    done = subprocess.run(
        [sys.executable, "-c", pressed], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "aconcur: interrupted\n")


def test_a_ctrl_c_that_python_ignores_comes_again() -> None:
    pressed = """
import os, signal, sys, time
class Press:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        while True:  # KeyboardInterrupt ends it, and is ignored
            pass
class Finder:
    def find_spec(self, name, *_):
        if name == "argparse":
            Press()
            print("ignored", flush=True)
            time.sleep(30)
sys.meta_path.insert(0, Finder())
from aconcur.cli import main
main(["--version"])
"""
    with started(sys.executable, "-c", pressed) as process:
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (130, "ignored\n", "aconcur: interrupted\n")


IGNORING_CTRL_C = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]


@sees_processes
@skip_without("httpx2", "PIL")
@pytest.mark.parametrize("shell", [[], IGNORING_CTRL_C], ids=["foreground", "background"])
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([*TWO_VERSIONS, "compare", "39"], "aconcur: terminated\n"),
        (
            [sys.executable, "-m", f"{QUEUE}.rebuilt", "--size", "5000"],
            f"python -m {QUEUE}.rebuilt: terminated\n",
        ),
        (
            [sys.executable, "-m", f"{QUEUE}.original", "--size", "5000"],
            f"python -m {QUEUE}.original: terminated\n",
        ),
    ],
    ids=["aconcur", "rebuilt", "original"],
)
def test_sigterm_ends_everything_as_ctrl_c_does(
    tmp_path: Path, shell: list[str], command: list[str], said: str
) -> None:
    with started(*shell, *command, env={"TMPDIR": str(tmp_path)}) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        (process.stderr if "compare" in command else process.stdout).readline()
        until_sync(lambda: _probes_of(process.pid) and any(tmp_path.iterdir()))
        children = _probes_of(process.pid)
        process.terminate()
        _, errors = process.communicate(timeout=50)
        assert (process.returncode, errors) == (143, said)
        assert not [member for child in children for member in _group_members(child)]
    assert not list(tmp_path.iterdir())


COMPARE = ["tests.support.two_versions", "compare", "40", "--quick"]
COMMANDS_ALONE = ["aconcur.lessons.item36_subprocess.rebuilt", "--size", "1"]
LOCK_ALONE = ["aconcur.lessons.item38_lock.rebuilt", "--size", "10"]


def in_a_shell(redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module with output that is buffered, as it is for everybody but our developers."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("closed", "arguments"),
    [
        *(
            (closed, arguments)
            for arguments in (COMPARE, COMMANDS_ALONE, LOCK_ALONE)
            for closed in ("<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-")
        ),
    ],
)
def test_data_for_a_stdout_that_the_shell_closed_is_an_error(
    closed: str, arguments: list[str]
) -> None:
    done = in_a_shell(closed, *arguments)
    without_stdout = " >&-" in f" {closed}"
    assert done.returncode == without_stdout
    assert "Traceback" not in done.stderr
    assert bool(done.stdout) != without_stdout
    told = "stdout is closed: send it to a file or a program\n"
    assert done.stderr.endswith(told) == (closed == ">&-")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
@pytest.mark.parametrize(
    ("arguments", "redirection", "code"),
    [
        (["--version"], "> /dev/full", 1),
        (["--version"], ">&-", 1),
        (["race"], "> /dev/full", 1),
        (["life", "--list"], ">&-", 1),
        (["gcd"], ">&-", 0),  # there is nothing to print
        (["gcd"], "<&-", 1),
        (["gcd"], "2> /dev/full", 1),
        (["fly"], "2> /dev/full", 2),
        (["journal", "show", "/nowhere"], "> /dev/full 2> /dev/full", 1),
    ],
)
def test_what_cannot_be_said_is_an_exit_code_that_is_documented(
    arguments: list[str], redirection: str, code: int
) -> None:
    done = in_a_shell(redirection, "aconcur", *arguments)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert bool(done.stderr) or "2>" in redirection


@skip_without("rich")
@pytest.mark.parametrize("columns", [40, 120])
def test_a_terminal_gets_colours_and_no_line_too_long(columns: int) -> None:
    from rich.text import Text

    arguments = (*ACONCUR, "compare", "40", "--quick")
    with open_pseudo_terminal(*arguments, rows=50, columns=columns) as terminal:
        code, screen = terminal.wait_for_end(), terminal.screen
    assert code == 0, screen
    assert "\x1b[" in screen
    lines = [Text.from_ansi(line.rpartition("\r")[2]).plain for line in screen.split("\r\n")]
    assert max(len(line) for line in lines) <= columns
    assert "Item 40" in screen


def test_the_committed_page_is_true() -> None:
    done = run("compare", "--check")
    assert (done.returncode, done.stderr) == (0, "COMPARISON.md matches the lessons\n")


def test_every_lesson_has_figures_of_its_own_sources() -> None:
    for lesson in load_lessons():
        assert lesson.record.is_file(), f"aconcur compare {lesson.item} --record"
