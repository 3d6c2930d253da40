"""A rollout: applied once, watched until every server is new, and a clear end where that does not come."""

import pytest

from sinet_pipelines.deployment.cluster import rollout
from sinet_pipelines.deployment.cluster.api import connect
from sinet_pipelines.deployment.cluster.record import read_record
from sinet_pipelines.deployment.cluster.rollout import Patience, ensure_endpoint
from sinet_pipelines.errors import ClusterError, ServingError
from sinet_pipelines.inventory.sites import ServingTarget
from sinet_pipelines.storage.commits import CommitRefusedError, commits_checked
from tests.sinet_pipelines.deployment.cluster.answers import ready_pod, status, waiting_pod
from tests.sinet_pipelines.deployment.cluster.conftest import wanted

QUICK = Patience(poll_s=0.01, settle_s=0.1, address_s=0.1, unreachable_s=0.1, slack_s=0.1)
NAME = ("deployments", "endpoint-rul")


def ensure(folder, api, wish=None, **patience):
    found = Patience(**{**vars(QUICK), **patience})
    return ensure_endpoint(folder, api, wish or wanted(), patience=found)


def seen(answers):
    """The Deployment, with a template to make pods of."""
    body = answers.objects[NAME]
    return body, body["spec"]["template"]


def test_service_and_deployment_are_applied_as_ours_and_recorded_once_all_servers_are_new(answers, api, tmp_path):
    answers.on_get = answers.roll_out
    endpoint = ensure(tmp_path, api)
    applied = [(path, query, kind) for method, path, query, kind in answers.requests if method == "PATCH"]
    assert [path.rsplit("/", 2)[1] for path, _, _ in applied] == ["services", "deployments"]
    for _, query, kind in applied:
        assert query == {"fieldManager": ["sinet"], "force": ["true"]}
        assert kind == "application/apply-patch+yaml"
    assert (endpoint.url, endpoint.grpc) == ("http://models.west.test", "models.west.test:8001")
    assert (endpoint.version, endpoint.generation, endpoint.target) == ("1", 1, "deployment")
    assert read_record(tmp_path) == endpoint


def refuse():
    """As a fenced worker's check: another attempt of its step is newer."""
    raise CommitRefusedError("a newer attempt is at work")


def test_a_process_that_may_not_commit_applies_and_records_nothing(answers, api, tmp_path):
    with commits_checked(refuse), pytest.raises(CommitRefusedError, match="a newer attempt"):
        ensure(tmp_path, api)
    assert (answers.objects, read_record(tmp_path)) == ({}, None)


def test_a_process_that_may_not_commit_by_the_time_of_the_deployment_leaves_its_version(answers, api, tmp_path):
    answers.on_get = answers.roll_out
    ensure(tmp_path, api)
    checks = iter([lambda: None, refuse])  # the Service's, the Deployment's
    with commits_checked(lambda: next(checks)()), pytest.raises(CommitRefusedError):
        ensure(tmp_path, api, wanted("2", "c"))
    assert answers.objects[NAME]["spec"]["template"]["metadata"]["labels"]["sinet.ai/version"] == "1"
    assert read_record(tmp_path).version == "1"


def test_the_same_bytes_again_change_nothing_and_another_version_is_a_rollout(answers, api, tmp_path):
    answers.on_get = answers.roll_out
    first = ensure(tmp_path, api)
    assert ensure(tmp_path, api) == first
    second = ensure(tmp_path, api, wanted("2", "c"))
    assert (second.version, second.generation) == ("2", 2)
    back = ensure(tmp_path, api)
    assert (back.version, back.generation) == ("1", 3)
    assert answers.objects[NAME]["spec"]["template"]["metadata"]["labels"]["sinet.ai/version"] == "1"


