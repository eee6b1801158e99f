"""Item 37 in the notes' words: calls wait in threads.

The notes have no code for this item. This is their prose:
blocking calls run side by side in threads, and the program
computes meanwhile.
"""

from threading import Thread

from aconcur.lessons.item37_threads.work import (
    factorize,
    slow_systemcall,
)


def overlap(calls, numbers):
    threads = []
    for _ in range(calls):
        thread = Thread(
            target=slow_systemcall,
            args=(0.1,))
        thread.start()
        threads.append(thread)
    found = [factorize(number)
             for number in numbers]
    for thread in threads:
        thread.join()
    return found


def compute_in_threads(numbers):
    threads = []
    for number in numbers:
        thread = Thread(
            target=factorize,
            args=(number,))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
