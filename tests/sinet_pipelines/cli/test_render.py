"""The Job of every asset and check, by the real step handler, is one that a cluster's schema accepts word for word."""

import json
from dataclasses import replace

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._core.definitions.reconstruct import ReconstructableRepository
from typer.testing import CliRunner

from resources.placement import JOB_TAG, NEEDS_TAG
from sinet_pipelines.cli.main import app
from sinet_pipelines.cli.orchestrator import all_assets_job
from sinet_pipelines.cli.render import rendered, show_all, show_job, step_of, write_deployment
from sinet_pipelines.errors import UsageError
from sinet_pipelines.inventory.regions import Inventory
from sinet_pipelines.inventory.roots import Root
from sinet_pipelines.inventory.streams import Stream
from sinet_pipelines.manifests.streams import ingesters
from sinet_pipelines.placement.bindings import step_config
from sinet_pipelines.placement.needs import Needs
from tests.clusters.pod_security import violations
from tests.conftest import CHECKOUT
from tests.inventory import EAST, HARDWARE, REGIONS, WEST, get_hardware, get_region

KUBERNETES = "1.36"  # of the clusters on which all this was seen
HERE = """
import dagster as dg
from resources.placement import bind, bind_check
from sinet_pipelines.placement.needs import Needs
from tests.inventory import EAST, NULL_ISLAND, REGIONS
from sinet_pipelines.schemas.contract import DataClass
"""


@pytest.fixture
def here(monkeypatch, definitions):
    """The checkout as the project, whose definitions are loaded."""
    monkeypatch.setenv("SINET_PROJECT", str(CHECKOUT))
    return definitions


def jobs_of(folder, text):
    """The Jobs of definitions that are written for a test."""
    (folder / "planted.py").write_text(HERE + text)
    repository = ReconstructableRepository.for_file(str(folder / "planted.py"), "defs", str(CHECKOUT))
    return rendered(repository.get_reconstructable_job("__ASSET_JOB"), None)


@pytest.mark.slow
def test_every_asset_and_every_check_becomes_a_job_that_the_schema_accepts(here):
    graph = here.resolve_asset_graph()
    steps = {step_of(graph, key.to_user_string()) for key in graph.executable_asset_keys}
    steps |= {step_of(graph, f"{check.asset_key.to_user_string()}:{check.name}") for check in graph.asset_check_keys}
    jobs = rendered(*all_assets_job())
    assert set(jobs) == steps
    for job in jobs.values():
        kubernetes_validate.validate(job, KUBERNETES, strict=True)
        assert violations(job["spec"]["template"]["spec"]) == ""


