"""The same with aconcur."""

from aconcur.lessons.item41_futures.notes_original import (
    gcd,
)
from aconcur.parallel import open_pool


async def in_processes(numbers):
    async with open_pool(2) as pool:
        answers = pool.map(gcd, numbers, timeout=60)
        return await answers.collect()
