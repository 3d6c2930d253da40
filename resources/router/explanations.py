"""Why attempts ended: what clusters were seen to do to them, which their workers do not know, told to the log."""

from dataclasses import replace

from resources.router.attempts import Attempt, tell_ending
from resources.router.cluster import RegionClusters
from resources.router.endings import ERROR, JOB_LOST, KILLED, POD_LOST, Ending
from resources.router.reading import EVENTS, why_disturbed
from resources.router.seen import SeenJob, SeenPod
from sinet_pipelines.errors import ClusterError

GONE = (POD_LOST, JOB_LOST)  # what happened to it, but not why
VAGUE = (POD_LOST, JOB_LOST, KILLED, ERROR)  # what a Job or pod shows that is half gone


class Explanations:
    """Looks at Jobs, remembers what is being done to them, and tells how attempts ended.

    Attributes:
        endings: how the attempts of each step ended, the oldest first.
    """

    def __init__(self, clusters: RegionClusters) -> None:
        self._clusters = clusters
        self.endings: dict[str, list[Ending]] = {}

    def look(self, attempt: Attempt) -> SeenJob | None:
        """The attempt's Job; what is being done to it is remembered, since the pod that shows it may soon be gone.

        Raises:
            ClusterError: the API does not say.
        """
        seen = self._clusters.get(attempt.region).look(attempt.namespace, attempt.name)
        found = why_disturbed(seen) if seen else None
        if seen and seen.is_suspended and not (seen.pods or attempt.is_interrupted):
            found = None  # it waits in its queue and has not begun: that is no word about how it will end
        known = attempt.disturbed.reason if attempt.disturbed else None
        if seen and found and (known is None or (known in GONE and found[0] not in GONE)):
            attempt.disturbed = Ending(*found, self.last_lines(attempt, seen))
        return seen

    def last_lines(self, attempt: Attempt, seen: SeenJob) -> tuple[str, ...]:
        """The end of the log of a Job's last pod."""
        if not seen.pods:
            return ()
        pod = seen.pods[-1]
        return self._clusters.get(attempt.region).last_lines(attempt.namespace, pod.name, container=pod.container)

    def obstacle(self, attempt: Attempt, pod: SeenPod | None = None) -> tuple[str, str] | None:
        """Reason and words of the newest warning about the attempt's Job, or about a pod of it; None without one."""
        kind, name = ("Pod", pod.name) if pod else ("Job", attempt.name)
        try:
            return self._clusters.get(attempt.region).warned_of(attempt.namespace, kind, name)
        except ClusterError:
            return None  # events may not be read by everybody, and are gone after an hour

    def unprovisioned(self, attempt: Attempt, pod: SeenPod) -> str | None:
        """Why a volume that is made for a pod does not come, in the provisioner's words; None where nobody says so."""
        try:
            return self._clusters.get(attempt.region).unprovisioned(attempt.namespace, pod.name)
        except ClusterError:
            return None

    def better(self, attempt: Attempt, ending: Ending) -> Ending:
        """The ending as the cluster's own words explain it, where a Job or pod that is gone explains little."""
        if ending.reason not in VAGUE:
            return ending
        if attempt.disturbed is not None and attempt.disturbed.reason not in GONE:
            return attempt.disturbed
        try:
            told = self._clusters.get(attempt.region).told_of(attempt.namespace, attempt.name)
        except ClusterError:
            told = None  # then what is known has to do
        lines = attempt.disturbed.log if attempt.disturbed else ending.log
        if told is None and ending.reason is JOB_LOST:  # its pod was seen to go, since it goes with its Job
            return replace(ending, log=lines)
        if told is None:
            return attempt.disturbed or ending
        return Ending(EVENTS[told[0]], told[1], lines)

    def note(self, attempt: Attempt, ending: Ending) -> None:
        """Puts into the log how an attempt ended."""
        attempt.ending, attempt.is_told = ending, True
        self.endings.setdefault(attempt.step_key, []).append(ending)
        tell_ending(attempt, ending)
