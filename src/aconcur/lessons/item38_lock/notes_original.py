"""Item 38 as the notes have it: a counter and its lock.

The notes call both classes Counter; `with self.lock():` is
repaired.
"""

from threading import Lock, Thread


class Counter(object):
    def __init__(self):
        self.count = 0

    def increment(self, offset):
        self.count += offset


class LockingCounter(object):
    def __init__(self):
        self.lock = Lock()
        self.count = 0

    def increment(self, offset):
        with self.lock:
            self.count += offset


def worker(counter):
    counter.increment(1)


def count(counter, workers):
    threads = [
        Thread(target=worker, args=(counter,))
        for _ in range(workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counter.count