def test_it_waits_for_the_controller_for_new_pods_and_for_old_ones_to_go(answers, api, tmp_path):
    steps = [(0, 1, 1), (1, 2, 1), (1, 2, 2), (1, 1, 1)]

    def step():
        if NAME in answers.objects:
            body, template = seen(answers)
            updated, replicas, available = steps.pop(0) if len(steps) > 1 else steps[0]
            body["status"] = status(body, updated=updated, replicas=replicas, available=available)
            answers.pods = [ready_pod(template, "x")]

    answers.on_get = step
    ensure(tmp_path, api)
    assert steps == [(1, 1, 1)]


def test_several_servers_have_a_disruption_budget(answers, region, tmp_path):
    answers.on_get = answers.roll_out
    ensure(tmp_path, connect(region(replicas=2), own_region=None))
    assert ("poddisruptionbudgets", "endpoint-rul") in answers.objects
    assert len(answers.pods) == 2


def fail(answers, how):
    """An API whose version 1 answers, and whose version 2 fails as `how` says of its Deployment and template."""

    def step():
        if NAME in answers.objects:
            body, template = seen(answers)
            if template["metadata"]["labels"]["sinet.ai/version"] == "1":
                answers.old = template
                answers.roll_out()
            else:
                answers.pods = [ready_pod(answers.old, "old")]
                how(body, template)

    answers.on_get = step


def test_a_stage_that_fails_three_times_ends_the_rollout_with_its_message_and_the_old_version_serves(
    answers, api, tmp_path
):
    def how(body, template):
        body["status"] = status(body, updated=1, replicas=2, available=1)
        why = "line\nStorageError: no blob bbb in /mnt/sinet/home"
        answers.pods.append(waiting_pod(template, "new", reason="CrashLoopBackOff", restarts=3, last=why))

    fail(answers, how)
    first = ensure(tmp_path, api)
    with pytest.raises(ServingError) as caught:
        ensure(tmp_path, api, wanted("2", "c"), settle_s=60.0)
    message = str(caught.value)
    assert "did not become ready with version 2" in message
    assert "pod new: stage is in CrashLoopBackOff (code 3: StorageError: no blob bbb in /mnt/sinet/home)" in message
    assert "version 1 still serves" in message
    assert "kubectl --context west -n sinet describe pods -l app.kubernetes.io/instance=endpoint-rul" in message
    assert read_record(tmp_path) == first


def test_an_image_that_cannot_be_pulled_for_some_time_is_named_with_the_event(answers, api, tmp_path):
    def how(body, template):
        body["status"] = status(body, updated=1, replicas=2, available=1)
        message = 'Back-off pulling image "sinet/pipelines:0.2.0"'
        answers.pods.append(waiting_pod(template, "new", reason="ImagePullBackOff", message=message))

    answers.events = [
        {"type": "Warning", "reason": "Failed", "message": "manifest unknown", "lastTimestamp": "2026-01-02T00:00:00Z"},
        {"type": "Warning", "reason": "Old", "message": "of before", "lastTimestamp": "2026-01-01T00:00:00Z"},
    ]
    fail(answers, how)
    ensure(tmp_path, api)
    with pytest.raises(
        ServingError, match="stage is in ImagePullBackOff .Back-off pulling image.*Failed: manifest unknown"
    ):
        ensure(tmp_path, api, wanted("2", "c"))


def test_the_clusters_own_deadline_and_a_refused_pod_are_named(answers, api, tmp_path):
    def how(body, template):
        late = ("False", "ProgressDeadlineExceeded", 'ReplicaSet "endpoint-rul-1" has timed out progressing.')
        body["status"] = status(body, updated=0, replicas=1, available=1, Progressing=late)

    fail(answers, how)
    ensure(tmp_path, api)
    with pytest.raises(ServingError, match="ProgressDeadlineExceeded: ReplicaSet .* has timed out progressing"):
        ensure(tmp_path, api, wanted("2", "c"))


def test_a_failure_is_named_where_the_served_version_cannot_be_read(answers, api, tmp_path):
    def how(body, template):
        late = ("False", "ProgressDeadlineExceeded", "it has timed out progressing.")
        body["status"] = status(body, updated=0, replicas=1, available=1, Progressing=late)

    fail(answers, how)
    ensure(tmp_path, api)
    answer = answers.answer

    def answers_no_more_after_the_events(method, plural, name, body):
        if plural == "events":
            answers.refusals["pods"] = 503
        return answer(method, plural, name, body)

    answers.answer = answers_no_more_after_the_events
    with pytest.raises(ServingError, match="ProgressDeadlineExceeded.*the version that serves is unknown .*503"):
        ensure(tmp_path, api, wanted("2", "c"))


