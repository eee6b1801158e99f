"""The same, found by debug mode and moved away.

`python -X dev` switches debug mode on.
"""

import asyncio

from aconcur.lessons.item78_responsive.work import digest


async def log_in(password):
    return await asyncio.to_thread(
        digest, password)


async def main(passwords):
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 0.01
    users = map(log_in, passwords)
    return await asyncio.gather(
        *users)
