"""`sinet serve`: a server for a model of the home, started or used again, and printed."""

import json
import warnings

import pytest

from sinet_pipelines.deployment.client import infer
from sinet_pipelines.deployment.process import endpoints, stop_all
from sinet_pipelines.errors import ModelNotFoundError, UsageError
from sinet_pipelines.storage.layout import record_file
from tests.sinet_pipelines.deployment.served import publish_rul, sane_inputs

with warnings.catch_warnings():  # typer takes names from click.utils that click says it will move
    warnings.filterwarnings("ignore", r"'click\.utils\.\w+' is deprecated", DeprecationWarning)
    from sinet_pipelines.cli.serve import command


@pytest.fixture
def home(tmp_path):
    record_file(tmp_path, "turbofan").parent.mkdir(parents=True)
    record_file(tmp_path, "turbofan").write_text("{}")
    publish_rul(tmp_path / "serving" / "models", "1", bias=100.0, alias="champion")
    publish_rul(tmp_path / "serving" / "models", "2", bias=200.0)
    yield tmp_path
    stop_all(tmp_path)


def test_the_champion_is_served_and_used_again_and_another_version_stands_beside_it(home, capsys):
    answers = []
    for version in (None, "1", "2"):
        command("rul", version=version, home=home, as_json=True)
        answers.append(json.loads(capsys.readouterr().out))
    champion, same, beside = answers
    assert champion == same
    assert (champion["name"], champion["region"], champion["version"], champion["ready"]) == ("rul", "WEST", "1", True)
    assert (beside["name"], beside["version"]) == ("rul-v2", "2")
    assert infer(beside["url"], "rul", sane_inputs()).keys() == {"rul_cycles"}
    assert endpoints(home) == [champion, beside]


def test_without_json_it_says_where_and_how_to_ask(home, capsys):
    command("rul", home=home)
    output = capsys.readouterr().out
    assert "rul version 1 serves at http://127.0.0.1:" in output
    assert "sinet predict --url http://127.0.0.1:" in output


def test_a_model_that_is_not_there_is_answered_with_those_that_are(home):
    with pytest.raises(ModelNotFoundError, match=r"no model 'nope' to serve \(published: rul\)"):
        command("nope", home=home)
    with pytest.raises(ModelNotFoundError, match="no version '7' of 'rul'"):
        command("rul", version="7", home=home)
    with pytest.raises(ModelNotFoundError, match="no alias 'canary' of 'rul'"):
        command("rul", alias="canary", home=home)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_no_port_is_refused(home, port):
    with pytest.raises(UsageError, match=f"{port} is not a port"):
        command("rul", port=port, home=home)
