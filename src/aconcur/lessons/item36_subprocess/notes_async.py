"""The same on asyncio, line by line."""

import asyncio
import os
from asyncio.subprocess import PIPE

from aconcur.lessons.item36_subprocess.work import (
    ECHO,
    OPENSSL,
    PASSWORD,
    md5_argv,
)

MD5 = md5_argv()

start = asyncio.create_subprocess_exec


async def echo():
    proc = await start(*ECHO, stdout=PIPE)
    out, _ = await proc.communicate()
    return out


async def run_openssl(data, stdout):
    env = os.environ.copy()
    env["password"] = PASSWORD
    proc = await start(
        *OPENSSL, env=env,
        stdin=PIPE, stdout=stdout)
    proc.stdin.write(data)
    await proc.stdin.drain()
    return proc


async def run_md5(input_stdin):
    return await start(
        *MD5, stdin=input_stdin,
        stdout=PIPE)


async def digest(data, seconds):
    r, w = os.pipe()
    openssl = await run_openssl(data, w)
    md5 = await run_md5(r)
    os.close(r)
    os.close(w)
    openssl.stdin.close()
    out, _ = await asyncio.wait_for(
        md5.communicate(), seconds)
    await openssl.wait()
    return out
