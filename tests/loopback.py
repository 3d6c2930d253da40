"""Ports of this machine."""

import random
import socket

from tests.waiting import until


def free_port():
    """A port that nobody listens on now.

    It is below the ports that systems give to connections on their own (32768 and above), of which one may be taken
    between this call and its use.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue


def listens(port):
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def await_port(port, process, *, log):
    """Waits until a process accepts connections at a port; fails with its log where it ended."""

    def answers():
        """The port answers."""
        assert process.poll() is None, log.read_text()
        return listens(port)

    until(answers)
