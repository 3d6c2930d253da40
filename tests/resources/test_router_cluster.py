"""A region's API, whatever it answers: a clear error or another try, and every call has an end."""

import time
from types import SimpleNamespace

import pytest
import yaml
from kubernetes.client import V1Job, V1JobSpec, V1ObjectMeta, V1PodSpec, V1PodTemplateSpec

from resources.router.clock import Clock, Patience
from resources.router.connections import connect
from sinet_pipelines.errors import ClusterError
from tests.clusters.certificates import certificate_of, self_signed
from tests.clusters.cluster import Cluster, Pod
from tests.clusters.server import WORDS, ApiServer, Trouble, write_kubeconfig
from tests.inventory import EAST
from tests.waiting import LIMIT_S

NAMESPACE = "sinet"


class Hand:
    """A clock that is turned by hand."""

    def __init__(self):
        self.time_s = 100.0

    def clock(self):
        return Clock(lambda: self.time_s, lambda seconds: None)


def job(name="one", run="run-1"):
    labels = {"dagster/run-id": run}
    pod = V1PodTemplateSpec(metadata=V1ObjectMeta(labels={}), spec=V1PodSpec(containers=[{"name": "x", "image": "x"}]))
    return V1Job(metadata=V1ObjectMeta(name=name, labels=labels), spec=V1JobSpec(template=pod))


@pytest.fixture
def site(tmp_path):
    hand = Hand()
    model = Cluster("EAST", now=lambda: hand.time_s, start=lambda name, pod: pytest.fail("nothing is to start"))
    with ApiServer(model) as server:
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", {EAST.cluster.kubeconfig_context: server.url})
        cluster = connect(EAST, kubeconfig=str(kubeconfig), clock=hand.clock(), patience=Patience(request_s=0.5))
        yield SimpleNamespace(hand=hand, model=model, server=server, cluster=cluster, kubeconfig=kubeconfig)


def refuse(site, status, *, times=None, **more):
    left = [times or (2 if status == 401 else 1)]  # after a 401 the credentials are read anew, and it is asked again

    def gate(method, path):
        left[0] -= 1
        return Trouble(status=status, **more) if left[0] >= 0 else None

    site.server.gate = gate


@pytest.mark.parametrize("status", [403])
def test_what_a_server_will_never_take_is_final_and_says_where_to_look(site, status):
    refuse(site, status)
    with pytest.raises(ClusterError, match=r"EAST's API returns 403 \(jobs.batch is forbidden") as refused:
        site.cluster.create(NAMESPACE, job())
    assert "give service account sinet-run in sinet its Role (`kubectl --context east apply -k" in str(refused.value)
    assert refused.value.is_final
    assert site.cluster.down_since is None


def test_a_quota_of_jobs_is_no_right_that_lacks_and_may_pass(site, monkeypatch):
    words = 'jobs.batch "one" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, limited: 9'
    monkeypatch.setitem(WORDS, 403, ("Forbidden", words))
    refuse(site, 403)
    with pytest.raises(ClusterError, match="exceeded quota: small") as refused:
        site.cluster.create(NAMESPACE, job())
    assert "Role" not in str(refused.value)
    assert (refused.value.is_final, refused.value.is_untouched) == (False, True)
    site.cluster.create(NAMESPACE, job())
    assert site.model.made == ["one"]


@pytest.mark.parametrize("status", [403, 404])
def test_a_page_of_a_gateway_says_nothing_of_a_job(site, status, monkeypatch):
    site.cluster.create(NAMESPACE, job())
    monkeypatch.setattr("tests.clusters.server.refused", lambda *_, **__: "default backend - 404")
    refuse(site, status)
    with pytest.raises(ClusterError, match=str(status)) as refused:
        site.cluster.look(NAMESPACE, "one")
    assert (refused.value.is_final, refused.value.is_untouched) == (False, False)
    assert site.cluster.down_since is not None
    site.hand.time_s += 5
    assert site.cluster.look(NAMESPACE, "one") is not None


@pytest.mark.parametrize("status", [401, 410, 429, 500, 503])
def test_what_may_pass_is_not_final_and_closes_the_door_for_a_while(site, status):
    refuse(site, status)
    with pytest.raises(ClusterError, match=str(status)) as refused:
        site.cluster.create(NAMESPACE, job())
    assert not refused.value.is_final
    assert refused.value.is_untouched == (status < 500)
    requested = len(site.server.requests)
    with pytest.raises(ClusterError, match=str(status)):
        site.cluster.create(NAMESPACE, job())
    assert len(site.server.requests) == requested  # the door is closed: nothing was sent
    site.hand.time_s += 5
    site.cluster.create(NAMESPACE, job())
    assert site.model.made == ["one"]
    assert site.cluster.down_since is None


