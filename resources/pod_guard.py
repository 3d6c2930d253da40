"""Runs a command while the cluster needs this pod: `python -m resources.pod_guard -- COMMAND...`.

When a cluster loses a node, the node's containers keep running beside their replacements on another node. Dagster's
daemon would continue there with an expired token, and end healthy runs because its own requests fail. So this process
requests its own pod from the API server, and starts the command once the pod is valid. It ends the command when the
pod is deleted, replaced or rejected, or when there is no response, since the pod may then have been replaced. A working
kubelet restarts the container, and the command starts as soon as the API server responds. The module imports neither
Dagster nor a Kubernetes client.
"""

import argparse
import http.client
import json
import os
import queue
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where the kubelet mounts token and CA certificate
VARIABLES = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "POD_NAMESPACE", "POD_NAME", "POD_UID")
EVERY_S = 10.0
SILENCE_S = 60.0  # with STOP_S less than a cluster waits before it replaces a pod on a lost node: `control.py`
STOP_S = 15.0  # between SIGTERM and SIGKILL
REQUEST_S = 5.0  # time limit of a request; several requests fit into SILENCE_S
USAGE, NOT_WANTED, NO_COMMAND = 2, 75, 127  # exit codes; 75 is EX_TEMPFAIL: a restart may succeed
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
TO_END = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Answer:
    """What the API server returns about the pod.

    Attributes:
        is_wanted: whether the cluster needs the pod; None where the response does not show it.
        words: the reason.
        requested_at: time of the request, by the monotonic clock, in seconds.
    """

    is_wanted: bool | None
    words: str
    requested_at: float


@dataclass(frozen=True)
class Ended:
    """The command's process has ended with this exit code, in the form of `subprocess`."""

    code: int


@dataclass(frozen=True)
class Pod:
    """The pod of this process, and the address of its API server.

    Attributes:
        host: of the API server.
        port: of the API server.
        namespace: of the pod.
        name: of the pod.
        uid: of the pod; a later pod may have the same name.
        account: folder with `token`, which the kubelet renews, and `ca.crt`.
    """

    host: str
    port: int
    namespace: str
    name: str
    uid: str
    account: Path

    def read_state(self) -> Answer:
        """Requests the pod from the API server."""
        requested_at = time.monotonic()
        try:
            is_wanted, words = self.judge(*self._get())
        except (OSError, http.client.HTTPException, ValueError) as error:
            is_wanted, words = None, f"{type(error).__name__}: {error}"
        return Answer(is_wanted, words, requested_at)

    def _get(self) -> tuple[int, bytes]:
        token = (self.account / "token").read_text().strip()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError(f"{self.account / 'token'} holds no token")  # no message may quote the content
        trusted = ssl.create_default_context(cafile=self.account / "ca.crt")
        server = http.client.HTTPSConnection(self.host, self.port, timeout=REQUEST_S, context=trusted)
        try:
            path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
            server.request("GET", path, headers={"Authorization": f"Bearer {token}", "Accept": "application/json"})
            answer = server.getresponse()
            return answer.status, answer.read()
        finally:
            server.close()

    def judge(self, status: int, content: bytes) -> tuple[bool | None, str]:
        """Whether the cluster needs the pod, from a response of the API server, and the reason.

        >>> pod = Pod("10.0.0.1", 443, "sinet", "daemon-1", "a", Path("/"))
        >>> pod.judge(404, b'{"kind": "Status", "message": "pods daemon-1 not found"}')
        (False, 'the API server returns 404 (pods daemon-1 not found)')
        >>> pod.judge(200, b'{"kind": "Pod", "metadata": {"uid": "b"}}')
        (False, 'another pod has its name (uid b)')
        >>> pod.judge(502, b"<html>")
        (None, 'the API server returns 502')
        """
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        kind = found.get("kind") if isinstance(found, dict) else None
        if kind == "Pod" and status == http.client.OK:
            return self._judge_pod(found)
        detail = f" ({found['message']})" if kind == "Status" and found.get("message") else ""
        is_refused = kind == "Status" and status in (http.client.UNAUTHORIZED, http.client.NOT_FOUND)
        return False if is_refused else None, f"the API server returns {status}{detail}"

    def _judge_pod(self, found: Mapping[str, Any]) -> tuple[bool, str]:
        metadata, phase = found.get("metadata") or {}, (found.get("status") or {}).get("phase", "")
        if metadata.get("uid") != self.uid:
            return False, f"another pod has its name (uid {metadata.get('uid')})"
        if at := metadata.get("deletionTimestamp"):
            return False, f"it is being deleted (since {at})"
        if phase in ("Failed", "Succeeded"):
            return False, f"it counts as {phase}"
        return True, ""