@pytest.mark.slow
def test_the_next_try_after_a_failure_has_new_pods_and_one_under_way_is_only_watched(answers, api, tmp_path):
    def how(body, template):
        body["status"] = status(body, updated=1, replicas=2, available=1)
        answers.pods.append(waiting_pod(template, "new", reason="CrashLoopBackOff", restarts=3, last="no blob"))

    fail(answers, how)
    ensure(tmp_path, api)
    for attempt in (None, "2", "3"):
        with pytest.raises(ServingError):
            ensure(tmp_path, api, wanted("2", "c"))
        _, template = seen(answers)
        assert template["metadata"]["annotations"].get("sinet.ai/attempt") == attempt

    answers.on_get = answers.roll_out  # what it waited for was mended
    assert ensure(tmp_path, api, wanted("2", "c")).version == "2"
    generation = answers.objects[NAME]["metadata"]["generation"]
    assert ensure(tmp_path, api, wanted("2", "c")).generation == generation


def test_a_deployment_that_is_deleted_while_it_is_rolled_out_is_named(answers, api, tmp_path):
    answers.on_get = lambda: answers.objects.pop(NAME, None)
    with pytest.raises(ServingError, match="Deployment endpoint-rul of WEST was deleted while it was rolled out"):
        ensure(tmp_path, api)


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (403, "give service account sinet-deploy in sinet its Role"),
        (404, "kubectl --context west create namespace sinet"),
        (422, "get deployment endpoint-rul -o yaml"),
        (500, "materialise the endpoint again once it responds"),
    ],
)
def test_a_rejection_by_the_api_has_its_message_and_the_remedy(answers, api, code, cure):
    answers.refusals["deployments"], answers.words = code, "not so"
    with pytest.raises(ClusterError) as caught:
        rollout._apply(api, {"kind": "Deployment", "metadata": {"name": "endpoint-rul"}}, QUICK)
    assert "WEST's API returns" in str(caught.value)
    assert "not so" in str(caught.value)
    assert cure in str(caught.value)


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ('deployments "endpoint-rul" is forbidden: exceeded quota: small', "raise the ResourceQuota of sinet"),
        (
            "unable to create new content in namespace sinet because it is being terminated",
            "wait until namespace sinet",
        ),
    ],
)
def test_a_quota_and_a_terminating_namespace_are_not_taken_for_a_missing_right(answers, api, words, cure):
    answers.refusals["deployments"], answers.words = 403, words
    with pytest.raises(ClusterError) as caught:
        rollout._apply(api, {"kind": "Deployment", "metadata": {"name": "endpoint-rul"}}, QUICK)
    assert cure in str(caught.value)
    assert "Role" not in str(caught.value)


@pytest.mark.parametrize("plural", ["pods", "deployments"])
def test_the_error_of_a_rejected_read_names_the_right_and_its_role(answers, api, tmp_path, plural):
    answers.on_get = answers.roll_out
    answers.words = f'User "system:serviceaccount:sinet:default" cannot list resource "{plural}"'
    serves = answers.answer

    def answer(method, requested, name, body):
        if (method, requested) == ("GET", plural):
            return 403, {"kind": "Status", "message": answers.words}
        return serves(method, requested, name, body)

    answers.answer = answer
    with pytest.raises(ClusterError) as caught:
        ensure(tmp_path, api)
    assert str(caught.value).startswith("the endpoint of WEST could not be read: WEST's API returns 403")
    assert f'cannot list resource "{plural}"' in str(caught.value)
    assert "give service account sinet-deploy in sinet its Role (`kubectl --context west apply -k DIR/west`" in str(
        caught.value
    )


