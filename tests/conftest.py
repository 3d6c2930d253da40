"""What tests of the whole walk share: a checkout of their own, a small fleet in NASA's format, and the real one."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

import sinet_pipelines  # noqa: F401  # sets the switches of usage reports before a test imports onnxruntime

CHECKOUT = Path(__file__).parents[1]
PROJECT_PARTS = ("assets", "resources", "schedules", "sinet_pipelines", "dagster.yaml", "workspace.yaml")
SMALL_SUBSET = "FD007"
SMALL_ENGINES = {"history_engines": 18, "live_engines": 9, "regimes": 2, "seed": 5}


OURS = ("SINET_", "DAGSTER_", "MLFLOW_", "FEAST_", "KUBE")  # and proxies, which would take what goes to 127.0.0.1
SHOWN = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PY_COLORS")  # how output looks


def pytest_configure(config):
    """Whoever starts the tests, they begin alike: no settings of a user, an empty home directory, an ordinary umask.

    Beta and preview parts of Dagster are used on purpose: it is pinned, and a test looks at the pin.
    """
    for name in list(os.environ):
        is_ours = name.startswith(OURS) and name != "SINET_DATA"
        if is_ours or name in SHOWN or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ["HOME"] = tempfile.mkdtemp(prefix="sinet-tests-home-")
    config.add_cleanup(lambda: shutil.rmtree(os.environ["HOME"], ignore_errors=True))
    os.umask(0o022)
    for stage in ("beta", "preview"):
        config.addinivalue_line("filterwarnings", f"ignore:.* is currently in {stage}, and may have breaking changes")


def pytest_collection_modifyitems(items):
    """Tests of one folder share what is built once a session: they stay in one worker where several run them."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.parent.relative_to(CHECKOUT).as_posix()))


@pytest.fixture(scope="session")
def own_certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 with its key that nobody has signed but itself."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name.from_rfc4514_string("CN=127.0.0.1")
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=3650))
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("certificate") / "own.pem"
    path.write_bytes(text + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A checkout in links, so that no test touches the state of this one; `SINET_PROJECT` names it."""
    folder = link_project(tmp_path / "checkout")
    monkeypatch.setenv("SINET_PROJECT", str(folder))
    return folder


@pytest.fixture(scope="session")
def small_cmapss(tmp_path_factory):
    """A folder in NASA's format: 18 history and 9 live engines of one simulated subset, about 4,600 rows."""
    from sinet_pipelines.ingestion.simulator import simulate_fleet

    folder = tmp_path_factory.mktemp("data") / "small"
    write_subset(simulate_fleet(name=SMALL_SUBSET, **SMALL_ENGINES), folder)
    return folder


@pytest.fixture(scope="session")
def cmapss_folder():
    """NASA's own files: `$SINET_DATA/cmapss`, or `shared/data/cmapss` beside the checkout."""
    data = Path(os.environ.get("SINET_DATA") or CHECKOUT.parent / "shared" / "data")
    if not (data / "cmapss" / "train_FD001.txt").exists():
        pytest.skip(f"no C-MAPSS in {data}; set SINET_DATA to a folder with cmapss/train_FD001.txt and its fellows")
    return data / "cmapss"


@pytest.fixture(scope="session")
def definitions(tmp_path_factory):
    """The definitions as they load on an empty home: their first day is that of a fleet landed today."""
    from resources.settings import EMPTY_HOME_DAYS, settings

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SINET_HOME", str(tmp_path_factory.mktemp("empty")))
        settings.cache_clear()
        from assets.days import DAYS
        from assets.definitions import defs
    settings.cache_clear()
    assert len(DAYS.get_partition_keys()) == EMPTY_HOME_DAYS + 1, "another test loaded the definitions on its own home"
    return defs


@pytest.fixture(scope="session")
def landed(tmp_path_factory):
    """A landing zone with the small fleet: three regions of 25 days, the last one yesterday."""
    from sinet_pipelines.cli.land import land_folder
    from sinet_pipelines.ingestion.simulator import simulate_fleet

    folder = tmp_path_factory.mktemp("landed")
    write_subset(simulate_fleet(name=SMALL_SUBSET, **SMALL_ENGINES), folder / "small")
    land_folder(folder / "small", home=folder / "home")
    return folder / "home" / "landing"


@pytest.fixture
def home(landed, definitions, tmp_path, monkeypatch):
    """A home in which the small fleet has landed and nothing was made; the settings of this process name it."""
    from resources.settings import settings

    folder = tmp_path / "home"
    shutil.copytree(landed, folder / "landing")
    monkeypatch.setenv("SINET_HOME", str(folder))
    settings.cache_clear()
    yield folder
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def carry_out(home, definitions):
    """Executes a set of assets over a range of days in this process, with the home's own resources; the result."""
    return executor_for(home, definitions)


def executor_for(home, definitions):
    """What executes a set of assets over a range of days on a home: `execute(instance, keys, days)`."""
    import dagster as dg

    from resources.feature_store import feature_store_resource
    from resources.regions import region_resources
    from resources.registry import registry_resource
    from resources.serving import ServingResource
    from resources.tracking import tracking_resource
    from schedules.backfills import PlannedRun

    resources = {
        **region_resources(home),
        "feature_store": feature_store_resource(home),
        "tracking": tracking_resource(home),
        "registry": registry_resource(home),
        "serving": ServingResource(home=str(home)),
    }

    def execute(instance, keys, days=None):
        return dg.materialize(
            definitions.assets,
            selection=list(keys),
            resources=resources,
            instance=instance,
            tags=PlannedRun(frozenset(keys), days).tags,
            raise_on_error=False,
        )

    return execute


def link_project(folder):
    """Makes a folder that is the checkout for `sinet`, by links; homes and the link to the current one go there."""
    folder.mkdir()
    for part in PROJECT_PARTS:
        (folder / part).symlink_to(CHECKOUT / part)
    return folder


def write_subset(subset, folder):
    """Writes a subset as the three files of NASA's format."""
    folder.mkdir(exist_ok=True)
    for part, rows in (("train", subset.train), ("test", subset.test)):
        (folder / f"{part}_{subset.name}.txt").write_bytes(rows.write_csv(separator=" ", include_header=False).encode())
    (folder / f"RUL_{subset.name}.txt").write_text("".join(f"{left}\n" for left in subset.rul["rul_cycles"]))
