"""Item 77 in short: a program on threads."""

from concurrent.futures import ThreadPoolExecutor

from aconcur.lessons.item77_mixed.work import lookup


def total(words):
    pool = ThreadPoolExecutor()
    found = pool.map(lookup, words)
    return sum(found)
