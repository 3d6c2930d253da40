"""What tests of the whole walk share: a checkout of their own, a small fleet in NASA's format, and the real one."""

import gc
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import sinet_pipelines  # noqa: F401  # sets the switches of usage reports before a test imports onnxruntime
from tests.inventory import NAMES
from tests.no_sync import preload
from tests.workers import pytest_collection_modifyitems, pytest_xdist_make_scheduler  # noqa: F401  # hooks

CHECKOUT = Path(__file__).parents[1]
PROJECT_PARTS = ("assets", "resources", "schedules", "sinet_pipelines", "dagster.yaml", "workspace.yaml", "dg.toml")
SMALL_SUBSET = "FD007"
SMALL_ENGINES = {"history_engines": 18, "live_engines": 9, "regimes": 2, "seed": 5}


OURS = ("SINET_", "DAGSTER_", "MLFLOW_", "FEAST_", "KUBE")  # and proxies, which would take what goes to 127.0.0.1
SHOWN = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PY_COLORS")  # how output looks


def pytest_configure(config):
    """Tests begin alike whoever starts them: without settings of a user, home of the checkout or files of $HOME.

    Beta and preview parts of Dagster are used on purpose: it is pinned, and a test looks at the pin.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a script's `&` has it; Dagster has SIGTERM do the same
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in list(os.environ):
        is_ours = name.startswith(OURS) and name != "SINET_DATA"
        if is_ours or name in SHOWN or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process that a test starts compiles all of the product
    os.environ["HOME"] = tempfile.mkdtemp(prefix="sinet-tests-home-")
    config.add_cleanup(lambda: shutil.rmtree(os.environ["HOME"], ignore_errors=True))
    if not hasattr(config, "workerinput"):  # workers inherit it
        preload(Path(os.environ["HOME"]))
    os.environ["SINET_HOME"] = f"{os.environ['HOME']}/no-home"  # and never the one that this checkout last ran
    os.umask(0o022)
    # a busy machine is no fault of a law: by default an example that takes 200 ms fails its test
    settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any_machine")
    for stage in ("beta", "preview"):
        config.addinivalue_line("filterwarnings", f"ignore:.* is currently in {stage}, and may have breaking changes")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Collects without a search for garbage, which takes a fifth of the time: what is imported stays.

    No later search looks through it either.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def no_state_of_an_instance_that_is_gone():
    """Dagster keeps the state storage of the last instance, a dead one too, and reads it when definitions load."""
    if (state := sys.modules.get("dagster._core.storage.defs_state.base")) is not None:
        state._current_storage.set(None)


@pytest.fixture(scope="session")
def s3_store():
    """An S3-compatible store; tests keep apart by buckets of their own."""
    from tests.stores import running_store

    with running_store() as store:
        yield store


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
    from sinet_pipelines.applications.turbofan.simulator import simulate_fleet

    folder = tmp_path_factory.mktemp("data") / "small"
    write_subset(simulate_fleet(name=SMALL_SUBSET, **SMALL_ENGINES), folder)
    return folder


@pytest.fixture(scope="session")
def nasa_folder():
    """NASA's own files of C-MAPSS."""
    return real_data("cmapss", "train_FD001.txt")


@pytest.fixture(scope="session")
def definitions(tmp_path_factory):
    """The definitions as they load on an empty home: their first day is that of a fleet landed today."""
    from assets.definitions import build_defs
    from tests.deployed import deployment_at

    return build_defs(deployment_at(tmp_path_factory.mktemp("empty")))


@pytest.fixture(scope="session")
def landed(tmp_path_factory):
    """A home in which the small fleet has landed and nothing else: three regions of 25 days, the last one yesterday."""
    from sinet_pipelines.applications.turbofan.simulator import simulate_fleet
    from sinet_pipelines.applications.turbofan.source import land_folder

    folder = tmp_path_factory.mktemp("landed")
    write_subset(simulate_fleet(name=SMALL_SUBSET, **SMALL_ENGINES), folder / "small")
    land_folder(folder / "small", home=folder / "home", regions=NAMES)
    return folder / "home"


@pytest.fixture
def home(landed, definitions, tmp_path, monkeypatch):
    """A home in which the small fleet has landed and nothing was made; the settings of this process name it."""
    folder = tmp_path / "home"
    shutil.copytree(landed, folder, dirs_exist_ok=True)
    monkeypatch.setenv("SINET_HOME", str(folder))
    yield folder
    monkeypatch.undo()


@pytest.fixture
def carry_out(home, definitions):
    """Executes a set of assets over a range of days in this process, with the home's own resources; the result."""
    return executor_for(home, definitions)


def resources_of(home):
    """The resources of a home, as the definitions have them."""
    from resources.feature_store import feature_store_resource
    from resources.registry import registry_resource
    from resources.serving import ServingResource
    from resources.tracking import tracking_resource
    from tests.deployed import resources_at

    return {
        **resources_at(home),
        "feature_store": feature_store_resource(home),
        "tracking": tracking_resource(home),
        "registry": registry_resource(home),
        "serving": ServingResource(home=str(home)),
    }


def executor_for(home, definitions):
    """What executes a set of assets over a range of days on a home: `execute(instance, keys, days)`."""
    import dagster as dg

    from schedules.backfills import PlannedRun

    resources = resources_of(home)

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


def real_data(name, file):
    """A folder of real data that holds this file: `$SINET_DATA/<name>`, or `shared/data/<name>` beside the checkout.

    Where there is none, the test is skipped.
    """
    data = Path(os.environ.get("SINET_DATA") or CHECKOUT.parent / "shared" / "data")
    if not (data / name / file).exists():
        pytest.skip(f"no {name} in {data}; set SINET_DATA to a folder with {name}/{file}")
    return data / name


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
