"""Decides for each thing whether it goes or stays, and why: a pure function of what is there and what needs it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sinet_pipelines.retention.policy import IN_REGIONS, OBSERVED, Kind, Policy


@dataclass(frozen=True)
class Thing:
    """Something that may be removed: a file, a blob, a training set, a run.

    Attributes:
        kind: its kind.
        name: its name, unique among things of its kind.
        size: in bytes.
        unused_since: UTC; nothing can have used it since as far as it shows itself: its removal from a table, the end
            of a run, its last write.
    """

    kind: Kind
    name: str
    size: int
    unused_since: datetime

    @property
    def region(self) -> str:
        """The region of its root; empty for a kind that lies in the home itself."""
        return self.name.partition("/")[0] if self.kind in IN_REGIONS else ""

    @property
    def key(self) -> str:
        """Kind and name in one text."""
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True)
class Needs:
    """What is needed, and by whom.

    Attributes:
        by_thing: what needs a thing, by the thing's key: `model turbofan_remaining_useful_life@3`.
        by_kind: why nothing of a kind may go now: a run in progress, or needs that could not be read.
        by_region: why nothing of a region may go from here.
        unread: kinds whose needs could not be read, so that an absent need proves nothing.
    """

    by_thing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    by_kind: Mapping[Kind, str] = field(default_factory=dict)
    by_region: Mapping[str, str] = field(default_factory=dict)
    unread: frozenset[Kind] = frozenset()

    def held(self, thing: "Thing") -> str:
        """Why a thing that nothing needs stays nevertheless; empty where it may go."""
        return self.by_kind.get(thing.kind) or self.by_region.get(thing.region) or ""


@dataclass(frozen=True)
class Decision:
    """What happens to one thing.

    Attributes:
        thing: the thing.
        reasons: why it stays; empty where it goes.
    """

    thing: Thing
    reasons: tuple[str, ...] = ()

    @property
    def goes(self) -> bool:
        """Whether it is removed."""
        return not self.reasons


@dataclass(frozen=True)
class Row:
    """The things of one kind with one reason.

    Attributes:
        kind: of the things.
        things: their number.
        size: in bytes, of all.
        kept_because: why they stay; empty where they go.
    """

    kind: Kind
    things: int
    size: int
    kept_because: str = ""


@dataclass(frozen=True)
class Plan:
    """What goes and what stays.

    Attributes:
        decisions: one for each thing.
        notes: sentences on what was not looked at, and why.
    """

    decisions: tuple[Decision, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def going(self) -> tuple[Thing, ...]:
        """The things that go."""
        return tuple(one.thing for one in self.decisions if one.goes)

    @property
    def kept(self) -> tuple[Decision, ...]:
        """The things that stay, with their reasons."""
        return tuple(one for one in self.decisions if not one.goes)

    def rows(self) -> list[Row]:
        """One row for each kind and reason, those that go last; a thing with several reasons counts at the first."""
        number: Counter[tuple[Kind, str]] = Counter()
        size: Counter[tuple[Kind, str]] = Counter()
        for one in self.decisions:
            at = one.thing.kind, one.reasons[0] if one.reasons else ""
            number[at] += 1
            size[at] += one.thing.size
        order = {kind: at for at, kind in enumerate(Kind)}
        keys = sorted(number, key=lambda at: (order[at[0]], not at[1], at[1]))
        return [Row(kind, number[kind, why], size[kind, why], why) for kind, why in keys]

    def as_json(self) -> dict[str, Any]:
        """Plain data: the rows, everything that goes, everything that stays, the notes."""
        return {
            "summary": [
                {"kind": str(row.kind), "things": row.things, "bytes": row.size, "kept_because": row.kept_because}
                for row in self.rows()
            ],
            "going": [_plain(thing) for thing in self.going],
            "kept": [{**_plain(one.thing), "because": list(one.reasons)} for one in self.kept],
            "notes": list(self.notes),
        }


def plan(
    things: Iterable[Thing],
    needs: Needs,
    *,
    seen: Mapping[str, datetime],
    policy: Policy,
    now: datetime,
    notes: Sequence[str] = (),
) -> Plan:
    """The decision on each thing.

    Args:
        things: what is there.
        needs: what is needed.
        seen: the time of the first look at which nothing needed a thing, by its key; a thing that is not in it was
            needed until now.
        policy: how long unneeded things are kept.
        now: UTC.
        notes: sentences for the plan.

    >>> from datetime import UTC
    >>> now = datetime(2026, 3, 1, tzinfo=UTC)
    >>> old = Thing(Kind.OUTPUT, "run 1", 10, datetime(2026, 1, 1, tzinfo=UTC))
    >>> plan([old], Needs(), seen={}, policy=Policy(), now=now).going == (old,)
    True
    """
    decisions = (Decision(one, tuple(_reasons(one, needs, seen, policy, now))) for one in things)
    return Plan(tuple(sorted(decisions, key=lambda one: one.thing.key)), tuple(notes))


def first_looks(
    things: Iterable[Thing], needs: Needs, *, seen: Mapping[str, datetime], now: datetime
) -> dict[str, str]:
    """The time of the first look without a need of each observed thing that nothing needs now, as ISO text, by its key.

    Where needs could not be read, a former time stays and no new one is added. Things of a region from which nothing
    may go have none. A time in the future, as after a correction of the clock, begins again.
    """
    found = {}
    for one in things:
        if one.region in needs.by_region:
            continue  # what other homes need is not known
        if one.kind in needs.unread and one.key not in seen:
            continue
        if one.kind in OBSERVED and not needs.by_thing.get(one.key):
            found[one.key] = min(seen.get(one.key, now), now).isoformat()
    return found


def _reasons(thing: Thing, needs: Needs, seen: Mapping[str, datetime], policy: Policy, now: datetime) -> Iterator[str]:
    if needed_by := needs.by_thing.get(thing.key):
        yield from needed_by
        return
    period = policy.period(thing.kind)
    since = thing.unused_since
    if thing.kind in OBSERVED:
        since = max(since, seen.get(thing.key, now))
    if now - since < period:
        yield f"unneeded for less than {_words(period)}"
    elif why := needs.held(thing):
        yield why


def _words(period: timedelta) -> str:
    """A period in words: `30 days`, `2 hours`."""
    hours = period.total_seconds() / 3600
    return f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} hours"


def _plain(thing: Thing) -> dict[str, Any]:
    since = thing.unused_since.isoformat(timespec="seconds")
    return {"kind": str(thing.kind), "name": thing.name, "bytes": thing.size, "unused_since": since}