def test_a_pod_that_says_nothing_of_its_security_is_not_admitted(here):
    job = rendered(*all_assets_job(), step_keys=["turbofan__training_set"])
    pod = job["turbofan__training_set"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == 10_001
    del pod["securityContext"], pod["containers"][0]["securityContext"]
    assert violations(pod) == (
        'allowPrivilegeEscalation != false (container "dagster" must set '
        "securityContext.allowPrivilegeEscalation=false), "
        'unrestricted capabilities (container "dagster" must set securityContext.capabilities.drop=["ALL"]), '
        'runAsNonRoot != true (pod or container "dagster" must set securityContext.runAsNonRoot=true), '
        'seccompProfile (pod or container "dagster" must set securityContext.seccompProfile.type to '
        '"RuntimeDefault" or "Localhost")'
    )


def test_a_job_is_in_its_assets_region_and_on_its_hardware(here):
    graph, jobs = here.resolve_asset_graph(), rendered(*all_assets_job())
    for key in graph.executable_asset_keys:
        node, job = graph.get(key), jobs[step_of(graph, key.to_user_string())]
        region, hardware = get_region(node.tags["sinet/region"]), node.tags["sinet/hardware"]
        pod = job["spec"]["template"]["spec"]
        assert job["metadata"]["namespace"] == region.cluster.namespace
        assert job["metadata"]["labels"]["sinet.ai/region"] == region.name
        assert pod["nodeSelector"] == {**region.cluster.node_labels, **get_hardware(hardware).node_labels}
        assert pod["containers"][0]["image"] == region.cluster.image
        needs = Needs.from_json(node.assets_def.op.tags[NEEDS_TAG])
        assert needs.deploys == (key.path[-1] == "endpoint")  # the one step with rights in its cluster
        assert pod["automountServiceAccountToken"] is needs.deploys
        row = region.cluster
        assert pod["serviceAccountName"] == (row.serving.service_account if needs.deploys else row.service_account)
        assert pod["containers"][0]["resources"]["limits"]["memory"] == f"{needs.memory_mib}Mi"
        assert job["spec"]["backoffLimit"] == 0
        # the router asks for a first attempt by region, hardware and needs; what is shown is by the asset's own tag
        assert json.loads(node.assets_def.op.tags[JOB_TAG]) == step_config(region, get_hardware(hardware), needs)


def test_every_kind_in_every_region_with_everything_that_can_be_needed_is_a_job_too(tmp_path, definitions):
    jobs = jobs_of(
        tmp_path,
        """
EVERYTHING = dict(is_preemptible=True, priority="high", scratch_gib=50, checkpoint_seconds=600, latest_finish=None,
                  storage=("parallel-file-system", "local-nvme", "object-store"))

def make(region, hardware):
    @dg.asset(name=f"{region.key}_{hardware}".replace("-", "_"),
              **bind(region, data_class=DataClass.MODEL, hardware=hardware, needs=Needs(**EVERYTHING)))
    def asset(): ...
    return asset

defs = dg.Definitions(assets=[make(region, hardware) for region in REGIONS for hardware in region.hardware],
                      resources=dict.fromkeys(["deployment", *(one.key for one in REGIONS)]))
""",
    )
    assert len(jobs) == sum(len(region.hardware) for region in REGIONS)
    for job in jobs.values():
        kubernetes_validate.validate(job, KUBERNETES, strict=True)
        assert violations(job["spec"]["template"]["spec"]) == ""
    limits = [job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] for job in jobs.values()]
    counted = {name for one in limits for name in one} - {"cpu", "memory"}
    assert counted == {row.resource_name for row in HARDWARE if row.resource_name}


def test_a_check_of_its_own_is_bound_by_its_binding(tmp_path, definitions):
    jobs = jobs_of(
        tmp_path,
        """
@dg.asset(**bind(EAST, data_class=DataClass.MODEL))
def table(): ...

@dg.asset_check(asset=table, **bind_check(NULL_ISLAND, hardware="fpga", needs=Needs(count=2)))
def it_is_fine(): ...

defs = dg.Definitions(assets=[table], asset_checks=[it_is_fine],
                      resources=dict.fromkeys(["deployment", *(one.key for one in REGIONS)]))
""",
    )
    job = jobs["table_it_is_fine"]
    assert job["metadata"]["labels"]["sinet.ai/region"] == "NULL_ISLAND"
    assert job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["sinet.ai/fpga"] == "2"


@pytest.mark.parametrize("what", ["@dg.asset_check(asset=table)", "@dg.asset"])
def test_what_is_bound_to_no_region_is_named(tmp_path, definitions, what):
    with pytest.raises(UsageError, match=r"step \w*unbound is bound to no region; add `bind"):
        jobs_of(
            tmp_path,
            f"""
@dg.asset(**bind(EAST, data_class=DataClass.MODEL))
def table(): ...

{what}
def unbound(): ...

is_check = isinstance(unbound, dg.AssetChecksDefinition)
defs = dg.Definitions(assets=[table, *([] if is_check else [unbound])], asset_checks=[unbound] if is_check else [],
                      resources=dict.fromkeys(["deployment", *(one.key for one in REGIONS)]))
""",
        )


