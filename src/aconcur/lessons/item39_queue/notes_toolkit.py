"""The same with aconcur: stages instead of queues."""

from aconcur.pipeline import THREADS, stage


async def thumbnails(download, resize, upload, urls):
    stages = (
        stage(download, workers=8, buffer=8)
        .map(resize, workers=2, via=THREADS, buffer=8)
        .map(upload, workers=8, buffer=8)
    )
    async with stages.open(urls) as run:
        return [done async for done in run]
