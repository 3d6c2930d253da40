"""Runs a command for as long as the cluster wants this pod: `python -m resources.pod_guard -- COMMAND...`.

The containers of a node that its cluster has lost live on, beside the pod that replaces theirs on another node.
Dagster's daemon would go on there with a token that is no longer valid, and end healthy runs because its own requests
fail. So this process asks the API server about its own pod, starts the command once that is wanted, and ends it when
the pod is deleted, replaced or refused, or when nobody answers: then it may have been replaced. A kubelet that is well
starts the container again, and the command begins as soon as the API server answers. Neither Dagster nor a Kubernetes
client is imported.
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

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where the kubelet keeps token and authority
VARIABLES = ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "POD_NAMESPACE", "POD_NAME", "POD_UID")
EVERY_S = 10.0
SILENCE_S = 60.0  # with STOP_S less than a cluster waits before it replaces a pod on a lost node: `control.py`
STOP_S = 15.0  # between SIGTERM and SIGKILL
REQUEST_S = 5.0  # several fit into the silence
USAGE, NOT_WANTED, NO_COMMAND = 2, 75, 127  # exit codes; 75 is EX_TEMPFAIL: to be started again is right
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
TO_END = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Answer:
    """What the API server says of the pod.

    Attributes:
        is_wanted: None where it does not say.
        words: why.
        asked_at: when the question was put, by the monotonic clock, in seconds.
    """

    is_wanted: bool | None
    words: str
    asked_at: float


@dataclass(frozen=True)
class Ended:
    """The command's process has ended, with this code as `subprocess` has it."""

    code: int


