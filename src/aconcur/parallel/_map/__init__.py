"""A map: its input, its chunks, and the order of its results. No process is known here.

The way of an item
    *not drawn* → *in a chunk that a worker has* → *its result or failure is in the output* →
    *taken by the consumer*. From a chunk it may go to the *retry queue* instead: its worker handed
    it back, it was taken back for an idle worker, its worker died, or it failed and is to be tried
    again. From there it goes into another chunk. An item is in exactly one of these places.

Invariants
    1. Back-pressure: items that were drawn and whose results were not taken never exceed the
       window (``buffer=``, or the default of ``ChunkSize``). Input is drawn only as results are
       taken, so it may be endless.
    2. Every position of the output is filled once: with a result, with a failure that is left out,
       or with the error that ends the map.
    3. A failure is blamed on an item only if it is certain. If a worker died in a block of several
       items, they are done again one at a time; only then is one blamed.
    4. Nothing here awaits except the consumer (``Job.take``) and the task that iterates over an
       async input (``Source.feed``), which also closes it. ``Job.close`` may therefore be called
       from a generator's ``finally``, wherever the loop runs.
    5. An exception that is not an ``Exception`` (KeyboardInterrupt) is neither an item's nor the
       input's failure: it ends the map at once.

Calls
    ``Results`` is what the caller iterates over. It makes a ``Job``, which holds all state of the
    map, and takes from it. The job calls its ``Runner`` (a pool's scheduler, or the runner of an
    executor) to have chunks started; the runner asks the job for the next chunk when it has room,
    and tells it how each chunk ended: ``finish``, ``crashed``, ``put_back`` or ``unreadable``.
    ``Source`` draws items; ``ChunkSize`` decides how many, from measured times and bytes.

Why chunks by time
    A message costs tens of microseconds, so one item each is far too slow for short items, and a
    fixed number is either too small for short ones or leaves workers idle behind long ones.
    Aiming at 4 ms a chunk, with the rest handed back after 16 ms, makes a wrong guess harmless.
    See benchmarks/README.md.
"""
