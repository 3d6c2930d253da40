"""Why attempts ended: what clusters were seen to do to them, which their workers do not know, told to the log."""

from resources.router.attempts import Attempt, tell_ending
from resources.router.cluster import RegionClusters
from resources.router.endings import ERROR, JOB_LOST, KILLED, POD_LOST, Ending
from resources.router.reading import EVENTS, why_disturbed
from resources.router.seen import SeenJob, SeenPod
from sinet_pipelines.errors import ClusterError

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
        attempt.is_gone = seen is None
        found = why_disturbed(seen) if seen else None
        if seen and seen.is_suspended and not (seen.pods or attempt.is_interrupted):
            found = None  # it waits in its queue and has not begun: that is no word about how it will end
        if seen and found and (attempt.disturbed is None or attempt.disturbed.reason is POD_LOST is not found[0]):
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

    def better(self, attempt: Attempt, ending: Ending) -> Ending:
        """The ending as the cluster's own words explain it, where a Job or pod that is gone explains little."""
        if ending.reason not in VAGUE:
            return ending
        if attempt.disturbed is not None and attempt.disturbed.reason is not POD_LOST:
            return attempt.disturbed
        try:
            told = self._clusters.get(attempt.region).told_of(attempt.namespace, attempt.name)
        except ClusterError:
            told = None  # then what is known has to do
        if told is None:
            return attempt.disturbed or ending
        lines = attempt.disturbed.log if attempt.disturbed else ending.log
        return Ending(EVENTS[told[0]], told[1], lines)

    def note(self, attempt: Attempt, ending: Ending) -> None:
        """Puts into the log how an attempt ended."""
        attempt.ending, attempt.is_told = ending, True
        self.endings.setdefault(attempt.step_key, []).append(ending)
        tell_ending(attempt, ending)

    def explain(self, attempt: Attempt) -> None:
        """Says what the cluster did to a worker that ended on being asked to, if the cluster shows it."""
        try:
            self.look(attempt)
        except ClusterError:
            return  # it is tried again, until the Job is left to itself
        self.explain_as_seen(attempt)

    def explain_as_seen(self, attempt: Attempt) -> None:
        """The same, by what was seen already."""
        is_open = attempt.is_interrupted and not attempt.is_told
        if is_open and attempt.disturbed is not None and attempt.disturbed.reason is not POD_LOST:
            self.note(attempt, attempt.disturbed)

    def explain_at_last(self, attempt: Attempt) -> None:
        """The same, when there will be no other look at its Job."""
        if attempt.is_interrupted and not attempt.is_told:
            ending = Ending(KILLED, "its worker was asked to end, and its cluster does not say why")
            if attempt.is_gone:
                ending = Ending(JOB_LOST, f"Job {attempt.name} was deleted while its worker was at work")
            self.note(attempt, self.better(attempt, ending))
