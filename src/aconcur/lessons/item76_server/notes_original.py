"""Item 76 in short: a thread for each connection."""

import socket
from threading import Thread

from aconcur.lessons.item76_server.work import answer


def handle(conn):
    with conn:
        io = conn.makefile("rw")
        for line in io:
            reply = answer(line)
            io.write(reply + "\n")
            io.flush()


def serve(listener):
    while True:
        conn, _ = listener.accept()
        Thread(target=handle,
               args=(conn,)).start()


def ask(at, line):
    conn = socket.create_connection(
        at)
    with conn:
        io = conn.makefile("rw")
        io.write(line + "\n")
        io.flush()
        return io.readline()
