"""Item 36 as the notes have it, with `subprocess.Popen`."""

import os
from subprocess import PIPE, Popen

from aconcur.lessons.item36_subprocess.work import (
    ECHO,
    OPENSSL,
    PASSWORD,
    md5_argv,
)

MD5 = md5_argv()


def echo():
    proc = Popen(ECHO, stdout=PIPE)
    out, err = proc.communicate()
    return out


def run_openssl(data):
    env = os.environ.copy()
    env["password"] = PASSWORD
    proc = Popen(
        OPENSSL, env=env,
        stdin=PIPE, stdout=PIPE)
    proc.stdin.write(data)
    proc.stdin.flush()
    return proc


def run_md5(input_stdin):
    return Popen(
        MD5, stdin=input_stdin,
        stdout=PIPE)


def digest(data, seconds):
    openssl = run_openssl(data)
    md5 = run_md5(openssl.stdout)
    openssl.stdout.close()
    openssl.stdin.close()
    out, err = md5.communicate(
        timeout=seconds)
    openssl.wait()
    return out