class Guard:
    """A command that runs while the cluster needs this pod.

    Args:
        command: command and arguments.
        read_state: requests the pod's state.
        name: of the pod, for messages.
        every_s: seconds between two requests.
        silence_s: after so many seconds without a response the command is ended; a command not yet started keeps
        waiting.
        stop_s: time from SIGTERM until the command is killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        read_state: Callable[[], Answer],
        name: str,
        every_s: float = EVERY_S,
        silence_s: float = SILENCE_S,
        stop_s: float = STOP_S,
    ) -> None:
        self._command, self._read_state, self._name = list(command), read_state, name
        self._every_s, self._silence_s, self._stop_s = every_s, silence_s, stop_s
        self._events: queue.SimpleQueue[Answer | Ended | signal.Signals] = queue.SimpleQueue()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Runs the command to its end, or until the cluster no longer needs the pod; returns the exit code."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)
        threading.Thread(target=self._poll, daemon=True).start()
        known_at, doubt, is_terminating = time.monotonic(), "", False
        while True:
            event = self._next(within_s=known_at + self._silence_s - time.monotonic())
            if isinstance(event, Ended):
                return exit_code(event.code)
            if isinstance(event, signal.Signals):
                if self._child is None:
                    return 128 + event
                self._child.send_signal(event)
                if event in TO_END and not is_terminating:  # from now on its kubelet ends it
                    known_at, is_terminating = time.monotonic(), True
            elif event is None and is_terminating:
                return self._end(f"it has not ended {self._silence_s:g} s after a signal to end")
            elif event is None:
                why = f"no response has confirmed it for {self._silence_s:g} s; the last try: {doubt or 'it hangs'}"
                if self._child is not None:
                    return self._end(why)
                log_line(f"{self._command[0]} waits until its cluster confirms pod {self._name}: {why}")
                known_at = time.monotonic()
            elif is_terminating or event.is_wanted is None:
                doubt = event.words
            elif not event.is_wanted:
                return self._end(event.words)
            else:
                known_at, doubt = event.requested_at, ""
                self._start()

    def _next(self, *, within_s: float) -> "Answer | Ended | signal.Signals | None":
        """The next event; None where none occurs in time."""
        try:
            return self._events.get(timeout=max(0.0, within_s))
        except queue.Empty:
            return None

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._events.put(signal.Signals(number))

    def _poll(self) -> None:
        while True:
            answer = self._read_state()
            self._events.put(answer)
            time.sleep(self._every_s if answer.is_wanted else self._every_s / 5)

    def _start(self) -> None:
        if self._child is None:
            self._child = subprocess.Popen(self._command)  # noqa: S603 - the command of the pod's own manifest
            threading.Thread(target=self._await_end, args=(self._child,), daemon=True).start()

    def _await_end(self, child: "subprocess.Popen[bytes]") -> None:
        self._events.put(Ended(child.wait()))

    def _end(self, why: str) -> int:
        """Ends the command, logs why, and returns the exit code."""
        what = "ends" if self._child else "does not start"
        log_line(f"{self._command[0]} {what}, since its cluster may no longer need pod {self._name}: {why}")
        if self._child is not None:
            self._child.terminate()
            if not self._has_ended():
                log_line(f"{self._command[0]} is killed: it has not ended {self._stop_s:g} s after SIGTERM")
                self._child.kill()
                self._has_ended()  # a process in a call to a dead file system stays; it ends with the container
        return NOT_WANTED

    def _has_ended(self) -> bool:
        """Whether the command ends within its time limit."""
        deadline = time.monotonic() + self._stop_s
        while (event := self._next(within_s=deadline - time.monotonic())) is not None:
            if isinstance(event, Ended):
                return True
        return False


def log_line(words: str) -> None:
    """Writes a line to the container's log."""
    sys.stderr.write(words + "\n")
    sys.stderr.flush()


def exit_code(code: int) -> int:
    """The exit code of a process in a shell's convention.

    >>> exit_code(3), exit_code(-15)
    (3, 143)
    """
    return code if code >= 0 else 128 - code


def main(arguments: Sequence[str], variables: Mapping[str, str]) -> int:
    """Runs the command of the arguments; returns the exit code.

    Args:
        arguments: options, `--`, and the command.
        variables: of the environment; `VARIABLES` name the API server and the pod.
    """
    parser = argparse.ArgumentParser(prog="python -m resources.pod_guard", description="runs a command in a pod")
    parser.add_argument("--every-s", type=float, default=EVERY_S)
    parser.add_argument("--silence-s", type=float, default=SILENCE_S)
    parser.add_argument("--stop-s", type=float, default=STOP_S)
    parser.add_argument("--account", type=Path, default=ACCOUNT)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    missing = [name for name in VARIABLES if not variables.get(name)]
    if missing:
        log_line(f"found no {', '.join(missing)} in the environment; run this in a pod whose manifest sets them")
        return USAGE
    host, port, namespace, name, uid = (variables[name] for name in VARIABLES)
    pod = Pod(host, int(port), namespace, name, uid, options.account)
    times = {"every_s": options.every_s, "silence_s": options.silence_s, "stop_s": options.stop_s}
    if shutil.which(options.command[0]) is None:
        log_line(f"found no command {options.command[0]!r}; name one that the image has")
        return NO_COMMAND
    return Guard(options.command, read_state=pod.read_state, name=name, **times).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
