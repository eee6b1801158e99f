"""What ``aconcur doctor`` says about a machine."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

from aconcur import __version__


def doctor(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aconcur", "doctor", *arguments],
        capture_output=True,
        text=True,
        env=None if path is None else {"PATH": path},
        check=False,
    )


def test_it_names_versions_extras_and_features() -> None:
    done = doctor()
    assert (done.returncode, done.stderr) == (0, "")
    facts = {line[:14].rstrip(): line[15:] for line in done.stdout.splitlines()}
    assert facts["aconcur"].startswith(f"{__version__} in ")
    assert f"{platform.python_implementation()} {platform.python_version()}" in facts["Python"]
    assert sys.executable in facts["Python"]
    assert platform.system() in facts["system"]
    assert facts["event loops"].startswith("anyio ")
    assert facts["memfd"] == ("yes" if sys.platform == "linux" else "no")
    assert facts["/proc"] == ("yes" if Path("/proc/self/stat").exists() else "no")
    assert set(facts) == {
        *("aconcur", "Python", "system", "processors", "event loops", "cli", "images", "life"),
        *("dask", "cloudpickle", "pidfd", "memfd", "pipe size", "/proc", "open files", "programs"),
    }


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    done = doctor(path=str(tmp_path))
    assert done.stdout.splitlines()[-1] == "programs       no openssl, no md5sum, no sh"


def test_a_word_too_much_is_refused() -> None:
    done = doctor("all")
    assert done.returncode == 2
    assert "unrecognized arguments: all" in done.stderr
