"""Theory of ``explore_threads()``: real threads, of which one runs at a time.

**What a run is.** Each thread of the scenario is an OS thread that waits at a gate of its own. The
engine opens one gate at a time; the thread runs until it comes to a *switch point* or to a
controlled wait, asks the schedule who goes next, opens that gate and waits at its own. So the order
of all operations that threads can notice is the schedule's.

**Who calls whom.** ::

    api.explore_threads ──▶ search (shared with explore) ──▶ Engine.run(schedule)
    instrumentation (settrace or sys.monitoring) ──▶ Engine.point()        a switch point
    primitives (Lock, RLock, SimpleQueue), patching (start, join, sleep)
                                       ──▶ Engine.before / after / block / wake

- ``engine``: whose turn it is, the end of a run, threads that stall.
- ``bytecode``: before which instructions a switch can matter, and where CPython may switch.
- ``instrumentation``: stops threads there: by tracing on 3.11, by monitoring from 3.12 on.
- ``primitives``: controlled stand-ins for what waits in C. All that the standard library builds on
  them (Condition, Event, Queue, ThreadPoolExecutor) is the library's own code.
- ``patching``: puts the stand-ins where code finds them, and takes them away again.
- ``thread_state``: one thread of a run.

**Invariants.**

1. At most one thread of the scenario runs; all others stand at a switch point or in a controlled
   wait. Threads that are not the scenario's get the real primitives, always.
2. A switch point depends on the code and the grain alone, not on the schedule: so a token, which
   counts points, names the same run again.
3. What is left out loses nothing: an instruction that touches only its own frame commutes with all
   that others do, so a switch before it leads where a switch before the next one leads.
4. When a run is over each thread that is left is unwound in its turn. None outlives the run.

**Why not the obvious way.** Sleeping at random or a short switch interval meets races by luck and
cannot repeat them. Running the threads as generators would need another interpreter: C code that
calls back (sort keys, finalizers) cannot be suspended. A debugger's single stepping is what this
is, with the uninteresting steps left out.
"""
