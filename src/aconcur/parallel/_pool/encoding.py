"""Pickle the items of maps for workers."""

from __future__ import annotations

__all__ = ("encode_items",)

from aconcur._pool_worker.codec import Encoded
from aconcur.parallel._map.chunk import Chunk
from aconcur.parallel._map.job import Job
from aconcur.parallel._pickling import Sender


def encode_items(sender: Sender, job: Job, chunk: Chunk, value: object) -> Encoded | None:
    """Return the message for items of a chunk.

    Args:
        sender: pickles them.
        job: the map; it gets the chunk back if they cannot be pickled, and then None is returned.
            An exception that is not an ``Exception``, such as an interrupt, ends the map.
        chunk: the chunk.
        value: its items, or its only item.
    """
    try:
        return sender.encode_value(value)
    except Exception as error:  # noqa: BLE001 - raised by pickling an item
        job.unreadable(chunk, error)
    except BaseException as error:  # noqa: ASYNC103, BLE001 - the consumer raises it
        job.put_back(chunk)
        job.fail(error)
    return None  # noqa: ASYNC104
