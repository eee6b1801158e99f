"""Commands, and pipes of commands, that leave nothing behind.

::

    done = await (Command("openssl", "enc", …) | Command("sha256sum")).run(input=data)
"""

from __future__ import annotations

__all__ = (
    "CAPTURE",
    "COLLECT",
    "DISCARD",
    "INHERIT",
    "PIPE",
    "RAISE",
    "STDOUT",
    "Append",
    "Command",
    "CommandError",
    "CommandFailed",
    "CommandNotEnded",
    "CommandNotFound",
    "CommandPipe",
    "CommandStartError",
    "CommandStopped",
    "CommandTimeout",
    "Completed",
    "Expected",
    "Input",
    "InputClosed",
    "Job",
    "ManyProgress",
    "Outcome",
    "Outcomes",
    "Output",
    "OutputEnded",
    "OutputLine",
    "OutputTooLarge",
    "RetryPolicy",
    "Runnable",
    "Running",
    "Secret",
    "StageEvent",
    "StageResult",
    "Stderr",
    "Tee",
    "TransferProgress",
    "run_many",
    "shell_line",
)

import os as _os

from aconcur.errors import UnsupportedPlatformError as _UnsupportedPlatformError

if not hasattr(_os, "killpg"):
    raise _UnsupportedPlatformError("aconcur.process", "POSIX process groups, signals and pipes")

from aconcur._core.on_error import COLLECT as COLLECT
from aconcur._core.on_error import RAISE as RAISE
from aconcur.process._command import Command as Command
from aconcur.process._command import CommandPipe as CommandPipe
from aconcur.process._command import Runnable as Runnable
from aconcur.process._driver import RetryPolicy as RetryPolicy
from aconcur.process._errors import CommandError as CommandError
from aconcur.process._errors import CommandFailed as CommandFailed
from aconcur.process._errors import CommandNotEnded as CommandNotEnded
from aconcur.process._errors import CommandNotFound as CommandNotFound
from aconcur.process._errors import CommandStartError as CommandStartError
from aconcur.process._errors import CommandStopped as CommandStopped
from aconcur.process._errors import CommandTimeout as CommandTimeout
from aconcur.process._errors import InputClosed as InputClosed
from aconcur.process._errors import OutputEnded as OutputEnded
from aconcur.process._errors import OutputTooLarge as OutputTooLarge
from aconcur.process._reader import OutputLine as OutputLine
from aconcur.process._redirect import CAPTURE as CAPTURE
from aconcur.process._redirect import DISCARD as DISCARD
from aconcur.process._redirect import INHERIT as INHERIT
from aconcur.process._redirect import PIPE as PIPE
from aconcur.process._redirect import STDOUT as STDOUT
from aconcur.process._redirect import Append as Append
from aconcur.process._redirect import Input as Input
from aconcur.process._redirect import Output as Output
from aconcur.process._redirect import Stderr as Stderr
from aconcur.process._redirect import Tee as Tee
from aconcur.process._results import Completed as Completed
from aconcur.process._results import StageEvent as StageEvent
from aconcur.process._results import StageResult as StageResult
from aconcur.process._results import TransferProgress as TransferProgress
from aconcur.process._run_many import Job as Job
from aconcur.process._run_many import ManyProgress as ManyProgress
from aconcur.process._run_many import Outcome as Outcome
from aconcur.process._run_many import Outcomes as Outcomes
from aconcur.process._run_many import run_many as run_many
from aconcur.process._secret import Secret as Secret
from aconcur.process._session import Expected as Expected
from aconcur.process._session import Running as Running
from aconcur.process._shell_line import shell_line as shell_line
