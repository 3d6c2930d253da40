"""A cluster in memory shows what Kubernetes shows: conditions in their order, events, and why a pod is not made."""

import pytest

from tests.clusters.cluster import Cluster
from tests.clusters.furnish import enforce_restricted, furnish
from tests.clusters.outages import drain, find, lose, remove, taint
from tests.inventory import EAST

NAMESPACE = EAST.cluster.namespace
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


class Worker:
    """A process that ends when it is told to, or with its grace period."""

    reason = ""

    def __init__(self, *, is_stubborn=False):
        self.code, self.is_stubborn, self.polls = None, is_stubborn, 0

    def poll(self):
        self.polls += 1
        return self.code

    def terminate(self):
        self.code = self.code if self.is_stubborn else 143

    def kill(self):
        self.code = 137

    def log(self):
        return ""


class Site:
    """A cluster of EAST whose time is turned by hand."""

    def __init__(self, *, is_stubborn=False):
        self.time_s, self.workers, self.is_stubborn = 1000.0, [], is_stubborn
        self.cluster = Cluster("EAST", now=lambda: self.time_s, start=self._start)
        furnish(self.cluster, EAST)

    def _start(self, name, pod):
        self.workers.append(Worker(is_stubborn=self.is_stubborn))
        return self.workers[-1]

    def create(self, *, job=None, container=None, **pod):
        worker = {"name": "dagster", "image": "x", "resources": {"requests": {"cpu": "2"}}, **(container or {})}
        spec = {"restartPolicy": "Never", "containers": [worker], **pod}
        body = {"metadata": {"name": "job"}, "spec": {"backoffLimit": 0, **(job or {}), "template": {"spec": spec}}}
        self.cluster.create(NAMESPACE, body)
        self.tick(0)
        self.tick(0)

    def tick(self, seconds=1.0):
        self.time_s += seconds
        self.cluster.advance()

    @property
    def status(self):
        return self.cluster.shown_status(self.cluster.jobs[NAMESPACE, "job"])

    @property
    def conditions(self):
        return [(one["type"], one.get("reason", "")) for one in self.status.get("conditions", [])]

    @property
    def pod(self):
        (pod,) = self.cluster.pods.values()
        return pod

    def shown(self):
        return self.pod.shown(self.cluster.stamp)

    def pod_conditions(self):
        return {one["type"]: one["status"] for one in self.shown()["status"]["conditions"]}

    def event(self, kind="Job", name="job"):
        return self.cluster.events.shown(NAMESPACE, {"involvedObject.kind": kind, "involvedObject.name": name})[-1]


@pytest.fixture
def site():
    return Site()


def test_a_pod_becomes_ready_and_complete_with_the_events_of_a_normal_life(site):
    site.create()
    ready = {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}
    assert site.pod_conditions() == dict.fromkeys(ready, "True")
    assert (site.status["active"], site.status["ready"], site.status["terminating"]) == (1, 1, 0)
    site.workers[0].code = 0
    site.tick()
    assert site.conditions == [("SuccessCriteriaMet", "CompletionsReached")]
    assert site.status["uncountedTerminatedPods"] == {"succeeded": [site.pod.uid]}
    assert "succeeded" not in site.status
    site.tick()
    assert site.conditions[1] == ("Complete", "CompletionsReached")
    assert site.status["succeeded"] == 1
    assert site.pod_conditions()["Ready"] == "False"
    assert site.cluster.events.reasons("Pod", site.pod.name) == ["Scheduled", "Pulled", "Created", "Started"]
    assert site.cluster.events.reasons("Job", "job") == ["SuccessfulCreate", "Completed"]


def test_a_failed_pod_is_counted_before_its_job_has_failed(site):
    site.create()
    site.workers[0].code = 3
    site.tick()
    assert site.conditions == [("FailureTarget", "BackoffLimitExceeded")]
    assert "failed" not in site.status
    site.tick()
    assert site.conditions[1] == ("Failed", "BackoffLimitExceeded")
    assert site.status["failed"] == 1
    assert site.event()["reason"] == "BackoffLimitExceeded"


def test_a_job_beyond_its_deadline_has_failed_only_when_its_pod_is_gone():
    site = Site(is_stubborn=True)
    site.create(job={"activeDeadlineSeconds": 60}, terminationGracePeriodSeconds=30)
    site.tick(60)
    site.tick()
    assert site.conditions == [("FailureTarget", "DeadlineExceeded")]
    assert (site.status["terminating"], site.status.get("active")) == (1, None)
    metadata = site.shown()["metadata"]
    assert (metadata["deletionGracePeriodSeconds"], "deletionTimestamp" in metadata) == (30, True)
    assert site.event("Pod", site.pod.name)["reason"] == "Killing"
    site.tick(30)
    site.tick()
    assert site.conditions[1] == ("Failed", "DeadlineExceeded")
    assert not site.cluster.pods


