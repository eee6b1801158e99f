"""A simple line of shell, parsed and not run by a shell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aconcur.process import STDOUT, Append, Command, CommandPipe, Runnable, shell_line

DEV_NULL = Path(os.devnull)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ls -l", Command("ls", "-l")),
        (" ls\t-l \n", Command("ls", "-l")),
        ("a|b | c", CommandPipe(Command("a"), Command("b"), Command("c"))),
        ("a |& b", Command("a", stderr=STDOUT) | Command("b")),
        ("A=1 B='x y' env A=2", Command("env", "A=2", env={"A": "1", "B": "x y"})),
        ("'A=1' b", Command("A=1", "b")),
        ("a 2>/dev/null b", Command("a", "b", stderr=DEV_NULL)),
        ("a 2> 'b c'", Command("a", stderr=Path("b c"))),
        ("a 2>>b", Command("a", stderr=Append("b"))),
        ("a 2>&1 | b", Command("a", stderr=STDOUT) | Command("b")),
        (r"""a 'b'"c"d\ e "x\"y\n\\" '' "" '$x' \$x""", None),
        ("echo a=b ~x{ a~ HEAD@{1} a#b x!", None),
    ],
)
async def test_it_is_what_the_shell_would_run(line: str, expected: Runnable | None) -> None:
    if expected is not None:
        assert shell_line(line) == expected
        return
    arguments = line.partition(" ")[2].replace("~x{", "")
    ours = shell_line(f"printf '%s|' {arguments}")
    theirs = Command("sh", "-c", f"printf '%s|' {arguments}")
    assert (await ours.run()).stdout == (await theirs.run()).stdout


async def test_it_runs() -> None:
    assert (await shell_line("printf 'b\\na\\n' | sort").run()).stdout == b"a\nb\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "'', at character 1: a command is missing"),
        ("a |", "at character 4: a command is missing"),
        ("A=1", "a command is missing"),
        ("a > b", "> needs a shell: pass the file as output="),
        ("a < b", "< needs a shell: pass the file as input="),
        ("a $B", r"\$ needs a shell"),
        ('a "$B"', r"\$ needs a shell"),
        ("a `b`", "` needs a shell"),
        ('a "`b`"', "` needs a shell"),
        ("a *.py", r"\* needs a shell: expand names with Path.glob"),
        ("a ~", "~ needs a shell"),
        ("a # b", "# needs a shell"),
        ("! a", "! needs a shell"),
        ("a; b", "; needs a shell"),
        ("a &", "& needs a shell"),
        ("(a)", r"\( needs a shell"),
        ("a || b", r"\|\| is not supported"),
        ("a\nb", "a second line is not supported"),
        ("a 'b", "the quote ' is not closed"),
        ('a "b', 'the quote " is not closed'),
        ("a 2>", "a file name is missing"),
    ],
)
def test_what_needs_a_shell_is_refused_with_its_place(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shell_line(line)
