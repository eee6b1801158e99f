"""Item 41 as the notes have it."""

from concurrent.futures import (
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)


def gcd(pair):
    a, b = pair
    low = min(a, b)
    for i in range(low, 0, -1):
        if a % i == 0 and b % i == 0:
            return i


def in_threads(numbers):
    pool = ThreadPoolExecutor(
        max_workers=2)
    results = list(
        pool.map(gcd, numbers))
    return results


def in_processes(numbers):
    pool = ProcessPoolExecutor(
        max_workers=2)
    results = list(
        pool.map(gcd, numbers))
    return results
