"""The experiment as assets: a challenger beside the candidates, a version without an alias, a check that says why."""

import shutil

import dagster as dg
import pytest

from assets.framework.reports import brief
from assets.turbofan.evaluation import EXPERIMENTS_MODEL
from assets.turbofan.keys import global_key
from resources.placement import HARDWARE_TAG, REGION_TAG
from resources.registry import registry_resource
from resources.tracking import tracking_resource
from sinet_pipelines.escaping import for_markdown, from_markdown
from sinet_pipelines.registry.versions import list_versions
from tests.conftest import executor_for

CHALLENGER, VERDICT = global_key("spiking_challenger"), global_key("spiking_verdict")
MADE_BEFORE = (
    *("training_set", "operating_regimes", "gradient_boosting", "temporal_convolution", "average"),
    *("evaluation_set", "evaluation"),
)


@pytest.fixture(scope="module")
def made(walked, definitions, tmp_path_factory):
    """A copy of a walked home in which the experiment was judged a second time: home, instance."""
    home = tmp_path_factory.mktemp("research") / "home"
    shutil.copytree(walked[0], home)
    assert executor_for(home, definitions)(walked[1], [VERDICT]).success
    return home, walked[1]


@pytest.fixture
def specs(definitions):
    """What is said of the experiment's two assets before they are made."""
    return {spec.key: spec for spec in definitions.resolve_all_asset_specs() if spec.key in (CHALLENGER, VERDICT)}


def page(instance, key):
    return instance.get_latest_materialization_event(key).asset_materialization.metadata


def check(instance):
    history = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(VERDICT, "may_be_promoted"), limit=1
    )
    return history[0].event.dagster_event.asset_check_evaluation_data


def registered(tracking):
    """The one version of the experiment."""
    (version,) = [one for one in list_versions(tracking, EXPERIMENTS_MODEL) if one.family == "spiking"]
    return version


def test_the_experiment_is_bound_to_neuromorphic_hardware_in_null_island(specs):
    assert len(specs) == 2
    for spec in specs.values():
        assert (spec.tags[REGION_TAG], spec.tags[HARDWARE_TAG]) == ("NULL_ISLAND", "neuromorphic")
        assert "simulated on cpu" in " ".join(spec.description.split())
        assert spec.metadata["figures"] == "simulated on cpu"


def test_each_page_says_under_which_agreements_sequences_came(specs):
    for key, table in ((CHALLENGER, "training_sequences"), (VERDICT, "evaluation_sequences")):
        metadata = specs[key].metadata["agreements"].value
        for region in ("EAST", "WEST"):
            assert f"| {region} | {for_markdown(table)} | NULL\\_ISLAND | experiments |" in metadata


def test_the_challenger_is_judged_out_of_fold_as_the_candidates_are(made):
    _, instance = made
    challenger, trees = page(instance, CHALLENGER), page(instance, global_key("gradient_boosting"))
    assert next(iter(challenger)) == next(iter(trees)) == "rmse_capped_cycles"
    for name in ("folds", "rows", "engines"):
        assert challenger[name].value == trees[name].value
    assert challenger["figures"].value == "simulated on cpu"


def test_the_verdict_bars_it_and_says_every_reason(made):
    _, instance = made
    found = check(instance)
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert found.description.startswith("may not be promoted: WEST, where the endpoint is, has no neuromorphic; ")
    assert "simulated on cpu" in found.description
    assert found.metadata["score"].value == pytest.approx(
        page(instance, CHALLENGER)["rmse_capped_cycles"].value, abs=1e-3
    )
    candidates = [page(instance, global_key(name))["rmse_capped_cycles"].value for name in MADE_BEFORE[2:5]]
    assert found.metadata["score_best_candidate"].value == pytest.approx(min(candidates), abs=1e-3)


def test_the_page_of_the_verdict_has_figures_beside_the_candidates_and_energy_with_its_source(made):
    _, instance = made
    verdict = page(instance, VERDICT)
    assert list(verdict)[:2] == ["rmse_capped_cycles", "decision"]
    assert verdict["decision"].value == brief(check(instance).description)
    assert from_markdown(verdict["decision_in_full"].value) == check(instance).description
    heading = verdict["by_slice"].value.splitlines()[0]
    assert heading.startswith("| RMSE in cycles | spiking | ")
    assert r"gradient\_boosting" in heading
    assert "ridge" in heading
    assert f"| {verdict['rmse_capped_cycles'].value:.2f} |" in verdict["by_slice"].value.splitlines()[2]
    assert "Horowitz" in verdict["energy_by_counting"].value
    assert "not measured" in verdict["energy_by_counting"].value
    assert "| temporal\\_convolution |" in verdict["energy_by_counting"].value
    assert verdict["energy_nj"].value > 0


def test_judged_twice_it_is_one_version_without_an_alias_that_tells_its_verdict(made):
    home, instance = made
    version = registered(registry_resource(home).tracking)
    assert version.aliases == ()
    assert version.tags["region"] == "NULL_ISLAND"
    assert version.tags["verdict"] == check(instance).description
    figure = page(instance, VERDICT)["rmse_capped_cycles"].value
    assert float(version.tags["rmse_cycles"]) == pytest.approx(figure, abs=1e-3)


def test_the_registered_file_is_the_whole_challenger(made):
    from sinet_pipelines.applications.turbofan.spiking import FILE, SpikingNetwork
    from sinet_pipelines.applications.turbofan.task import RUL

    home, _ = made
    registry = registry_resource(home)
    version = registered(registry.tracking)
    content = registry.load(version)
    assert SpikingNetwork().load({FILE: content}, task=RUL).files() == {FILE: content}


def test_its_run_tells_what_simulated_it_and_what_an_answer_costs(made):
    home, instance = made
    tracking = tracking_resource(home).tracking
    version = registered(tracking)
    run = tracking.client.get_run(version.run_id)
    assert run.data.params["figures"] == "simulated on cpu"
    assert run.data.metrics["energy_nj"] == pytest.approx(page(instance, VERDICT)["energy_nj"].value, abs=0.1)
    assert run.data.metrics["eval_rmse_capped"] == pytest.approx(
        page(instance, VERDICT)["rmse_capped_cycles"].value, abs=1e-3
    )