def test_a_pod_that_is_taken_away_has_failed_its_job_before_it_has_ended():
    site = Site(is_stubborn=True)
    site.create()
    site.cluster.disrupt(site.pod, "PreemptionByScheduler")
    site.tick()
    site.tick()
    assert site.conditions == [("FailureTarget", "BackoffLimitExceeded")]
    assert (site.status["failed"], site.status["terminating"]) == (1, 1)
    disrupted = next(one for one in site.shown()["status"]["conditions"] if one["type"] == "DisruptionTarget")
    assert disrupted["reason"] == "PreemptionByScheduler"
    assert site.workers[0].code is None


@pytest.mark.parametrize(
    ("part", "pod", "words"),
    [
        (
            "service_accounts",
            {"serviceAccountName": "sinet-step"},
            'pods "job-" is forbidden: error looking up service account sinet/sinet-step: serviceaccount "sinet-step" '
            "not found",
        ),
        (
            "priority_classes",
            {"priorityClassName": "sinet-high"},
            'pods "job-" is forbidden: no PriorityClass with name sinet-high was found',
        ),
    ],
)
def test_a_pod_that_names_what_is_not_there_is_not_made(site, part, pod, words):
    getattr(site.cluster.site, part).clear()
    site.cluster.site.service_accounts.add((NAMESPACE, "default"))
    if part == "service_accounts":
        site.cluster.site.service_accounts.discard((NAMESPACE, "sinet-step"))
    site.create(**pod)
    assert (site.cluster.pods, site.conditions) == ({}, [])
    assert (site.event()["reason"], site.event()["message"]) == ("FailedCreate", f"Error creating: {words}")


def test_a_pod_beyond_its_quota_is_not_made_until_another_has_gone(site):
    quota = {"spec": {"hard": {"requests.cpu": "3"}}}
    site.cluster.objects.put("resourcequotas", NAMESPACE, "small", quota)
    other = {
        "metadata": {},
        "spec": {"containers": [{"name": "a", "image": "x", "resources": {"requests": {"cpu": "2"}}}]},
    }
    assert site.cluster.make_pod(NAMESPACE, "ReplicaSet", "other", other, labels={})
    site.create()
    words = "forbidden: exceeded quota: small, requested: requests.cpu=2, used: requests.cpu=2, limited: requests.cpu=3"
    assert words in site.event()["message"]
    site.cluster.delete_pod(site.pod)
    site.tick()
    site.tick()
    assert site.pod.job == "job"