@pytest.mark.slow
def test_the_command_prints_one_job_as_yaml_or_json(here, capsys):
    show_job("turbofan/training_set", project=CHECKOUT, as_json=False)
    content = yaml.safe_load(capsys.readouterr().out)
    assert (content["kind"], content["metadata"]["labels"]["dagster/op"]) == ("Job", "turbofan__training_set")
    show_job("turbofan/evaluation:challenger_is_not_worse", project=CHECKOUT, as_json=True)
    assert json.loads(capsys.readouterr().out)["metadata"]["labels"]["dagster/op"] == "turbofan__evaluation"


@pytest.mark.slow
def test_all_jobs_are_printed_at_once(here, capsys):
    show_all(project=CHECKOUT, as_json=True)
    jobs = json.loads(capsys.readouterr().out)
    variables = [job["spec"]["template"]["spec"]["containers"][0]["env"] for job in jobs]
    steps = {one["value"] for env in variables for one in env if one["name"] == "DAGSTER_RUN_STEP_KEY"}
    graph = here.resolve_asset_graph()
    assert {graph.get(key).assets_def.node_def.name for key in graph.executable_asset_keys} <= steps
    assert len(steps) == len(jobs)


def test_a_deployment_is_written_and_nothing_is_said_to_change_twice(here, capsys, tmp_path):
    write_deployment(tmp_path / "out", project=CHECKOUT)
    output = capsys.readouterr().out.splitlines()
    assert {"wrote east/dagster.yaml", "wrote null_island/kustomization.yaml", "wrote kubeconfig.sh"} <= set(output)
    write_deployment(tmp_path / "out", project=CHECKOUT)
    assert capsys.readouterr().out == f"{tmp_path / 'out'} is unchanged\n"


def test_what_the_rows_have_no_more_is_removed_and_named_since_no_apply_takes_it_away(capsys, monkeypatch, tmp_path):
    limited = replace(EAST, cluster=replace(EAST.cluster, quota={"pods": "9"}, default_limits={"memory": "1Gi"}))
    monkeypatch.setattr(
        "sinet_pipelines.inventory.regions.this_inventory", lambda: Inventory((limited, WEST), HARDWARE)
    )
    write_deployment(tmp_path / "a b", project=CHECKOUT)
    capsys.readouterr()
    unlimited = replace(limited, cluster=replace(limited.cluster, quota={}))
    monkeypatch.setattr("sinet_pipelines.inventory.regions.this_inventory", lambda: Inventory((unlimited,), HARDWARE))
    write_deployment(tmp_path / "a b", project=CHECKOUT)
    output = capsys.readouterr().out.splitlines()
    assert {"wrote east/limits.yaml", "removed west/kustomization.yaml"} <= set(output)
    stays = "is no longer rendered; where it was applied it stays until you delete it"
    assert {f"east: ResourceQuota sinet {stays}", f"west: Namespace sinet {stays}"} <= set(output)
    assert f"east: LimitRange sinet {stays}" not in output
    assert not (tmp_path / "a b" / "west" / "accounts.yaml").exists()


@pytest.mark.parametrize("arguments", [[], ["training_set", "--all"], ["--all", "--deploy", "x"]])
def test_the_command_does_one_thing_at_a_time(arguments):
    ended = CliRunner().invoke(app, ["render", *arguments])
    assert isinstance(ended.exception, UsageError)
    assert "name one of: an asset, --all, --deploy DIR" in str(ended.exception)


@pytest.mark.parametrize(
    ("asset", "words"),
    [
        (
            "raw_telemetry",
            "'raw_telemetry' is the last part of 3 assets; name one: EAST/turbofan/raw_tel",
        ),
        ("no_such", "no asset 'no_such'; name one: .* and .* more"),
        ("training", "no asset 'training'; name one: .*turbofan/training_set"),
        ("", "no asset ''; name one"),
        ("turbofan/evaluation:is_nice", r"has no check 'is_nice' \(it has: .*challenger_is_not_worse.*\); name one"),
    ],
)
def test_what_cannot_be_rendered_is_refused_with_what_can(definitions, asset, words):
    with pytest.raises(UsageError, match=words):
        step_of(definitions.resolve_asset_graph(), asset)


