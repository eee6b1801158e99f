"""Demand that pyright knows the type of everything public: ``python -m tests.public_types``.

Lessons are left to mypy: they are programs to read and to run, not to import. Beside this, the
strict modes of pyright and mypy must accept what a user reads and copies: the examples, the
snippets of the README and the docs, and each ``types_accepted.py``; and pyright must reject what
mypy rejects in ``types_rejected.py``, line by line.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

LESSON = "aconcur.lessons.item"
EXPECTED = "  # type: ignore"


def accepted(path: Path) -> list[str]:
    """Return the lines that are to be rejected, and that pyright does not reject."""
    lines = path.read_text(encoding="utf-8").splitlines()
    with TemporaryDirectory() as folder:
        bare = Path(folder, path.name)
        bare.write_text("\n".join(line.partition(EXPECTED)[0] for line in lines) + "\n")
        done = subprocess.run(
            ["pyright", "--pythonpath", sys.executable, "--outputjson", str(bare)],
            capture_output=True,
            text=True,
            check=False,
        )
    found = json.loads(done.stdout)["generalDiagnostics"]
    rejected = {one["range"]["start"]["line"] for one in found if one["severity"] == "error"}
    return [line for at, line in enumerate(lines) if EXPECTED in line and at not in rejected]


def refused() -> list[str]:
    """Return what the strict modes of pyright and mypy say against the programs of a reader."""
    with TemporaryDirectory() as folder:
        for path in (*Path("examples").glob("*.py"), *Path("tests").glob("*/types_accepted.py")):
            shutil.copy(path, Path(folder, f"{path.parent.name}_{path.name}"))
        for page in (Path("README.md"), *Path("docs").rglob("*.md")):
            text = page.read_text(encoding="utf-8")
            for number, snippet in enumerate(
                re.findall(r"```python\n(.*?)```", text, re.DOTALL), 1
            ):
                name = f"{page.stem.replace('-', '_')}_{number}.py"
                Path(folder, name).write_text(snippet, encoding="utf-8")
        # A name that a loop over an empty source leaves unbound says nothing about our types.
        rules = {"typeCheckingMode": "strict", "reportPossiblyUnboundVariable": "none"}
        Path(folder, "pyrightconfig.json").write_text(json.dumps(rules), encoding="utf-8")
        pyright = ["pyright", "--pythonpath", sys.executable, "--project", folder]
        mypy = ["mypy", "--strict", "--no-error-summary", "--python-executable", sys.executable]
        said = ""
        for command in (pyright, [*mypy, *map(str, Path(folder).glob("*.py"))]):
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
            said += done.stdout if done.returncode else done.stderr
        return [
            line.replace(folder, "")
            for line in said.splitlines()
            if ": error" in line or " - error" in line
        ]


def main() -> None:
    """Print each public symbol whose type is not fully known; exit with 1 if there is one."""
    done = subprocess.run(
        ["pyright", "--verifytypes", "aconcur", "--ignoreexternal", "--outputjson"],
        capture_output=True,
        text=True,
        check=False,
    )
    symbols = [
        symbol
        for symbol in json.loads(done.stdout)["typeCompleteness"]["symbols"]
        if symbol["isExported"] and not symbol["name"].startswith(LESSON)
    ]
    vague = [symbol["name"] for symbol in symbols if not symbol["isTypeKnown"]]
    print(*vague, sep="\n", end="\n" if vague else "")
    print(f"{len(symbols) - len(vague)} of {len(symbols)} public symbols have a known type")
    wrong = [
        f"{path}: pyright accepts {line.strip()}"
        for path in Path("tests").glob("*/types_rejected.py")
        for line in accepted(path)
    ]
    wrong += refused()
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(bool(vague or wrong) or not symbols)


if __name__ == "__main__":
    main()
