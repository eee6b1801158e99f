"""Theory of leak detection: compare what the process holds before and after.

- ``snapshot``: what is held at one moment: descriptors, child processes, threads, files. It only
  looks.
- ``cleanup``: waits until the last traces of a run have gone, and removes what stays.
- ``warnings_capture``: what Python and asyncio report on the side: warnings, errors that no code
  could catch, threads that died.

Invariant: only what is new since a first snapshot is reported, waited for, killed or closed. So a
test session may hold what it likes, as long as no other thread opens or starts things meanwhile.

Two things need time to disappear although nothing is wrong: threads that are about to end, and
children that were killed. ``cleanup.settle`` waits a bounded time for these, and for nothing else.
A grandchild whose parent has ended belongs to init, where no snapshot finds it; while orphans are
adopted (prctl, Linux) it stays among the process's own children.

Why not ask the operating system for the open files of the process's objects, or patch ``open`` and
``socket``? Both miss what C code opens. ``/proc`` misses nothing, and costs 0.1 ms.
"""
