"""The same with aconcur."""

from aconcur.lessons.item36_subprocess.work import (
    ECHO,
    OPENSSL,
    PASSWORD,
    md5_argv,
)
from aconcur.process import Command, Secret

openssl = Command(
    *OPENSSL, env={"password": Secret(PASSWORD)}
)
md5 = Command(*md5_argv())


async def echo():
    done = await Command(*ECHO).run()
    return done.stdout


async def digest(data, seconds):
    both = openssl | md5
    done = await both.run(input=data, timeout=seconds)
    return done.stdout
