"""Commands, and pipes of commands, that leave nothing behind.

::

    done = await (Command("openssl", "enc", …) | Command("sha256sum")).run(input=data)
"""

from __future__ import annotations

__all__ = (
    "CAPTURE",
    "DISCARD",
    "INHERIT",
    "PIPE",
    "STDOUT",
    "Append",
    "Command",
    "CommandError",
    "CommandFailed",
    "CommandNotFound",
    "CommandPipe",
    "CommandStartError",
    "CommandTimeout",
    "Completed",
    "InputClosed",
    "Outcome",
    "Outcomes",
    "OutputTooLarge",
    "Progress",
    "Runnable",
    "Running",
    "Secret",
    "StageResult",
    "Tee",
    "run_many",
)

import os as _os

from aconcur.errors import UnsupportedPlatformError as _UnsupportedPlatformError

if not hasattr(_os, "killpg"):
    raise _UnsupportedPlatformError("aconcur.process", "POSIX process groups, signals and pipes")

from aconcur.process._command import Command as Command
from aconcur.process._command import CommandPipe as CommandPipe
from aconcur.process._command import Runnable as Runnable
from aconcur.process._errors import CommandError as CommandError
from aconcur.process._errors import CommandFailed as CommandFailed
from aconcur.process._errors import CommandNotFound as CommandNotFound
from aconcur.process._errors import CommandStartError as CommandStartError
from aconcur.process._errors import CommandTimeout as CommandTimeout
from aconcur.process._errors import InputClosed as InputClosed
from aconcur.process._errors import OutputTooLarge as OutputTooLarge
from aconcur.process._many import Outcome as Outcome
from aconcur.process._many import Outcomes as Outcomes
from aconcur.process._many import run_many as run_many
from aconcur.process._results import Completed as Completed
from aconcur.process._results import Progress as Progress
from aconcur.process._results import StageResult as StageResult
from aconcur.process._running import Running as Running
from aconcur.process._secret import Secret as Secret
from aconcur.process._wiring import CAPTURE as CAPTURE
from aconcur.process._wiring import DISCARD as DISCARD
from aconcur.process._wiring import INHERIT as INHERIT
from aconcur.process._wiring import PIPE as PIPE
from aconcur.process._wiring import STDOUT as STDOUT
from aconcur.process._wiring import Append as Append
from aconcur.process._wiring import Tee as Tee