def test_an_asset_that_others_make_is_refused_and_an_observed_landing_zone_has_a_step(definitions):
    graph = dg.Definitions([dg.AssetSpec("delivered")]).resolve_asset_graph()
    with pytest.raises(UsageError, match="no step makes delivered: others"):
        step_of(graph, "delivered")
    zone = "EAST/turbofan/landing_zone"
    assert step_of(definitions.resolve_asset_graph(), zone)


@pytest.fixture
def stored(monkeypatch):
    """All regions keep their data on stores."""
    roots = {one.name: Root(f"s3://plants/{one.key}") for one in REGIONS}
    inventory = Inventory(tuple(replace(one, root=roots[one.name]) for one in REGIONS), HARDWARE)
    monkeypatch.setattr("sinet_pipelines.inventory.regions.this_inventory", lambda: inventory)


def mounted(job):
    """Where each Secret of a Job is mounted."""
    pod = job["spec"]["template"]["spec"]
    named = {one["name"]: one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one}
    mounts = pod["containers"][0]["volumeMounts"]
    assert all(one["readOnly"] for one in mounts if one["name"] in named)
    return {named[one["name"]]: one["mountPath"] for one in mounts if one["name"] in named}


def test_a_pod_mounts_the_credentials_of_the_stores_that_its_edges_come_from_and_no_others(here, stored):
    graph = here.resolve_asset_graph()
    wanted = {
        "EAST/turbofan/raw_telemetry": {"EAST"},
        "WEST/turbofan/window_features": {"WEST", "EAST"},  # the regimes are found in EAST
        "turbofan/training_set": {"EAST", "WEST", "NULL_ISLAND"},
    }
    steps = {name: step_of(graph, name) for name in wanted}
    jobs = rendered(*all_assets_job(), step_keys=list(steps.values()))
    for name, regions in wanted.items():
        job = jobs[steps[name]]
        at = "WEST" if name.startswith("WEST") else "EAST"
        assert mounted(job) == {
            f"sinet-store-{one.lower().replace('_', '-')}": f"/etc/sinet/credentials/{at}/{one}" for one in regions
        }, name
        env = {one["name"]: one.get("value") for one in job["spec"]["template"]["spec"]["containers"][0]["env"]}
        assert env["SINET_CREDENTIALS"] == "/etc/sinet/credentials"
        kubernetes_validate.validate(job, KUBERNETES, strict=True)
        assert violations(job["spec"]["template"]["spec"]) == ""


def test_a_pod_of_regions_without_a_store_mounts_no_credentials(here):
    (job,) = rendered(*all_assets_job(), step_keys=["turbofan__training_set"]).values()
    assert mounted(job) == {}


def test_what_reads_a_stream_mounts_what_the_raw_step_of_its_region_mounts_but_dagsters_instance(here, stored):
    from sinet_pipelines.inventory import regions

    step = step_of(here.resolve_asset_graph(), "EAST/turbofan/raw_telemetry")
    raw = rendered(*all_assets_job(), step_keys=[step])[step]["spec"]["template"]["spec"]
    east = replace(regions.this_inventory().region("EAST"), streams=(Stream("kafka://broker/engines", "turbofan"),))
    pod = ingesters(east)[0]["spec"]["template"]["spec"]

    def volumes(spec):
        return {one["name"]: one for one in spec["volumes"] if "configMap" not in one}

    def mounts(spec):
        names = volumes(spec)
        return {one["name"]: one["mountPath"] for one in spec["containers"][0]["volumeMounts"] if one["name"] in names}

    assert volumes(pod) == volumes(raw)
    assert mounts(pod) == mounts(raw)
    assert set(mounts(pod)) >= {"parallel-file-system", "store-east"}
    for name in ("securityContext", "nodeSelector", "serviceAccountName", "automountServiceAccountToken"):
        assert pod[name] == raw[name]
