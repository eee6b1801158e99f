"""The same on asyncio, line by line."""

import asyncio

from aconcur.lessons.item76_server.work import answer


async def handle(reader, writer):
    async for line in reader:
        reply = answer(line.decode())
        writer.write(
            f"{reply}\n".encode())
        await writer.drain()
    writer.close()


async def serve(host, port):
    server = await asyncio.start_server(
        handle, host, port)
    async with server:
        await server.serve_forever()


async def ask(at, line):
    reader, writer = await (
        asyncio.open_connection(*at))
    writer.write(f"{line}\n".encode())
    await writer.drain()
    reply = await reader.readline()
    writer.close()
    return reply.decode()
