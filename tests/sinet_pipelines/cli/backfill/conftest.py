"""Homes for tests of `sinet backfill`, and its commands as functions of this process."""

import json
import shutil

import dagster as dg
import pytest
from dagster._core.events import DagsterEventType

from assets.turbofan.keys import regional_key
from sinet_pipelines.applications.turbofan.landed import TELEMETRY
from sinet_pipelines.backfills.journal import journal_path, read_entries
from sinet_pipelines.backfills.order import BackfillOrder
from sinet_pipelines.backfills.record import record_of
from sinet_pipelines.cli.backfill_pages import show_plan
from sinet_pipelines.cli.backfill_run import begin
from sinet_pipelines.cli.home import OWN_INSTANCE
from tests.conftest import CHECKOUT
from tests.inventory import EAST
from tests.zones import landing_zone

RAW, VALIDATED = regional_key(EAST, "raw_telemetry"), regional_key(EAST, "validated_telemetry")
ONE = 'key:"EAST/turbofan/raw_telemetry"'
BOTH = f'{ONE} or key:"EAST/turbofan/validated_telemetry"'
DAYS = 4


@pytest.fixture(scope="session")
def same_path(tmp_path_factory):
    """One path for the homes of all tests: the definitions of a home take a second to make, and are kept."""
    return tmp_path_factory.mktemp("backfills") / "home"


@pytest.fixture
def place(landed, same_path, monkeypatch):
    """A landed home of which nothing is made; commands of this process work on it and leave no setting behind."""
    shutil.rmtree(same_path, ignore_errors=True)
    shutil.copytree(landed, same_path)
    for name in ("SINET_HOME", "SINET_EXECUTOR", "DAGSTER_HOME", OWN_INSTANCE):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("SINET_PROJECT", str(CHECKOUT))
    monkeypatch.delenv("SINET_EXECUTOR")
    return same_path


@pytest.fixture
def days(place):
    """The newest landed days of EAST, in order."""
    return landing_zone(place, TELEMETRY).days(EAST.name)[-DAYS:]


@pytest.fixture
def make(place, days, capfd):
    """`sinet backfill run` on the newest days, as a function; its exit code and its JSON."""

    def run(selection=ONE, *, first=0, **options):
        order = BackfillOrder(selection, (days[first], days[-1]), **options)
        code = begin(order, home=place, project=None, as_json=True)
        return code, json.loads(capfd.readouterr().out)

    return run


@pytest.fixture
def plan(place, capfd):
    """`sinet backfill plan --json`, as a function."""

    def run(selection=ONE, span=None, **options):
        show_plan(BackfillOrder(selection, span, **options), home=place, project=None, as_json=True)
        return json.loads(capfd.readouterr().out)

    return run


@pytest.fixture
def at_run(monkeypatch):
    """Calls a function before or after the run with a number, counted from 1, of this process."""
    from sinet_pipelines.cli import orchestrator

    execute, runs = orchestrator.execute, []

    def install(number, *, before=lambda _: None, after=lambda _: None):
        def watched(instance, run, job):
            runs.append(run)
            if len(runs) == number:
                before(instance)
            execute(instance, run, job)
            if len(runs) == number:
                after(instance)

        monkeypatch.setattr(orchestrator, "execute", watched)
        return runs

    return install


def made(home, key=RAW):
    """For each made day the record of its newest materialisation."""
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        kind = DagsterEventType.ASSET_MATERIALIZATION
        return dict(instance.event_log_storage.get_latest_storage_id_by_partition(key, kind))


def record(home, number=1):
    return record_of(number, read_entries(journal_path(home, number)))


def texts(days):
    return [day.isoformat() for day in days]
