"""Log records that come from tasks."""

from __future__ import annotations

__all__ = ("handle_record", "log_levels")

import logging
from collections.abc import Iterable
from typing import Any

from aconcur.parallel._map.chunk import Chunk
from aconcur.parallel._map.job import Job
from aconcur.parallel._pickling import name_of


def log_levels() -> dict[str, int]:
    """Return the levels that are set in this process, by the name of the logger."""
    levels = {"": logging.root.level}
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.level:
            levels[name] = logger.level
    return levels


def handle_record(in_flight: Iterable[Chunk], position: tuple[int, int], fields: Any) -> None:  # noqa: ANN401
    """Hand a record to the logger of its name, with the item that its task works on.

    Args:
        in_flight: the chunks of the worker that sent it.
        position: the number of the chunk that the worker works on, and the item's position there.
        fields: the attributes of the record.
    """
    record = logging.makeLogRecord(fields)
    if record.name == "__mp_main__":  # as a worker calls the parent's __main__
        record.name = "__main__"
    record.item_index = record.task = None
    for chunk in in_flight:
        if chunk.number == position[0]:
            record.task = name_of(chunk.owner.function)
            if isinstance(chunk.owner, Job):
                record.item_index = chunk.start + position[1]
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)
