"""The place of a Pulsar message as one number: the offset of its partition, which increases as the topic does.

A message id is a ledger, an entry in it and an index in the batch of the entry. Ledgers of a topic have increasing
numbers, entries of a ledger count from 0, and so do the messages of a batch. The three are the digits of the offset,
so two messages never share one; an id beyond these limits is refused.
"""

from typing import NamedTuple

from sinet_pipelines.errors import SourceError

LEDGER_BITS, ENTRY_BITS, BATCH_BITS = 28, 23, 12  # 63 together: the offset is a signed number of 64 bits
_LIMITS = (
    ("ledger", LEDGER_BITS, "read the topic with another client"),
    ("entry", ENTRY_BITS, "lower `managedLedgerMaxEntriesPerLedger` of the broker"),
    ("batch index", BATCH_BITS, "lower `batchingMaxMessages` of the producer"),
)
NO_BATCH = -1  # the index of a message that was sent alone


class Place(NamedTuple):
    """The place of a message in its partition.

    Attributes:
        ledger: number of the ledger.
        entry: number of the entry in the ledger.
        batch_index: index in the batch of the entry; `NO_BATCH` for a message that was sent alone.
    """

    ledger: int
    entry: int
    batch_index: int = NO_BATCH

    @property
    def offset(self) -> int:
        """The offset.

        Raises:
            SourceError: the id is beyond the limits.

        >>> Place(7, 2).offset < Place(7, 3, 0).offset < Place(7, 3, 1).offset < Place(9, 0).offset
        True
        """
        parts = self.ledger, self.entry, max(self.batch_index, 0)
        for part, (name, bits, remedy) in zip(parts, _LIMITS, strict=True):
            if not 0 <= part < 1 << bits:
                raise SourceError(f"a message has the {name} {part} (allowed: 0 to {(1 << bits) - 1:,}); {remedy}")
        return parts[0] << ENTRY_BITS + BATCH_BITS | parts[1] << BATCH_BITS | parts[2]


def place_of(offset: int) -> Place:
    """The place with an offset; a message that was sent alone and the first one of a batch have the same.

    >>> place_of(Place(7, 3, 5).offset)
    Place(ledger=7, entry=3, batch_index=5)
    """
    batch_index = offset & (1 << BATCH_BITS) - 1
    entry = offset >> BATCH_BITS & (1 << ENTRY_BITS) - 1
    return Place(offset >> ENTRY_BITS + BATCH_BITS, entry, batch_index)
