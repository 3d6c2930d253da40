"""Finds why attempts ended, from what clusters did to them, and records the reason in the event log."""

from dataclasses import replace

from resources.router.attempts import Attempt, record_ending
from resources.router.connections import RegionClusters
from resources.router.endings import ERROR, JOB_LOST, KILLED, POD_LOST, Ending
from resources.router.reading import EVENTS, why_disturbed
from resources.router.seen import SeenJob, SeenPod
from sinet_pipelines.errors import ClusterError

GONE = (POD_LOST, JOB_LOST)  # the pod or Job is gone, for an unknown reason
VAGUE = (POD_LOST, JOB_LOST, KILLED, ERROR)  # reasons that a Job or pod shows while it is being removed


class Explanations:
    """Reads Jobs, remembers what clusters do to them, and records how attempts ended.

    Attributes:
        endings: how the attempts of each step ended, the oldest first.
    """

    def __init__(self, clusters: RegionClusters) -> None:
        self._clusters = clusters
        self.endings: dict[str, list[Ending]] = {}

    def look(self, attempt: Attempt) -> SeenJob | None:
        """The attempt's Job; remembers what the cluster does to it, since the pod that shows it may soon be gone.

        Raises:
            ClusterError: the request failed.
        """
        seen = self._clusters.get(attempt.region).look(attempt.namespace, attempt.name)
        found = why_disturbed(seen) if seen else None
        if seen and seen.is_suspended and not (seen.pods or attempt.is_interrupted):
            found = None  # it waits in its queue and has not begun, so this is not a reason for its end
        known = attempt.disturbed.reason if attempt.disturbed else None
        if seen and found and (known is None or (known in GONE and found[0] not in GONE)):
            attempt.disturbed = Ending(*found, self.last_lines(attempt, seen))
        return seen

    def last_lines(self, attempt: Attempt, seen: SeenJob) -> tuple[str, ...]:
        """The last lines of the log of a Job's last pod."""
        if not seen.pods:
            return ()
        pod = seen.pods[-1]
        return self._clusters.get(attempt.region).last_lines(attempt.namespace, pod.name, container=pod.container)

    def obstacle(self, attempt: Attempt, pod: SeenPod | None = None) -> tuple[str, str] | None:
        """Reason and message of the newest warning about the attempt's Job or its pod; None without one."""
        kind, name = ("Pod", pod.name) if pod else ("Job", attempt.name)
        try:
            return self._clusters.get(attempt.region).warning_of(attempt.namespace, kind, name)
        except ClusterError:
            return None  # a user may lack the right to read events, and events are kept for an hour only

    def unprovisioned(self, attempt: Attempt, pod: SeenPod) -> str | None:
        """Why a volume of a pod is not provisioned, in the provisioner's message; None where there is none."""
        try:
            return self._clusters.get(attempt.region).unprovisioned(attempt.namespace, pod.name)
        except ClusterError:
            return None

    def better(self, attempt: Attempt, ending: Ending) -> Ending:
        """The ending with the cluster's explanation, where a Job or pod that is gone shows only that it is gone."""
        if ending.reason not in VAGUE:
            return ending
        if attempt.disturbed is not None and attempt.disturbed.reason not in GONE:
            return attempt.disturbed
        try:
            removal = self._clusters.get(attempt.region).removal_event(attempt.namespace, attempt.name)
        except ClusterError:
            removal = None  # the known reason is used
        lines = attempt.disturbed.log if attempt.disturbed else ending.log
        if removal is None and ending.reason is JOB_LOST:  # the deletion of its pod was seen, which goes with the Job
            return replace(ending, log=lines)
        if removal is None:
            return attempt.disturbed or ending
        return Ending(EVENTS[removal[0]], removal[1], lines)

    def note(self, attempt: Attempt, ending: Ending) -> None:
        """Records in the event log how an attempt ended."""
        attempt.ending, attempt.is_recorded = ending, True
        self.endings.setdefault(attempt.step_key, []).append(ending)
        record_ending(attempt, ending)
