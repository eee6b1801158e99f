"""All threads: where the code base comes from."""

from __future__ import annotations

__all__ = ("run",)

from concurrent.futures import ThreadPoolExecutor

from aconcur.lessons.alone import alone
from aconcur.lessons.item77_mixed.work import lookup, words

THREADS = 16


def run(inputs: list[str]) -> list[int]:
    """Look all words up."""
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lookup, inputs)
        return list(found)


def main(size: int) -> None:
    """Look some words up."""
    with words(size, seed=77) as (inputs,):
        print(f"{size} words, sum {sum(run(inputs))}")


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=100, unit="words"
    ) as size:
        main(size)
