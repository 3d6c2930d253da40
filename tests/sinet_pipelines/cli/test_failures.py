import dagster as dg
import pytest
from kubernetes.client import ApiException

from sinet_pipelines.cli.failures import exit_code, failures_of
from sinet_pipelines.errors import ClusterError, DisagreementError, SourceError, StorageError


def fails_with(raised):
    @dg.asset
    def asset():
        raise raised

    return asset


def blocked_by_its_check():
    @dg.asset(check_specs=[dg.AssetCheckSpec("says_no", asset="asset", blocking=True)])
    def asset():
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=False, check_name="says_no")])

    return asset


def failures(asset):
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([asset], instance=instance, raise_on_error=False)
        return failures_of(instance, result.run_id, {"asset": "EAST/asset"})


@pytest.mark.parametrize(
    ("raised", "code", "reason"),
    [
        (StorageError("no space is left for x; free some"), 3, "no space is left for x; free some"),
        (SourceError("no folder x; name one"), 2, "no folder x; name one"),
        (DisagreementError("row 3 differs; look at it"), 1, "row 3 differs; look at it"),
        (ZeroDivisionError("by nothing\nat all"), 3, "by nothing"),
    ],
)
def test_an_error_of_a_step_is_one_sentence_and_its_exit_code(raised, code, reason):
    (found,) = failures(fails_with(raised))
    assert (found.asset, found.exit_code, found.reason, found.is_refusal) == ("EAST/asset", code, reason, False)


def test_the_error_that_others_came_from_is_the_one_that_is_told():
    wrapped = RuntimeError("a wrapping")
    wrapped.__cause__ = StorageError("the disk is full; free some")
    (found,) = failures(fails_with(wrapped))
    assert (found.exit_code, found.reason) == (3, "the disk is full; free some")


def test_an_error_with_its_cure_is_shown_and_not_the_client_s_error_that_it_was_raised_from():
    refused = ApiException(status=403, reason="Forbidden")
    wrapped = ClusterError("WEST's API answers 403; give service account sinet-deploy its Role", status=403)
    wrapped.__cause__ = refused
    outer = ClusterError(f"Deployment endpoint-rul of WEST could not be applied: {wrapped}", status=403)
    outer.__cause__ = wrapped
    (found,) = failures(fails_with(outer))
    assert found.reason == (
        "Deployment endpoint-rul of WEST could not be applied: WEST's API answers 403; "
        "give service account sinet-deploy its Role"
    )
    assert found.exit_code == 3


def test_a_step_that_says_itself_that_it_failed_is_a_refusal():
    (found,) = failures(fails_with(dg.Failure("every day failed its contract")))
    assert (found.exit_code, found.reason, found.is_refusal) == (1, "every day failed its contract", True)


def test_a_blocking_check_that_fails_ends_with_one():
    (found,) = failures(blocked_by_its_check())
    assert (found.exit_code, found.is_refusal) == (1, False)


def test_steps_that_are_none_of_the_named_are_passed_over():
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([fails_with(StorageError("x"))], instance=instance, raise_on_error=False)
        assert failures_of(instance, result.run_id, {"another": "EAST/another"}) == []


def test_an_error_that_is_none_of_the_house_ends_with_three():
    assert exit_code("SinetError") == 3
    assert exit_code("KeyError") == 3
    assert exit_code("") == 3
