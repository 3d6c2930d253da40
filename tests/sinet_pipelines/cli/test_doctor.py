"""What the findings say: commands that, pasted, work on the home that was asked about."""

import json
import shlex

from sinet_pipelines.cli.doctor import examine
from sinet_pipelines.cli.finding import Finding


def test_commands_name_the_home_that_was_named(tmp_path, capsys):
    home = tmp_path / "another home"
    assert examine(home=home, as_json=True) == 1
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    wanted = f"`sinet run --home {shlex.quote(str(home))}`"
    assert findings["endpoint"]["cure"] == f"run {wanted}"
    assert wanted in findings["home"]["cure"]


def test_without_a_home_the_commands_mean_the_one_last_run():
    finding = Finding("endpoint", False, "none responds", "run `sinet run`")
    assert finding.at(None) is finding
