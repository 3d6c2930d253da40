"""The experiment as assets: a challenger beside the candidates, a version without an alias, a check that says why."""

import shutil

import dagster as dg
import pytest

from resources.keys import everywhere, global_key
from resources.placement import HARDWARE_TAG, REGION_TAG
from resources.registry import registry_resource
from resources.settings import settings
from resources.tracking import tracking_resource
from sinet_pipelines.ingestion.landing import LandingZone
from sinet_pipelines.regions import REGIONS
from sinet_pipelines.registry.versions import list_versions
from tests.conftest import executor_for

CHALLENGER, VERDICT = global_key("spiking_challenger"), global_key("spiking_verdict")
MADE_BEFORE = (
    *("training_set", "operating_regimes", "gradient_boosting", "temporal_convolution", "average"),
    *("evaluation_set", "evaluation"),
)
REGIONAL = (
    *("raw_telemetry", "validated_telemetry", "failure_events", "truth_events", "regime_cells", "window_features"),
    *("training_sequences", "evaluation_sequences"),
)


@pytest.fixture(scope="module")
def stages(definitions):
    from assets import evaluation, features, ingestion, research, training, validation

    modules = [ingestion, validation, features, training, evaluation, research]
    return dg.Definitions(assets=dg.load_assets_from_modules(modules))


@pytest.fixture(scope="module")
def made(landed, stages, tmp_path_factory):
    """A home of the small fleet on which the experiment was carried out, and judged twice: home, instance."""
    home = tmp_path_factory.mktemp("research") / "home"
    shutil.copytree(landed, home / "landing")
    days = sorted({day for region in REGIONS for day in LandingZone(home / "landing").days(region.name)})
    keys = [*(key for name in REGIONAL for key in everywhere(name)), *(global_key(name) for name in MADE_BEFORE)]
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("SINET_HOME", str(home))
        settings.cache_clear()
        execute = executor_for(home, stages)
        assert execute(instance, keys, (days[0], days[-1])).success
        assert execute(instance, [CHALLENGER, VERDICT]).success
        assert execute(instance, [VERDICT]).success
        yield home, instance
    settings.cache_clear()


@pytest.fixture
def specs(stages):
    """What is said of the experiment's two assets before they are made."""
    return {spec.key: spec for one in stages.assets for spec in one.specs if spec.key in (CHALLENGER, VERDICT)}


def page(instance, key):
    return instance.get_latest_materialization_event(key).asset_materialization.metadata


def check(instance):
    history = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(VERDICT, "may_be_promoted"), limit=1
    )
    return history[0].event.dagster_event.asset_check_evaluation_data


def test_the_experiment_is_bound_to_neuromorphic_hardware_in_null_island(specs):
    assert len(specs) == 2
    for spec in specs.values():
        assert (spec.tags[REGION_TAG], spec.tags[HARDWARE_TAG]) == ("NULL_ISLAND", "neuromorphic")
        assert "Simulated on cpu" in spec.description
        assert spec.metadata["figures"] == "simulated on cpu"


def test_each_page_says_under_which_agreements_sequences_came(specs):
    for key, table in ((CHALLENGER, "training_sequences"), (VERDICT, "evaluation_sequences")):
        said = specs[key].metadata["agreements"].value
        for region in ("EAST", "WEST"):
            assert f"| {region} | {table} | NULL_ISLAND | experiments |" in said


def test_the_challenger_is_judged_out_of_fold_as_the_candidates_are(made):
    _, instance = made
    challenger, trees = page(instance, CHALLENGER), page(instance, global_key("gradient_boosting"))
    assert next(iter(challenger)) == next(iter(trees)) == "rmse_capped_cycles"
    for name in ("folds", "rows", "engines"):
        assert challenger[name].value == trees[name].value
    assert challenger["figures"].value == "simulated on cpu"


def test_the_verdict_bars_it_and_says_every_reason(made):
    _, instance = made
    said = check(instance)
    assert not said.passed
    assert said.severity == dg.AssetCheckSeverity.WARN
    assert said.description.startswith("may not be promoted: WEST, where the endpoint is, has no neuromorphic; ")
    assert "simulated on cpu" in said.description
    assert said.metadata["rmse_cycles"].value == pytest.approx(
        page(instance, CHALLENGER)["rmse_capped_cycles"].value, abs=1e-3
    )
    candidates = [page(instance, global_key(name))["rmse_capped_cycles"].value for name in MADE_BEFORE[2:5]]
    assert said.metadata["rmse_best_candidate_cycles"].value == pytest.approx(min(candidates), abs=1e-3)


def test_the_page_of_the_verdict_has_figures_beside_the_candidates_and_energy_with_its_source(made):
    _, instance = made
    verdict = page(instance, VERDICT)
    assert list(verdict)[:2] == ["rmse_capped_cycles", "decision"]
    assert verdict["decision"].value == check(instance).description
    heading = verdict["by_slice"].value.splitlines()[0]
    assert heading.startswith("| RMSE in cycles | spiking | ")
    assert "gradient_boosting" in heading
    assert "ridge" in heading
    assert f"| {verdict['rmse_capped_cycles'].value:.2f} |" in verdict["by_slice"].value.splitlines()[2]
    assert "Horowitz" in verdict["energy_by_counting"].value
    assert "not measured" in verdict["energy_by_counting"].value
    assert "| temporal_convolution |" in verdict["energy_by_counting"].value
    assert verdict["energy_nj"].value > 0


def test_judged_twice_it_is_one_version_without_an_alias_that_tells_its_verdict(made):
    home, instance = made
    versions = list_versions(registry_resource(home).tracking, "remaining_useful_life")
    assert [(one.family, one.aliases) for one in versions] == [("spiking", ())]
    assert versions[0].tags["region"] == "NULL_ISLAND"
    assert versions[0].tags["verdict"] == check(instance).description
    figure = page(instance, VERDICT)["rmse_capped_cycles"].value
    assert float(versions[0].tags["rmse_cycles"]) == pytest.approx(figure, abs=1e-3)


def test_the_registered_file_is_the_whole_challenger(made):
    from sinet_pipelines.research.spiking import FILE, SpikingNetwork

    home, _ = made
    registry = registry_resource(home)
    (version,) = list_versions(registry.tracking, "remaining_useful_life")
    content = registry.load(version)
    assert SpikingNetwork().load({FILE: content}).files() == {FILE: content}


def test_its_run_tells_what_simulated_it_and_what_an_answer_costs(made):
    home, instance = made
    tracking = tracking_resource(home).tracking
    (version,) = list_versions(tracking, "remaining_useful_life")
    run = tracking.client.get_run(version.run_id)
    assert run.data.params["figures"] == "simulated on cpu"
    assert run.data.metrics["energy_nj"] == pytest.approx(page(instance, VERDICT)["energy_nj"].value, abs=0.1)
    assert run.data.metrics["eval_rmse_capped"] == pytest.approx(
        page(instance, VERDICT)["rmse_capped_cycles"].value, abs=1e-3
    )
