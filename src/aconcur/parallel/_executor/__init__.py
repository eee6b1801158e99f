"""Maps over an executor that the caller owns: any object with the ``submit()`` of PEP 3148.

The states of a chunk
    *submitted* → *ended* (reported by its future, in any thread) → *settled* in the loop. A chunk
    whose call the executor failed is done again one item at a time; ExecutorBroken ends the map.

Invariants
    1. Everything except the futures' callbacks runs in the event loop's thread.
    2. Only ``submit()`` is relied on, and the executor is never shut down.
    3. An executor carries bytes that were pickled here. An item whose pickling raises is that
       item's failure, and cannot break the executor (``call``, ``_pool_worker.calls``).
    4. A call that runs cannot be stopped. A thread begins no further item of a map that was left; a
       process ends its chunk.

Calls
    ``map`` makes ``Results`` whose start makes an ``ExecutorRunner``, which owns a ``Job`` and
    submits an ``ExecutorCall`` for each chunk. ``dask`` is a cluster as an executor.

Why not loop.run_in_executor
    It takes one call at a time, needs asyncio, and loses the items of a broken executor.
"""
