"""The two steps on the way, and the goal."""

import asyncio
from asyncio import run_coroutine_threadsafe
from threading import Thread

from aconcur.lessons.item77_mixed.work import (
    lookup,
    lookup_async,
)


async def from_above(words):
    calls = [
        asyncio.to_thread(lookup, word)
        for word in words
    ]
    return sum(
        await asyncio.gather(*calls))


def lookup_from_below(word, loop):
    call = run_coroutine_threadsafe(
        lookup_async(word), loop)
    return call.result()


async def total(words):
    calls = map(lookup_async, words)
    return sum(
        await asyncio.gather(*calls))


def loop_in_a_thread():
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, daemon=True).start()
    return loop
