"""Log records of tasks on their way to the parent's handlers.

The handler is installed when the worker imports ``logging``, which takes longer than its start.
"""

from __future__ import annotations

__all__ = ("Levels", "forward_logs")

import _pickle as pickle

from aconcur._pool_worker.codec import encode
from aconcur._pool_worker.on_import import on_import
from aconcur._pool_worker.task import call_uninterrupted, position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from aconcur._pool_worker.codec import Encoded

Levels: TypeAlias = dict[str, int]
"""The levels that are set in the parent, by the name of the logger; "" is the root."""


def forward_logs(send: Callable[[Encoded], None], levels: Levels) -> None:
    """Send the records of this process to the parent instead of handling them here.

    Args:
        send: sends a message to the parent, from any thread.
        levels: the parent's.
    """
    on_import("logging", lambda logging: _install(logging, send, levels))


def _install(logging: Any, send: Callable[[Encoded], None], levels: Levels) -> None:  # noqa: ANN401
    class Forwarder(logging.Handler):  # type: ignore[misc]
        def emit(self, record: Any) -> None:  # noqa: ANN401 - a LogRecord
            try:
                message = _encoded(record, logging.Formatter().formatException)
                call_uninterrupted(lambda: send(message))
            except Exception:  # noqa: BLE001 - as in all handlers
                self.handleError(record)

    root = logging.getLogger()
    root.handlers[:] = [Forwarder()]
    # A fork has the parent's handlers. They get the record there, and would get it twice.
    for logger in list(root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.handlers.clear()
            logger.propagate = True
    if "__main__" in levels:
        levels = {**levels, "__mp_main__": levels["__main__"]}
    for name, level in levels.items():
        (logging.getLogger(name) if name else root).setLevel(level)


def _encoded(record: Any, format_exception: Callable[[Any], str]) -> Encoded:  # noqa: ANN401
    fields = dict(record.__dict__)
    fields["msg"], fields["args"] = record.getMessage(), None
    if record.exc_info:
        fields["exc_text"] = record.exc_text or format_exception(record.exc_info)
        fields["exc_info"] = None
    try:
        return encode((position(), fields))
    except Exception:  # noqa: BLE001 - an extra field cannot be pickled
        return encode((position(), {k: _picklable(v) for k, v in fields.items()}))


def _picklable(value: object) -> object:
    try:
        pickle.dumps(value, 5)
    except Exception:  # noqa: BLE001 - raised by the value's pickling
        return repr(value)
    return value
