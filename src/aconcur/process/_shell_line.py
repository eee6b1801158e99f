"""Parse a line of shell into commands. No shell runs, so nothing in it is expanded.

Rule: every character is either understood as ``sh`` would, or refused with its place.

Source: POSIX.1-2024, Shell Command Language, 2.2 Quoting, 2.7 Redirection, 2.9.2 Pipelines.
"""

from __future__ import annotations

__all__ = ("shell_line",)

import re
from pathlib import Path
from typing import Any, Final, final

from aconcur.process._command import Command, CommandPipe, Runnable
from aconcur.process._redirect import STDOUT, Append

_ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_STDERR: Final = re.compile(r"2(>&1|>>|>)(?!&)[ \t]*|2>&1")
_REFUSED: Final = {
    "<": "pass the file as input=",
    ">": "pass the file as output=",
    "&": "use a task group to run commands side by side",
    ";": "run one command after the other",
    "(": "run one command after the other",
    ")": "run one command after the other",
    "$": "format the value into an argument, or quote it with '…'",
    "`": "run the inner command first, or quote it with '…'",
    "*": "expand names with Path.glob(), or quote it with '…'",
    "?": "expand names with Path.glob(), or quote it with '…'",
    "[": "expand names with Path.glob(), or quote it with '…'",
    "~": "use Path.home(), or quote it with '…'",
    "#": "leave the comment out, or quote it with '…'",
    "{": "write the words out, or quote it with '…'",
    "!": "use ok_codes=, or quote it with '…'",
}


def shell_line(text: str) -> Runnable:
    r"""Return the command or the pipe that a simple line of shell describes.

    ``shell_line("LC_ALL=C sort -k 2 'my file' 2>/dev/null | head")`` is
    ``Command("sort", "-k", "2", "my file", env={"LC_ALL": "C"}, stderr=Path("/dev/null")) |
    Command("head")``. Understood are words, quotes, ``\``, ``|``, ``|&``, ``2>``, ``2>>``,
    ``2>&1`` and variables before a command. Nothing is expanded, so a line that holds user input
    cannot run another program than it names; quote such input with :func:`shlex.quote` all the
    same, or it may become several arguments.

    Raises:
        ValueError: the line is empty, a quote is not closed, or it needs a shell; the message says
            at which place, and what to use instead.

    Cost: 1 µs a character.
    """
    return _Parser(text).parse()


@final
class _Parser:
    """Reads one line from left to right."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def parse(self) -> Runnable:
        commands = [self._command()]
        while self._at < len(self._text):
            self._at += 1  # the bar
            if self._text[self._at : self._at + 1] == "&":
                self._at += 1
                commands[-1] = commands[-1].with_(stderr=STDOUT)
            elif self._text[self._at : self._at + 1] == "|":
                raise self._error("|| is not supported: use check=False and look at .ok")
            commands.append(self._command())
        return commands[0] if len(commands) == 1 else CommandPipe(*commands)

    def _command(self) -> Command:
        words: list[str] = []
        env: dict[str, str] = {}
        options: dict[str, Any] = {}
        while True:
            self._skip_spaces()
            if self._at >= len(self._text) or self._text[self._at] == "|":
                break
            if redirection := _STDERR.match(self._text, self._at):
                self._at = redirection.end()
                options["stderr"] = self._stderr(redirection.group().strip())
                continue
            begin = self._at
            word = self._word()
            assignment = _ASSIGNMENT.fullmatch(word)
            named = _ASSIGNMENT.match(self._text, begin)
            if assignment and named and not words:
                env[assignment[1]] = assignment[2]
            else:
                words.append(word)
        if not words:
            raise self._error("a command is missing")
        return Command(*words, env=env or None, **options)

    def _stderr(self, operator: str) -> Any:  # noqa: ANN401 - a redirection
        if operator == "2>&1":
            return STDOUT
        path = self._word()
        return Append(path) if operator == "2>>" else Path(path)

    def _skip_spaces(self) -> None:
        while self._text[self._at : self._at + 1].isspace():
            if self._text[self._at] == "\n" and self._text[self._at :].strip():
                raise self._error("a second line is not supported: run one after the other")
            self._at += 1

    def _word(self) -> str:
        parts: list[str] = []
        begin = self._at
        while self._at < len(self._text):
            char = self._text[self._at]
            if char.isspace() or char == "|":
                break
            if char == "'":
                parts.append(self._quoted("'"))
            elif char == '"':
                parts.append(self._double_quoted())
            elif char == "\\":
                parts.append(self._text[self._at + 1 : self._at + 2])
                self._at += 2
            elif char in _REFUSED and not (char in "~#!{" and self._at > begin):
                raise self._error(f"{char} needs a shell: {_REFUSED[char]}")
            else:
                parts.append(char)
                self._at += 1
        if self._at == begin:
            raise self._error("a file name is missing")
        return "".join(parts)

    def _quoted(self, quote: str) -> str:
        end = self._text.find(quote, self._at + 1)
        if end < 0:
            raise self._error(f"the quote {quote} is not closed")
        text = self._text[self._at + 1 : end]
        self._at = end + 1
        return text

    def _double_quoted(self) -> str:
        parts: list[str] = []
        begin = self._at
        self._at += 1
        while (char := self._text[self._at : self._at + 1]) != '"':
            if not char:
                self._at = begin
                raise self._error('the quote " is not closed')
            if char in "$`":
                raise self._error(f"{char} needs a shell: {_REFUSED[char]}")
            if char == "\\" and self._text[self._at + 1 : self._at + 2] in {"$", "`", '"', "\\"}:
                self._at += 1
                char = self._text[self._at]
            parts.append(char)
            self._at += 1
        self._at += 1
        return "".join(parts)

    def _error(self, fault: str) -> ValueError:
        return ValueError(f"{self._text!r}, at character {self._at + 1}: {fault}")
