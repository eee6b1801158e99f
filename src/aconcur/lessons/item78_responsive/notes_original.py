"""Item 78 in short: a coroutine that blocks."""

import asyncio

from aconcur.lessons.item78_responsive.work import digest


async def log_in(password):
    return digest(password)


async def main(passwords):
    users = map(log_in, passwords)
    return await asyncio.gather(
        *users)