@pytest.mark.parametrize("code", [409, 429, 503])
def test_a_temporary_rejection_is_tried_again(answers, api, tmp_path, code):
    answers.on_get = answers.roll_out
    left = [2]
    serves = answers.answer

    def answer(method, plural, name, body):
        if (method, plural) == ("PATCH", "deployments") and left[0]:
            left[0] -= 1
            return code, {"kind": "Status", "message": "Operation cannot be fulfilled on resourcequotas: try again"}
        return serves(method, plural, name, body)

    answers.answer = answer
    assert ensure(tmp_path, api, unreachable_s=30).version == "1"


def test_what_an_autoscaler_has_set_is_not_set_back_by_the_next_version(answers, api, tmp_path):
    answers.on_get = answers.roll_out
    ensure(tmp_path, api)
    body, _ = seen(answers)
    assert body["spec"]["replicas"] == 1
    owned = {"f:spec": {"f:replicas": {}}}
    by_hand = {"manager": "kubectl", "subresource": "scale", "fieldsV1": owned}
    body["metadata"]["managedFields"] = [by_hand]
    ensure(tmp_path, api)
    assert seen(answers)[0]["spec"]["replicas"] == 1
    seen(answers)[0]["metadata"]["managedFields"] = [{**by_hand, "manager": "kube-controller-manager"}]
    answers.on_get = lambda: seen(answers)[0]["spec"].setdefault("replicas", 5) and answers.roll_out()
    assert ensure(tmp_path, api, wanted("2", "c")).version == "2"
    assert seen(answers)[0]["spec"]["replicas"] == 5


def test_a_page_of_a_gateway_does_not_mean_that_an_object_is_gone(answers, api):
    answers.answer = lambda *_: (404, {"message": "default backend - 404"})
    with pytest.raises(ClusterError, match="not from an API server: a gateway") as refused:
        api.get("Deployment", "endpoint-rul")
    assert (refused.value.is_final, refused.value.status) == (False, 503)


def test_a_load_balancers_address_is_waited_for_and_recorded(answers, region, tmp_path):
    def step():
        answers.roll_out()
        service = answers.objects.get(("services", "endpoint-rul"))
        if service:
            service["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}

    answers.on_get = step
    api = connect(region(address="", service_type="LoadBalancer"), own_region=None)
    assert ensure(tmp_path, api).url == "http://192.0.2.7:8000"
    (server,) = seen(answers)[1]["spec"]["containers"]
    assert any(word.startswith("--hosts=") and word.endswith("192.0.2.7") for word in server["args"])


def test_a_load_balancer_without_an_address_is_named(answers, region, tmp_path):
    api = connect(region(address="", service_type="LoadBalancer"), own_region=None)
    with pytest.raises(ServingError, match="got no address of a load balancer .*set serving.address"):
        ensure(tmp_path, api)


def test_without_address_or_load_balancer_the_service_has_its_own_name(answers, region, tmp_path):
    answers.on_get = answers.roll_out
    api = connect(region(address=""), own_region=None)
    assert ensure(tmp_path, api).url == "http://endpoint-rul.sinet.svc:8000"


def test_kserve_is_applied_and_watched_by_its_condition_ready(answers, region, tmp_path):
    states = [("False", "predictor is not ready"), ("True", "")]

    def step():
        for (plural, _), body in answers.objects.items():
            if plural == "inferenceservices":
                is_ready, message = states.pop(0) if len(states) > 1 else states[0]
                body["status"] = {
                    "observedGeneration": body["metadata"]["generation"],
                    "url": "http://endpoint-rul-sinet.west.example",
                    "conditions": [{"type": "Ready", "status": is_ready, "message": message}],
                }

    answers.on_get = step
    endpoint = ensure(tmp_path, connect(region(target=ServingTarget.KSERVE, address=""), own_region=None))
    assert [path for path, _ in answers.objects] == ["inferenceservices"]
    assert (endpoint.url, endpoint.target, endpoint.grpc) == ("http://endpoint-rul-sinet.west.example", "kserve", "")
    assert len(states) == 1
