"""A pool of worker processes, from the side of the parent.

The states of a worker
    *launched* (it reads its boot record and runs the initializer) → *ready* → *leaving* (it was
    told to stop, or its initializer failed) or *killed* → *ended* → reaped. An ended worker is
    replaced unless the pool is closed or broken.

Invariants
    1. One task keeps each place in the pool: it launches a worker, listens to it, reaps it and
       launches the next. No process is left after the pool's block, whatever ends the block.
    2. What a dead worker had is given back to its owners once. Blame is certain: the
       worker reports on a shared page which items it works on (``_pool_worker.task``).
    3. A process is reaped last. Until then its id is its own, and a signal hits no other process.
    4. Calls are started first, in the order in which they were made; maps take turns.
    5. A second chunk waits in a busy worker's socket only while no worker is idle, no call waits,
       and the work in front of it is known to be short.
    6. The event loop is never held: launches yield in between or run in a thread, and messages
       above 128 KiB are sent and read in a thread.

Calls
    ``Pool`` is the public object. ``Supervisor`` owns the processes: ``launch`` starts them,
    ``Worker`` is one of them, ``Connection`` its socket. ``Scheduler`` owns the work: the calls
    (``Call``) and maps (``Job``) that are under way, and which worker gets what. It reads the
    supervisor's list of workers and never changes it. Three helpers of the scheduler act on work
    that a worker has already: ``Timeouts`` kills workers that exceed an item's timeout,
    ``Stealing`` takes back items for idle workers, ``Canceller`` stops work that is no longer
    wanted. ``Coroutines`` does for coroutine functions what the scheduler does for others.

Why a background task and not a task group
    The supervisor runs in a task of its own (``_core.background_task``), so a pool may be opened
    in one task and closed in another, and Ctrl-C on trio does not strike inside it. The block
    still owns it: leaving the block stops the task and waits for its end.

Why not concurrent.futures.ProcessPoolExecutor
    It cannot stop a running call, cannot say which call killed a worker, fails every pending call
    when one dies, and sends items one by one or in chunks of a fixed size.
"""
