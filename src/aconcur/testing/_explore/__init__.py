"""Theory of ``explore()``: one run after the other, each under another schedule.

**What a run is.** A scenario is deterministic but for one thing: which of the tasks and callbacks
that are ready goes next. The loops here replace exactly that choice. Everything else that could
differ from run to run is replaced (clocks, calls for threads), refused by name (sockets, signals,
processes, foreign threads) or noticed afterwards (a run that takes other steps than before).

**Who calls whom.** ::

    api.explore ──▶ search.mixed / Bounded / uniform / pct      which schedule next
         │                   │
         │                   ▼
         │          driver(schedule, recorder)                  one run
         │            asyncio_loop.run   trio_runner.run
         │                   │ each step
         │                   ▼
         │          Schedule.pick(candidates) ──▶ index         who goes on
         ▼
    search.shrink ──▶ driver(…, Recorder) ──▶ report.Exploration

- ``schedule``: one run's decisions; its *order* says what is taken without a deviation.
- ``search``: which schedules to run. It knows nothing of loops.
- ``asyncio_loop`` and ``trio_runner``: the drivers. They know nothing of searching.
- ``timers``: which timers may strike while tasks are ready, and what a run says that saw one.
- ``environment``: what the runs of one exploration share: virtual time, reports, threads.
- ``inline_threads``: calls for threads, run as one step of the task that waits for them.
- ``deadlock`` and ``trace``: what the report of a failure says. ``errors``, ``report``: the values.

**Invariants.**

1. A schedule (order + deviations) names one run: the same scenario takes the same steps under it.
   Where it does not, NotReproducibleError is raised, never a verdict.
2. The loop's own order is the first schedule of every search.
3. Each run is bounded: every step of a task or callback counts, and time passes without steps.
4. A run that met something that no schedule decides has that as its result, whatever else happened.
5. After each run nothing of it is left: tasks are cancelled and stepped to their end, generators
   are closed. After the exploration all that was replaced is back.

**Why not the obvious way.** Shuffling a loop's ready queue at random is simple, and it is what the
random strategies do; but it cannot say what it has covered, and a short failing schedule has to be
found by shrinking afterwards. Running *every* order is out of reach: n tasks of k steps have
(nk)!/(k!)ⁿ. Most races need one or two context switches in the right place (Musuvathi and Qadeer,
PLDI 2007), so the search goes by the number of deviations from an order in which nothing interrupts
a task. Two such orders are needed: from the loop's own first-in-first-out order a long run of one
task is many deviations away, and from the base order the alternation of two tasks is. Callbacks are
candidates like tasks, but keep the order that asyncio promises: code relies on it.
"""