def test_a_server_that_asks_for_time_gets_it(site):
    refuse(site, 429)
    with pytest.raises(ClusterError, match="too many requests"):
        site.cluster.look(NAMESPACE, "one")
    site.hand.time_s += 2.9  # Retry-After says 3
    with pytest.raises(ClusterError, match="too many requests"):
        site.cluster.look(NAMESPACE, "one")
    site.hand.time_s += 0.2
    assert site.cluster.look(NAMESPACE, "one") is None


def test_a_call_that_hangs_ends_and_nobody_knows_what_it_did(site):
    site.server.gate = lambda method, path: Trouble(is_done=True, hang_s=LIMIT_S)
    began = time.monotonic()
    with pytest.raises(ClusterError, match="EAST's API does not respond") as lost:
        site.cluster.create(NAMESPACE, job())
    assert time.monotonic() - began < LIMIT_S / 2  # the server hangs on
    assert not lost.value.is_untouched
    assert site.model.made == ["one"]


def test_a_job_that_was_made_without_an_answer_is_found_again(site):
    refuse(site, 500, is_done=True)
    with pytest.raises(ClusterError):
        site.cluster.create(NAMESPACE, job())
    site.hand.time_s += 5
    site.cluster.create(NAMESPACE, job())
    assert site.model.made == ["one"]


def test_a_job_of_another_run_is_not_taken_for_ones_own(site):
    site.cluster.create(NAMESPACE, job(run="run-2"))
    with pytest.raises(ClusterError, match="already exists"):
        site.cluster.create(NAMESPACE, job(run="run-1"))


def test_a_job_that_is_going_is_not_taken_for_one_that_stays(site):
    site.cluster.create(NAMESPACE, job())
    assert site.cluster.delete(NAMESPACE, "one") is False
    with pytest.raises(ClusterError, match="already exists"):
        site.cluster.create(NAMESPACE, job())


def test_a_conflict_about_nothing_is_tried_again(site):
    refuse(site, 409)
    with pytest.raises(ClusterError, match="409") as refused:
        site.cluster.create(NAMESPACE, job())
    assert not refused.value.is_final
    site.cluster.create(NAMESPACE, job())
    assert site.model.made == ["one"]


def test_a_job_is_gone_only_when_the_server_says_so(site):
    site.cluster.create(NAMESPACE, job())
    assert site.cluster.delete(NAMESPACE, "one") is False
    site.model.advance()
    assert site.cluster.delete(NAMESPACE, "one") is True
    assert site.cluster.look(NAMESPACE, "one") is None


def test_nobody_at_the_address_is_an_error_that_had_no_effect(site):
    site.server.close()
    with pytest.raises(ClusterError, match="does not respond") as lost:
        site.cluster.create(NAMESPACE, job())
    assert lost.value.is_untouched


@pytest.fixture
def rotated(site, tmp_path):
    """The cluster by a kubeconfig whose token stands in a file, as a run pod has it; renews file and server."""
    token = tmp_path / "token"
    site.server.token = "first"
    token.write_text("first")
    settings = yaml.safe_load(site.kubeconfig.read_text())
    settings["users"][0]["user"] = {"tokenFile": str(token)}
    site.kubeconfig.write_text(yaml.safe_dump(settings))
    site.cluster = connect(EAST, kubeconfig=str(site.kubeconfig), clock=site.hand.clock(), patience=Patience())
    assert site.cluster.look(NAMESPACE, "one") is None

    def renew(*, server="second", file="second"):
        site.server.token = server
        token.write_text(file)

    return renew


def test_a_token_that_was_renewed_is_read_at_the_next_401(site, rotated):
    rotated()
    site.cluster.create(NAMESPACE, job())
    assert site.model.made == ["one"]
    assert site.cluster.down_since is None


def test_a_token_that_nobody_renewed_is_asked_with_once_more_and_then_later(site, rotated):
    rotated(file="stale")
    requested = len(site.server.requests)
    with pytest.raises(ClusterError, match="EAST's API returns 401") as refused:
        site.cluster.create(NAMESPACE, job())
    assert len(site.server.requests) == requested + 2
    assert (refused.value.is_final, refused.value.is_untouched) == (False, True)
    rotated()
    site.hand.time_s += 5
    site.cluster.create(NAMESPACE, job())
    assert site.model.made == ["one"]


def test_a_kubeconfig_that_is_being_replaced_costs_a_try_and_no_more(site, rotated):
    rotated()
    whole = site.kubeconfig.read_text()
    site.kubeconfig.write_text(whole[:40])
    with pytest.raises(ClusterError, match="EAST's API returns 401, and .* has no usable context") as refused:
        site.cluster.look(NAMESPACE, "one")
    assert not refused.value.is_final
    site.kubeconfig.write_text(whole)
    site.hand.time_s += 5
    assert site.cluster.look(NAMESPACE, "one") is None


