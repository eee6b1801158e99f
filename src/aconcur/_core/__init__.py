"""Code that several packages of aconcur share. Nothing here is public.

What belongs here
    A module that two packages need, or that lessons and the command need too. It imports the
    standard library, anyio and ``aconcur.errors``, and no package of the toolkit, so that imports
    run one way (``tests/test_architecture.py``). What one package needs stays in that package.

The parts
    Waiting: ``wait_queue`` suspends and wakes tasks on asyncio and trio, ``loops`` names the
    current task and its loop, ``shielded`` waits where a cancel must not cut the wait short,
    ``scoped_tasks`` and ``background_task`` run tasks beside a block, and ``unhooked`` starts async
    generators that close without a loop. Code that needs trio stands in separate modules, which
    are imported only where trio runs.

    The system: ``pidfd`` tells when a child has ended, ``guardian`` ends commands whose program was
    killed, ``pipe_budget`` enlarges pipes within a share, ``cpus`` counts processors,
    ``atomic_file`` replaces files, ``stop_signals`` and ``ctrl_c`` turn signals into cancellation,
    and ``program_exit`` ends a program as a shell expects.

    Words and checks: ``on_error`` and ``validation``.

Invariants
    1. Every wait states what a cancel leaves behind, both of a scope and of ``Task.cancel()``,
       which a shielded scope does not stop.
    2. A module that uses a call of one system only (pidfds, F_SETPIPE_SZ, affinity, control groups)
       has another path for the rest, and ``tests/_core`` runs both.
    3. Importing a module has no effect on the process: no thread, no handler, no descriptor.

Why own wait queues beside anyio
    anyio's events, locks and streams cost 5 to 15 µs a wait and its streams are not exact under
    ``Task.cancel()``: see docs/decisions/event-loops.md. For all else anyio is used as it is.
"""
