"""One command of a pipe as plain data, and a line of shell that does the same.

Rule: nothing here starts, opens or awaits anything.
"""

from __future__ import annotations

__all__ = ("Argument", "EnvValue", "Limits", "Stage", "render_shell_line")

import os
import re
import resource
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from aconcur.process._redirect import Append, Stderr, Wiring, check_output
from aconcur.process._secret import MASK, Secret, variable_fault

Argument: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
EnvValue: TypeAlias = str | bytes | Secret | None
Limits: TypeAlias = Mapping[int, int | tuple[int, int]]
"""``resource.RLIMIT_…`` → the soft and the hard limit, or one number for both."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Stage:
    """The program to start, how to start it, and which statuses are a success."""

    args: tuple[str | bytes, ...]
    env: tuple[tuple[str, str | bytes | Secret | None], ...] = ()
    inherit_env: bool = True
    cwd: str | None = None
    stderr: Stderr = Wiring.CAPTURE
    ok_codes: frozenset[int] = frozenset({0})
    umask: int | None = None
    user: str | int | None = None
    group: str | int | None = None
    extra_groups: tuple[str | int, ...] | None = None
    pass_fds: tuple[int, ...] = ()
    nice: int | None = None
    rlimits: tuple[tuple[int, tuple[int, int]], ...] = ()
    start_new_session: bool = False

    @classmethod
    def checked(cls, args: tuple[Argument, ...], options: Mapping[str, Any]) -> Stage:
        """Return a stage whose values a program could get.

        Args:
            args: the program and its arguments.
            options: the keyword arguments of ``Command``. Missing ones have their defaults.
        """
        words = tuple(_argument(number, arg) for number, arg in enumerate(args))
        return cls(words).with_options(options)

    def with_options(self, options: Mapping[str, Any]) -> Stage:
        """Return a copy with other keyword arguments of ``Command``, each of them checked."""
        checked = {name: _CHECKS[name](value) for name, value in options.items()}
        return replace(self, **checked) if checked else self

    def with_args(self, args: tuple[Argument, ...]) -> Stage:
        """Return a copy with other arguments after the program."""
        words = (_argument(number, arg) for number, arg in enumerate(args, start=1))
        return replace(self, args=(self.args[0], *words))

    @property
    def shown_args(self) -> tuple[str, ...]:
        """The arguments as text."""
        return tuple(map(os.fsdecode, self.args))

    def search_path(self) -> str:
        """Return the PATH that the program is looked for on."""
        for name, value in reversed(self.env):
            if name == "PATH":
                if value is None:
                    return os.defpath
                if not isinstance(value, Secret):
                    return os.fsdecode(value)
        return os.environ.get("PATH", os.defpath) if self.inherit_env else os.defpath

    def environment(self) -> dict[bytes, bytes] | None:
        """Return the whole environment of the program, secrets included; None if it is ours."""
        if self.inherit_env and not self.env:
            return None
        found = dict(os.environb) if self.inherit_env else {}
        for name, value in self.env:
            if value is None:
                found.pop(os.fsencode(name), None)
            else:
                found[os.fsencode(name)] = os.fsencode(
                    value.reveal() if isinstance(value, Secret) else value
                )
        return found


def _argument(number: int, arg: object) -> str | bytes:
    if isinstance(arg, Secret):
        raise TypeError(
            f"argument {number} is a Secret, but every user can read arguments: pass it by env="
        )
    if not isinstance(arg, str | bytes | os.PathLike):
        raise TypeError(f"argument {number} must be str, bytes or a path, not {arg!r}")
    plain: str | bytes = os.fspath(arg)
    if not plain and not number:
        raise ValueError("the program must have a name, not ''")
    if 0 in os.fsencode(plain):
        raise ValueError(f"argument {number} must not contain NUL: {plain!r}")
    return plain


def _env(env: Any) -> tuple[tuple[str, str | bytes | Secret | None], ...]:  # noqa: ANN401
    if env is None:
        return ()
    if not isinstance(env, Mapping):
        # The value is not shown: it may hold a secret.
        raise TypeError(f"env must be a mapping of names to values, not {type(env).__name__}")
    for name, value in env.items():
        _check_variable(name, value)
    return tuple(env.items())


def _check_variable(name: object, value: object) -> None:
    # No message shows a value: it may be secret even if it is not a Secret.
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise ValueError(f"an env name must be text without '=' and NUL, not {name!r}")
    if value is None:
        return
    if not isinstance(value, str | bytes | Secret):
        kind = type(value).__name__
        raise TypeError(f"env[{name!r}] must be str, bytes, Secret or None, not {kind}")
    if fault := variable_fault(value if isinstance(value, Secret) else Secret(value)):
        raise ValueError(f"env[{name!r}] {fault}")


def _cwd(cwd: Any) -> str | None:  # noqa: ANN401
    if cwd is None:
        return None
    if not isinstance(cwd, str | os.PathLike):
        raise TypeError(f"cwd must be a str or a path, not {cwd!r}")
    return os.fspath(cwd)


def _stderr(stderr: Any) -> Stderr:  # noqa: ANN401
    try:
        check_output("stderr", stderr)
    except TypeError as error:
        message = str(error).replace("INHERIT, ", "INHERIT, STDOUT, PIPE, ", 1)
        raise TypeError(message) from None
    checked: Stderr = stderr
    return checked


def _ok_codes(codes: Any) -> frozenset[int]:  # noqa: ANN401
    if not isinstance(codes, Collection) or not all(isinstance(code, int) for code in codes):
        raise TypeError(f"ok_codes must be statuses, such as {{0, 1}}, not {codes!r}")
    if not codes:
        raise ValueError("ok_codes must name at least one status: 0 is the usual one")
    return frozenset(codes)


def _bool(value: Any) -> bool:  # noqa: ANN401
    return bool(value)


def _umask(umask: Any) -> int | None:  # noqa: ANN401
    if umask is not None and not (isinstance(umask, int) and 0 <= umask <= 0o777):
        raise ValueError(f"umask must be from 0 to 0o777, not {umask!r}")
    return umask


def _user(user: Any) -> str | int | None:  # noqa: ANN401
    import pwd

    return _account("user", user, pwd.getpwnam)


def _group(group: Any) -> str | int | None:  # noqa: ANN401
    import grp

    return _account("group", group, grp.getgrnam)


def _extra_groups(groups: Any) -> tuple[str | int, ...] | None:  # noqa: ANN401
    if groups is None:
        return None
    if not isinstance(groups, Collection) or isinstance(groups, str | bytes):
        raise TypeError(f"extra_groups must be a list of names or ids, not {groups!r}")
    return tuple(group for group in map(_group, groups) if group is not None)


def _account(kind: str, value: Any, look_up: Any) -> str | int | None:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise TypeError(f"{kind} must be a name or an id, not {value!r}")
    if isinstance(value, str):
        try:
            look_up(value)
        except KeyError:
            raise ValueError(f"{kind} must be one of this system: there is no {value!r}") from None
    elif value is not None and value < 0:
        raise ValueError(f"{kind} must be an id of at least 0, not {value}")
    return value


def _pass_fds(fds: Any) -> tuple[int, ...]:  # noqa: ANN401
    if not isinstance(fds, Collection) or not all(isinstance(fd, int) for fd in fds):
        raise TypeError(f"pass_fds must be descriptors, such as (3, 4), not {fds!r}")
    if wrong := [fd for fd in fds if fd < 3]:
        raise ValueError(f"pass_fds must be 3 and above, not {wrong[0]}: use input= and output=")
    return tuple(fds)


def _nice(nice: Any) -> int | None:  # noqa: ANN401
    if nice is not None and not (isinstance(nice, int) and -20 <= nice <= 19):
        raise ValueError(f"nice must be from -20 to 19, not {nice!r}")
    return nice


def _rlimits(limits: Any) -> tuple[tuple[int, tuple[int, int]], ...]:  # noqa: ANN401
    if limits is None:
        return ()
    if not isinstance(limits, Mapping):
        raise TypeError(
            f"rlimits must map resource.RLIMIT_… to limits, as {{RLIMIT_CPU: 10}}, not {limits!r}"
        )
    found = []
    for kind, limit in limits.items():
        pair = (limit, limit) if isinstance(limit, int) else limit
        if not isinstance(pair, Sequence) or len(pair) != 2 or not all(map(_is_int, pair)):
            raise TypeError(f"rlimits[{kind!r}] must be a number or (soft, hard), not {limit!r}")
        try:
            resource.getrlimit(kind)
        except (TypeError, ValueError):
            raise ValueError(
                f"rlimits: there is no limit {kind!r}: use resource.RLIMIT_…"
            ) from None
        soft, hard = pair
        if hard != resource.RLIM_INFINITY and not 0 <= soft <= hard:
            raise ValueError(f"rlimits[{kind!r}]: soft must be from 0 to hard, not {pair!r}")
        found.append((kind, (soft, hard)))
    return tuple(found)


def _is_int(value: object) -> bool:
    return isinstance(value, int)


_CHECKS: Final[Mapping[str, Any]] = {
    "env": _env,
    "inherit_env": _bool,
    "cwd": _cwd,
    "stderr": _stderr,
    "ok_codes": _ok_codes,
    "umask": _umask,
    "user": _user,
    "group": _group,
    "extra_groups": _extra_groups,
    "pass_fds": _pass_fds,
    "nice": _nice,
    "rlimits": _rlimits,
    "start_new_session": _bool,
}


def render_shell_line(stages: tuple[Stage, ...]) -> str:
    """Return a line for ``sh`` that does the same, with ``***`` in place of secrets."""
    return " | ".join(map(_shell_words, stages))


def _shell_words(stage: Stage) -> str:
    program, *args = stage.shown_args
    # Without quotes sh would take it for an assignment, which shlex.quote does not know.
    name = (
        shlex.quote(program) if "=" not in program else "'" + program.replace("'", "'\"'\"'") + "'"
    )
    line = " ".join([*_shell_environment(stage), name, *map(shlex.quote, args)])
    line += _shell_stderr(stage.stderr)
    return line if stage.cwd is None else f"(cd {shlex.quote(stage.cwd)} && {line})"


def _shell_stderr(stderr: Stderr) -> str:
    if stderr is Wiring.DISCARD:
        return " 2>/dev/null"
    if stderr is Wiring.STDOUT:
        return " 2>&1"
    if isinstance(stderr, Append):
        return f" 2>>{shlex.quote(os.fspath(stderr.path))}"
    return f" 2>{shlex.quote(os.fspath(stderr))}" if isinstance(stderr, os.PathLike) else ""


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