@dataclass(frozen=True)
class Pod:
    """The pod that this process is in, and where its API server is.

    Attributes:
        host: of the API server.
        port: of the API server.
        namespace: of the pod.
        name: of the pod.
        uid: of the pod; another pod may come to have its name.
        account: folder with `token`, which the kubelet renews, and `ca.crt`.
    """

    host: str
    port: int
    namespace: str
    name: str
    uid: str
    account: Path

    def ask(self) -> Answer:
        """Whether the cluster wants this pod."""
        asked_at = time.monotonic()
        try:
            is_wanted, words = self.judge(*self._get())
        except (OSError, http.client.HTTPException, ValueError) as error:
            is_wanted, words = None, f"{type(error).__name__}: {error}"
        return Answer(is_wanted, words, asked_at)

    def _get(self) -> tuple[int, bytes]:
        token = (self.account / "token").read_text().strip()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError(f"{self.account / 'token'} holds no token")  # which no message is to quote
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
        """Whether the pod is wanted by an answer of the API server, and why.

        >>> pod = Pod("10.0.0.1", 443, "sinet", "daemon-1", "a", Path("/"))
        >>> pod.judge(404, b'{"kind": "Status", "message": "pods daemon-1 not found"}')
        (False, 'the API server answers 404 (pods daemon-1 not found)')
        >>> pod.judge(200, b'{"kind": "Pod", "metadata": {"uid": "b"}}')
        (False, 'another pod has its name (uid b)')
        >>> pod.judge(502, b"<html>")
        (None, 'the API server answers 502')
        """
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        kind = found.get("kind") if isinstance(found, dict) else None
        if kind == "Pod" and status == http.client.OK:
            return self._judge_pod(found)
        said = f" ({found['message']})" if kind == "Status" and found.get("message") else ""
        is_refused = kind == "Status" and status in (http.client.UNAUTHORIZED, http.client.NOT_FOUND)
        return False if is_refused else None, f"the API server answers {status}{said}"

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
    """A command that runs while this pod is wanted.

    Args:
        command: what to run.
        ask: whether the pod is wanted.
        name: of the pod, for messages.
        every_s: from one question to the next.
        silence_s: after so long without an answer the command is ended; before it has begun, it goes on waiting.
        stop_s: how long the command may take to end before it is killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        ask: Callable[[], Answer],
        name: str,
        every_s: float = EVERY_S,
        silence_s: float = SILENCE_S,
        stop_s: float = STOP_S,
    ) -> None:
        self._command, self._ask, self._name = list(command), ask, name
        self._every_s, self._silence_s, self._stop_s = every_s, silence_s, stop_s
        self._news: queue.SimpleQueue[Answer | Ended | signal.Signals] = queue.SimpleQueue()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Runs the command to its end, or until the pod is not wanted; returns the exit code."""
        for number in SIGNALS:
            signal.signal(number, self._heard)
        threading.Thread(target=self._keep_asking, daemon=True).start()
        known_at, doubt, is_told_to_end = time.monotonic(), "", False
        while True:
            news = self._next(within_s=known_at + self._silence_s - time.monotonic())
            if isinstance(news, Ended):
                return exit_code(news.code)
            if isinstance(news, signal.Signals):
                if self._child is None:
                    return 128 + news
                self._child.send_signal(news)
                if news in TO_END and not is_told_to_end:  # from now on its kubelet looks after its end
                    known_at, is_told_to_end = time.monotonic(), True
            elif news is None and is_told_to_end:
                return self._end(f"it has not ended {self._silence_s:g} s after a signal to end")
            elif news is None:
                why = f"no answer has said so for {self._silence_s:g} s; the last try: {doubt or 'it hangs'}"
                if self._child is not None:
                    return self._end(why)
                say(f"{self._command[0]} waits until pod {self._name} is wanted by its cluster: {why}")
                known_at = time.monotonic()
            elif is_told_to_end or news.is_wanted is None:
                doubt = news.words
            elif not news.is_wanted:
                return self._end(news.words)
            else:
                known_at, doubt = news.asked_at, ""
                self._start()

    def _next(self, *, within_s: float) -> "Answer | Ended | signal.Signals | None":
        """What happens next; None where nothing does in time."""
        try:
            return self._news.get(timeout=max(0.0, within_s))
        except queue.Empty:
            return None

    def _heard(self, number: int, _: FrameType | None) -> None:
        self._news.put(signal.Signals(number))

    def _keep_asking(self) -> None:
        while True:
            answer = self._ask()
            self._news.put(answer)
            time.sleep(self._every_s if answer.is_wanted else self._every_s / 5)

    def _start(self) -> None:
        if self._child is None:
            self._child = subprocess.Popen(self._command)  # noqa: S603 - the command of the pod's own manifest
            threading.Thread(target=self._await_end, args=(self._child,), daemon=True).start()

    def _await_end(self, child: "subprocess.Popen[bytes]") -> None:
        self._news.put(Ended(child.wait()))

    def _end(self, why: str) -> int:
        """Ends the command, says why, and returns the exit code."""
        what = "ends" if self._child else "does not start"
        say(f"{self._command[0]} {what}, since pod {self._name} may not be wanted by its cluster any more: {why}")
        if self._child is not None:
            self._child.terminate()
            if not self._has_ended():
                say(f"{self._command[0]} is killed: it has not ended {self._stop_s:g} s after SIGTERM")
                self._child.kill()
                self._has_ended()  # what a dead file system holds does not; it goes with the container
        return NOT_WANTED

    def _has_ended(self) -> bool:
        """Whether the command ends within the time that it may take."""
        deadline = time.monotonic() + self._stop_s
        while (news := self._next(within_s=deadline - time.monotonic())) is not None:
            if isinstance(news, Ended):
                return True
        return False


def say(words: str) -> None:
    """Writes a line to the container's log."""
    sys.stderr.write(words + "\n")
    sys.stderr.flush()


def exit_code(code: int) -> int:
    """The exit code of a process as a shell has it.

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
    said = parser.parse_args(arguments)
    missing = [name for name in VARIABLES if not variables.get(name)]
    if missing:
        say(f"found no {', '.join(missing)} in the environment; run this in a pod whose manifest sets them")
        return USAGE
    host, port, namespace, name, uid = (variables[name] for name in VARIABLES)
    pod = Pod(host, int(port), namespace, name, uid, said.account)
    times = {"every_s": said.every_s, "silence_s": said.silence_s, "stop_s": said.stop_s}
    if shutil.which(said.command[0]) is None:
        say(f"found no command {said.command[0]!r}; name one that the image has")
        return NO_COMMAND
    return Guard(said.command, ask=pod.ask, name=name, **times).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