def test_a_namespace_that_is_restricted_takes_only_pods_that_are(site):
    enforce_restricted(site.cluster, NAMESPACE)
    site.create()
    own, either = (
        'container "dagster" must set securityContext.',
        'pod or container "dagster" must set securityContext.',
    )
    assert site.event()["message"].endswith(
        'is forbidden: violates PodSecurity "restricted:latest": '
        f"allowPrivilegeEscalation != false ({own}allowPrivilegeEscalation=false), "
        f'unrestricted capabilities ({own}capabilities.drop=["ALL"]), '
        f"runAsNonRoot != true ({either}runAsNonRoot=true), "
        f'seccompProfile ({either}seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )
    site.cluster.delete(NAMESPACE, "job")
    site.tick()
    site.create(container={"securityContext": RESTRICTED}, volumes=[{"name": "a", "hostPath": {"path": "/"}}])
    assert 'restricted volume types (volume "a" uses restricted volume type "hostPath")' in site.event()["message"]
    site.cluster.delete(NAMESPACE, "job")
    site.tick()
    site.create(container={"securityContext": RESTRICTED})
    assert site.pod.phase == "Running"


def test_a_claim_that_is_not_there_leaves_its_pod_without_a_node(site):
    site.create(volumes=[{"name": "a", "persistentVolumeClaim": {"claimName": "lost"}}])
    scheduled = site.shown()["status"]["conditions"][0]
    assert (scheduled["type"], scheduled["status"], scheduled["reason"]) == ("PodScheduled", "False", "Unschedulable")
    assert 'persistentvolumeclaim "lost" not found' in scheduled["message"]
    assert site.event("Pod", site.pod.name)["reason"] == "FailedScheduling"
    site.cluster.site.claims.add((NAMESPACE, "lost"))
    site.tick()
    assert site.pod.phase == "Running"


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        ({"configMap": {"name": "lost"}}, 'MountVolume.SetUp failed for volume "a" : configmap "lost" not found'),
        ({"secret": {"secretName": "lost"}}, 'MountVolume.SetUp failed for volume "a" : secret "lost" not found'),
    ],
)
def test_a_volume_that_is_not_there_keeps_its_pod_in_container_creating(site, volume, words):
    site.create(volumes=[{"name": "a", **volume}])
    state = site.shown()["status"]["containerStatuses"][0]["state"]
    assert (site.pod.phase, state) == ("Pending", {"waiting": {"reason": "ContainerCreating"}})
    event = site.event("Pod", site.pod.name)
    assert (event["reason"], event["type"], event["message"]) == ("FailedMount", "Warning", words)


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"envFrom": [{"secretRef": {"name": "lost"}}]}, 'secret "lost" not found'),
        ({"envFrom": [{"configMapRef": {"name": "lost"}}]}, 'configmap "lost" not found'),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "sinet-secrets", "key": "b"}}}]},
            "couldn't find key b in Secret sinet/sinet-secrets",
        ),
    ],
)
def test_a_variable_that_is_not_there_keeps_the_container_from_being_made(site, container, words):
    site.create(container=container)
    waiting = site.shown()["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting == {"reason": "CreateContainerConfigError", "message": words}
    event = site.event("Pod", site.pod.name)
    assert (event["reason"], event["message"]) == ("Failed", f"Error: {words}")


def test_a_user_by_name_cannot_be_seen_to_be_no_root(site):
    site.create(securityContext={"runAsNonRoot": True})
    assert "image has non-numeric user (sinet), cannot verify user is non-root" in site.pod.waiting


def test_a_pod_for_which_no_node_has_the_hardware_says_what_each_lacks(site):
    site.create(nodeSelector={"moon": "full"})
    total = len(site.cluster.nodes)
    assert site.pod.unschedulable.startswith(f"0/{total} nodes are available: ")
    assert "node(s) didn't match Pod's node affinity/selector" in site.pod.unschedulable
    assert "node(s) had untolerated taint {nvidia.com/gpu: }" in site.pod.unschedulable


def test_a_pod_of_a_lost_node_stays_terminating_while_its_worker_goes_on(site):
    site.create()
    (worker,), node = site.workers, site.pod.node
    lose(site.cluster, node)
    site.tick(51)
    assert site.pod_conditions()["Ready"] == "False"
    assert site.event("Pod", site.pod.name)["reason"] == "NodeNotReady"
    site.tick(300)
    assert site.pod.is_terminating
    assert site.event("Pod", site.pod.name)["reason"] == "TaintManagerEviction"
    site.tick()
    assert (site.conditions, site.status["terminating"]) == ([("FailureTarget", "BackoffLimitExceeded")], 1)
    site.cluster.delete(NAMESPACE, "job")
    polls = worker.polls
    for _ in range(5):
        site.tick(600)
    assert (worker.code, worker.polls - polls) == (None, 5)  # nobody has told it
    assert (NAMESPACE, "job") in site.cluster.jobs
    find(site.cluster, node)
    site.tick()
    site.tick()
    assert (worker.code, site.cluster.pods, site.cluster.jobs) == (143, {}, {})


def test_a_node_that_somebody_deletes_takes_its_pods_from_the_api_alone(site):
    site.create()
    lose(site.cluster, site.pod.node)
    site.tick(400)
    remove(site.cluster, site.pod.node)
    site.tick()
    site.tick()
    assert site.cluster.pods == {}
    assert site.conditions[-1] == ("Failed", "BackoffLimitExceeded")
    assert site.workers[0].code is None


@pytest.mark.parametrize(
    ("befall", "reason"),
    [(drain, "EvictionByEvictionAPI"), (lambda cluster, node: taint(cluster, node, "ill"), "DeletionByTaintManager")],
)
def test_a_node_that_is_drained_or_tainted_takes_no_new_pods_and_those_it_has_go(site, befall, reason):
    site.create(nodeSelector={"sinet.ai/hardware": "none"})
    for node in list(site.cluster.nodes):
        befall(site.cluster, node)
    site.pod.spec["nodeSelector"] = {}
    site.tick()
    assert site.pod.phase == "Pending"
    other = Site()
    other.create()
    befall(other.cluster, other.pod.node)
    assert other.pod.disruption.startswith(reason)


def test_an_init_container_runs_before_the_worker_and_fails_the_pod_with_it(site):
    site.create(initContainers=[{"name": "stage", "image": "x"}])
    shown = site.shown()["status"]
    assert shown["phase"] == "Pending"
    assert shown["initContainerStatuses"][0]["state"].keys() == {"running"}
    assert shown["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"
    site.workers[0].code = 0
    site.tick()
    site.tick()
    assert (site.pod.phase, len(site.workers)) == ("Running", 2)
    other = Site()
    other.create(initContainers=[{"name": "stage", "image": "x"}])
    other.workers[0].code = 1
    other.tick()
    assert other.pod.phase == "Failed"


def test_a_finished_job_goes_when_it_has_been_kept_long_enough(site):
    site.create(job={"ttlSecondsAfterFinished": 100})
    site.workers[0].code = 0
    site.tick()
    site.tick()
    site.tick(99)
    assert site.cluster.jobs
    site.tick(2)
    site.tick()
    assert (site.cluster.jobs, site.cluster.pods) == ({}, {})
