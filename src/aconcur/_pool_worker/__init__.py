"""The code that runs in a worker process.

The states of a worker
    *starting* (``start``: reads its boot record, moves to a session of its own) → *ready* (has run
    the initializer and sent READY) → *serving* (``serve``: reads one frame after another and
    answers it) → *ended* (STOP, the parent's end, or SIGKILL).

Invariants
    1. Modules here import the standard library only, and of that only what imports quickly: every
       worker waits for it. ``_pickle``, ``_socket`` and ``_signal`` stand in for ``pickle``,
       ``socket`` and ``signal``, which pull in ``re`` and ``enum``. That is also why this package
       lies beside ``parallel`` and not inside: importing a submodule imports its parents.
    2. A worker leads a session of its own. Terminal keys do not reach it, and one signal to its
       process group ends it together with everything that it started.
    3. A worker ends with its parent, even in the middle of an item: a thread waits for the socket
       to be closed and for the parent to end.
    4. Nothing that a task raises ends the worker. It is packed (``failures``) where it was raised,
       so that reading it in the parent cannot fail either.
    5. The page (``work``) is the only shared memory. Each side writes its own cells.
    6. A worker has one ``__main__`` (``main_module``). Functions, items, initializer and results
       use its globals and its classes, whether they arrived by name or by value.

Calls
    ``start`` becomes a worker in one of four ways and calls ``serve``. ``serve`` decodes frames
    (``codec``) and calls ``work``, which calls the function for each item. ``calls`` is the same
    for the executors of others: they carry pickled calls instead of frames.

Why not multiprocessing
    Its workers import ``multiprocessing``, ``threading`` and ``pickle`` before they serve, take
    one item at a time under a lock, cannot tell which item they work on, and outlive a killed
    parent. See benchmarks/README.md for the start times.
"""
