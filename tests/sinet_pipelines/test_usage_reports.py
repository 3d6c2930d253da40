"""No library reports home: the switches are set before its import, and nothing is looked up or queued."""

import json
import os
import subprocess
import sys

import pytest

from sinet_pipelines.usage_reports import SWITCHES, switch_off_usage_reports
from tests.outgoing import build

LOOK_UP = "import socket\ntry:\n    socket.getaddrinfo('events.example.invalid', 443)\nexcept OSError:\n    pass"
SESSION = """
import sys
from sinet_pipelines.deployment.model import open_graph
from sinet_pipelines.quantization.runtime import served_session
content = open(sys.argv[1], 'rb').read()
open_graph(content, 'rul'), served_session(content)
"""


@pytest.fixture
def outgoing(tmp_path):
    return build(tmp_path)


def python(outgoing, *arguments, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    command = [sys.executable, "-W", "ignore", "-c", *map(str, arguments)]
    subprocess.run(command, env={**kept, **outgoing.environment, **environment}, check=True, timeout=300)


def test_the_switches_stand_over_what_the_environment_says():
    environment = {"ORT_DISABLE_TELEMETRY": "0", "PATH": "/bin"}
    switch_off_usage_reports(environment)
    assert environment == {**SWITCHES, "PATH": "/bin"}


def test_importing_any_part_of_the_library_switches_the_process_and_its_children():
    code = (
        "import sinet_pipelines.inventory.figures, subprocess, sys; "
        "subprocess.run([sys.executable, '-c', 'import json, os; print(json.dumps(dict(os.environ)))'])"
    )
    kept = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    output = subprocess.run([sys.executable, "-c", code], env=kept, capture_output=True, check=True, timeout=300).stdout
    assert json.loads(output).items() >= SWITCHES.items()


def test_a_native_look_up_is_recorded(outgoing):
    python(outgoing, LOOK_UP)
    assert [line.rpartition(" ")[0] for line in outgoing.beyond()] == ["lookup events.example.invalid"]


def test_a_session_of_onnx_runtime_leaves_no_queue_of_events_in_the_home_folder(outgoing, tmp_path):
    from tests.sinet_pipelines.deployment.served import rul_graph, save

    python(outgoing, SESSION, save(rul_graph(), tmp_path / "rul.onnx"))
    assert outgoing.queued() == []
    assert outgoing.beyond() == []