def test_a_certificate_that_is_not_trusted_closes_the_door_of_its_region_alone(site, own_certificate, tmp_path):
    with ApiServer(site.model, certificate=own_certificate) as server:
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", {EAST.cluster.kubeconfig_context: server.url})
        cluster = connect(EAST, kubeconfig=str(kubeconfig), clock=site.hand.clock(), patience=Patience())
        with pytest.raises(ClusterError, match="EAST's API does not respond .*(?i:certificate)") as refused:
            cluster.create(NAMESPACE, job())
        assert (refused.value.is_final, refused.value.is_untouched) == (False, True)
        assert cluster.down_since is not None


def test_an_authority_that_was_put_right_is_read_without_another_run_pod(site, tmp_path):
    own = self_signed(tmp_path / "own.pem")
    with ApiServer(site.model, certificate=own) as server:
        kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", {EAST.cluster.kubeconfig_context: server.url})
        cluster = connect(EAST, kubeconfig=str(kubeconfig), clock=site.hand.clock(), patience=Patience())
        with pytest.raises(ClusterError, match="(?i:certificate)"):
            cluster.create(NAMESPACE, job())
        settings = yaml.safe_load(kubeconfig.read_text())
        settings["clusters"][0]["cluster"]["certificate-authority"] = str(certificate_of(own, tmp_path / "ca.crt"))
        kubeconfig.write_text(yaml.safe_dump(settings))
        site.hand.time_s += 5
        cluster.create(NAMESPACE, job())
        assert site.model.made == ["one"]
        assert cluster.down_since is None


@pytest.mark.parametrize(
    "text",
    ["{", "- a\n- list\n", "contexts: 7\n", "\x00", "contexts: [{name: CONTEXT, context: {cluster: a, user: b}}]\n"],
)
def test_a_kubeconfig_of_any_content_is_an_error_with_its_file(tmp_path, text):
    broken = tmp_path / "broken"
    broken.write_text(text.replace("CONTEXT", EAST.cluster.kubeconfig_context))
    with pytest.raises(ClusterError, match=f"{broken} has no usable context"):
        connect(EAST, kubeconfig=str(broken), clock=Clock(), patience=Patience())


def test_the_log_of_a_pod_with_a_proxy_is_its_workers(site):
    site.model.pods[NAMESPACE, "one-x"] = Pod(
        NAMESPACE, "one-x", "one", {}, {}, created_at=0.0, log="the worker's last line", beside={"istio-proxy": None}
    )
    assert site.cluster.last_lines(NAMESPACE, "one-x") == ("the worker's last line",)


def test_the_newest_event_is_a_warning_until_things_go_on(site):
    site.model.events.record(NAMESPACE, "Job", "one", "FailedCreate", "exceeded quota: small", is_warning=True)
    site.model.events.record(NAMESPACE, "Job", "two", "FailedCreate", "another Job's", is_warning=True)
    assert site.cluster.warning_of(NAMESPACE, "Job", "one") == ("FailedCreate", "exceeded quota: small")
    assert site.cluster.warning_of(NAMESPACE, "Pod", "one") is None
    site.model.events.record(NAMESPACE, "Job", "one", "SuccessfulCreate", "Created pod: one-x")
    assert site.cluster.warning_of(NAMESPACE, "Job", "one") is None


def test_a_deletion_that_was_called_off_is_no_word_about_an_end(site):
    site.model.events.record(
        NAMESPACE, "Pod", "one-x", "TaintManagerEviction", f"Cancelling deletion of Pod {NAMESPACE}/one-x"
    )
    assert site.cluster.removal_event(NAMESPACE, "one") is None
    words = f"Marking for deletion Pod {NAMESPACE}/one-x"
    site.model.events.record(NAMESPACE, "Pod", "one-x", "TaintManagerEviction", words)
    assert site.cluster.removal_event(NAMESPACE, "one") == ("TaintManagerEviction", words)


def test_why_a_pod_gets_no_volume_is_in_the_event_of_its_claim(site):
    def tell(claim, reason, words):
        site.model.events.record(NAMESPACE, "PersistentVolumeClaim", claim, reason, words, is_warning=True)

    tell("two-x-scratch", "ProvisioningFailed", "another pod's")
    tell("one-x-scratch", "FailedBinding", "another matter")
    assert site.cluster.unprovisioned(NAMESPACE, "one-x") is None
    tell("one-x-scratch", "ProvisioningFailed", 'storageclass.storage.k8s.io "absent" not found')
    words = 'one-x-scratch: storageclass.storage.k8s.io "absent" not found'
    assert site.cluster.unprovisioned(NAMESPACE, "one-x") == words


def test_a_kubeconfig_without_the_context_is_named_with_its_cure(site, tmp_path):
    other = write_kubeconfig(tmp_path / "other", {"elsewhere": site.server.url})
    context = EAST.cluster.kubeconfig_context
    with pytest.raises(ClusterError, match=rf"{other} has no usable context '{context}'.*`kubeconfig_context` of EAST"):
        connect(EAST, kubeconfig=str(other), clock=Clock(), patience=Patience())
