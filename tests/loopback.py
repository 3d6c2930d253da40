"""Ports of this machine."""

import socket

from tests.waiting import until


def free_port():
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


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
