"""The command: names that outside checks call, help that starts fast, errors as one sentence with their exit code."""

import shlex
import subprocess
import sys

import pytest

from sinet_pipelines.cli import main

COMMANDS = ("run", "ui", "stop", "land", "status", "serve", "predict", "benchmark", "doctor")
HEAVY = (
    "dagster",
    "polars",
    "pandas",
    "torch",
    "mlflow",
    "feast",
    "sklearn",
    "lightgbm",
    "great_expectations",
    "matplotlib",
)


def sinet(*arguments, cwd=None):
    command = [sys.executable, "-c", "from sinet_pipelines.cli.main import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def test_help_names_every_command():
    result = sinet("--help")
    assert result.returncode == 0
    assert [name for name in COMMANDS if name not in result.stdout] == []


def test_help_says_of_each_command_what_it_does_in_a_whole_sentence():
    listed = sinet("--help").stdout.partition("Commands:")[2]
    assert "..." not in listed
    assert all(line.rstrip().endswith(".") for line in listed.strip().splitlines())


def test_help_brings_no_heavy_framework():
    code = f"import sys, sinet_pipelines.cli.main; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300).stdout == "[]\n"


def test_a_home_without_a_fleet_is_one_sentence_and_asked_wrongly(tmp_path):
    result = sinet("stop", "--home", str(tmp_path), cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("sinet: no fleet in ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_an_unknown_option_is_asked_wrongly(tmp_path):
    assert sinet("run", "--nonsense", cwd=tmp_path).returncode == 2


def test_an_error_of_the_operating_system_is_told_with_its_file(monkeypatch, capsys):
    def full() -> None:
        raise OSError(28, "No space left on device", "/somewhere/run.log")

    monkeypatch.setattr(main, "app", full)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 3
    assert "/somewhere/run.log: no space is left" in capsys.readouterr().err


def test_a_command_in_the_background_of_a_script_ends_by_sigterm_and_so_do_its_processes(tmp_path):
    """A shell starts it with SIGINT ignored; Dagster has SIGTERM do as SIGINT does, and processes inherit that."""
    code = (
        "from sinet_pipelines.cli import main as cli; from dagster._utils.interrupts import setup_interrupt_handlers; "
    )
    code += "import signal; cli.app = lambda: (setup_interrupt_handlers(), print(signal.getsignal(signal.SIGTERM))); "
    code += "cli.main()"
    script = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} & wait"
    shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=300).stdout
    assert "default_int_handler" in shown
