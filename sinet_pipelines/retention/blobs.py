"""Blobs of all regions: what is there, what needs each, directly or by way of another blob, and how they go."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sinet_pipelines.retention.blob_links import Links, links_of
from sinet_pipelines.retention.models import ModelNeed
from sinet_pipelines.retention.places import Place
from sinet_pipelines.retention.plan import Thing
from sinet_pipelines.retention.policy import Kind

NEWEST = "newest state"  # reason of what a ref, a table or the newest materialisation of an asset names
_DIGITS = 16  # of a SHA-256 in the source of a version


@dataclass(frozen=True)
class Blobs:
    """The blobs of some regions.

    Attributes:
        places: the regions by name.
        found: their blobs as things, by `REGION/<sha256>`.
        links: what each blob names.
        targets: what refs point at.
    """

    places: Mapping[str, Place] = field(default_factory=dict)
    found: Mapping[str, Thing] = field(default_factory=dict)
    links: Mapping[str, Links] = field(default_factory=dict)
    targets: frozenset[str] = frozenset()

    def things(self) -> Iterator[Thing]:
        """All blobs."""
        yield from self.found.values()

    def needs(self, models: Iterable[ModelNeed], newest: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """What needs each blob, by the blob's SHA-256; a need of a blob is one of every blob that it names.

        Args:
            models: of versions and endpoints.
            newest: blobs that the newest materialisations record, by `REGION/<sha256>`.
        """
        by_digits: dict[str, set[str]] = {}
        for name in self.found:
            sha256 = name.partition("/")[2]
            by_digits.setdefault(sha256[:_DIGITS], set()).add(sha256)
        by_run: dict[str, set[str]] = {}
        for name, one in self.links.items():
            by_run.setdefault(one.run_id, set()).add(name)
        found: dict[str, dict[str, None]] = {}
        for need in models:
            own = by_digits.get(need.sha256[:_DIGITS], set())
            of_runs = (by_run.get(run_id, set()) for run_id in need.runs if run_id)
            self._spread(own.union(*of_runs), need.by, found)
        self._spread(self.targets | {name.partition("/")[2] for name in newest}, NEWEST, found)
        return {name: tuple(reasons) for name, reasons in found.items()}

    def remove(self, thing: Thing) -> bool:
        """Removes a blob unless it was written again since it was listed; returns whether it was removed.

        Raises:
            StorageError: it cannot be removed.
        """
        region, _, name = thing.name.partition("/")
        return self.places[region].blobs().remove(name, unless_after=self.found[thing.name].unused_since)

    def _spread(self, names: Iterable[str], reason: str, found: dict[str, dict[str, None]]) -> None:
        left = list(names)
        while left:
            name = left.pop()
            if reason not in found.setdefault(name, {}):
                found[name][reason] = None
                left += self.links.get(name, Links()).blobs


def blobs_of_places(places: Iterable[Place]) -> Blobs:
    """The blobs of some regions.

    Raises:
        StorageError: a store does not respond.
    """
    by_name: dict[str, Place] = {}
    found: dict[str, Thing] = {}
    links: dict[str, Links] = {}
    targets: set[str] = set()
    for place in places:
        blobs = place.blobs()
        by_name[place.region] = place
        targets.update(blobs.refs().values())  # before the blobs: a ref is written after its blob
        names = []
        for one in blobs.entries():
            name = one.key.rpartition("/")[2]
            names.append(name)
            found[f"{place.region}/{name}"] = Thing(Kind.BLOBS, f"{place.region}/{name}", one.size, one.modified_at)
        links.update(links_of(place.home, blobs, names))
    return Blobs(by_name, found, links, frozenset(targets))
