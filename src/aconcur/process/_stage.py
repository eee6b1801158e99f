"""One command of a pipe as plain data, and the shell's way to write it.

Rule: nothing here starts, opens or awaits anything.
"""

from __future__ import annotations

__all__ = ("Argument", "EnvValue", "Stage", "shell_line")

import os
import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from aconcur.process._secret import MASK, Secret
from aconcur.process._redirect import Stderr, Wiring

Argument: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
EnvValue: TypeAlias = str | bytes | Secret | None

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STDERRS: Final = (Wiring.CAPTURE, Wiring.DISCARD, Wiring.INHERIT, Wiring.STDOUT)


@dataclass(frozen=True, slots=True)
class Stage:
    """What to start, and how to judge its end."""

    args: tuple[str | bytes, ...]
    env: tuple[tuple[str, str | bytes | Secret | None], ...]
    inherit_env: bool
    cwd: str | None
    stderr: Stderr
    ok_codes: frozenset[int]

    @classmethod
    def checked(
        cls,
        args: tuple[Argument, ...],
        env: Mapping[str, EnvValue] | None,
        inherit_env: bool,
        cwd: str | os.PathLike[str] | None,
        stderr: Stderr,
        ok_codes: Collection[int],
    ) -> Stage:
        """Return a stage that at least could be started."""
        if stderr not in _STDERRS:
            raise ValueError(f"stderr must be one of {_STDERRS}, not {stderr!r}")
        if env is not None and not isinstance(env, Mapping):
            # Not shown: it may hold what is secret.
            raise TypeError(f"env must be a mapping of names to values, not {type(env).__name__}")
        if cwd is not None and not isinstance(cwd, str | os.PathLike):
            raise TypeError(f"cwd must be a str or a path, not {cwd!r}")
        if not isinstance(ok_codes, Collection) or not all(
            isinstance(code, int) for code in ok_codes
        ):
            raise TypeError(f"ok_codes must be statuses, such as {{0, 1}}, not {ok_codes!r}")
        if not ok_codes:
            raise ValueError("ok_codes must name at least one status: 0 is the usual one")
        return cls(
            tuple(_argument(number, arg) for number, arg in enumerate(args)),
            tuple(_variable(name, value) for name, value in (env or {}).items()),
            inherit_env,
            None if cwd is None else os.fspath(cwd),
            stderr,
            frozenset(ok_codes),
        )

    @property
    def shown_args(self) -> tuple[str, ...]:
        """The arguments as text."""
        return tuple(os.fsdecode(arg) for arg in self.args)

    def environment(self) -> dict[bytes, bytes] | None:
        """Return the whole environment of the program, secrets included; None if it is ours."""
        if self.inherit_env and not self.env:
            return None
        found = dict(os.environb) if self.inherit_env else {}
        for name, value in self.env:
            if value is None:
                found.pop(os.fsencode(name), None)
            else:
                plain = value.reveal() if isinstance(value, Secret) else value
                found[os.fsencode(name)] = os.fsencode(plain)
        return found


def _argument(number: int, arg: object) -> str | bytes:
    if isinstance(arg, Secret):
        raise TypeError(
            f"argument {number} is a Secret, and everybody can read arguments: pass it by env="
        )
    if not isinstance(arg, str | bytes | os.PathLike):
        raise TypeError(f"argument {number} must be str, bytes or a path, not {arg!r}")
    plain: str | bytes = os.fspath(arg)
    if not plain and not number:
        raise ValueError("the program must have a name, not ''")
    if 0 in os.fsencode(plain):
        raise ValueError(f"argument {number} must be without NUL: {plain!r}")
    return plain


def _variable(name: object, value: object) -> tuple[str, str | bytes | Secret | None]:
    # No value stands in these messages: it may be secret though nobody said so.
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise ValueError(f"an env name must be text without '=' and NUL, not {name!r}")
    if not isinstance(value, str | bytes | Secret | None):
        kind = type(value).__name__
        raise TypeError(f"env[{name!r}] must be str, bytes, Secret or None, not {kind}")
    plain = value.reveal() if isinstance(value, Secret) else value
    if plain is not None and 0 in os.fsencode(plain):
        raise ValueError(f"env[{name!r}] must be without NUL")
    return name, value


def shell_line(stages: tuple[Stage, ...]) -> str:
    """Return a line for ``sh`` that does the same. Secrets are ``***``: put them in by hand."""
    return " | ".join(map(_shell_words, stages))


def _shell_words(stage: Stage) -> str:
    line = " ".join([*_shell_environment(stage), *map(shlex.quote, stage.shown_args)])
    if stage.stderr is Wiring.DISCARD:
        line += " 2>/dev/null"
    elif stage.stderr is Wiring.STDOUT:
        line += " 2>&1"
    return line if stage.cwd is None else f"(cd {shlex.quote(stage.cwd)} && {line})"


def _shell_environment(stage: Stage) -> list[str]:
    plain = stage.inherit_env and all(
        value is not None and _NAME.fullmatch(name) for name, value in stage.env
    )
    words = [] if plain else ["env"] if stage.inherit_env else ["env", "-i"]
    if stage.inherit_env:
        removed = (name for name, value in stage.env if value is None)
        words += [word for name in removed for word in ("-u", shlex.quote(name))]
    for name, value in stage.env:
        if value is not None:
            text = MASK if isinstance(value, Secret) else os.fsdecode(value)
            words.append(f"{name}={shlex.quote(text)}" if plain else shlex.quote(f"{name}={text}"))
    return words
