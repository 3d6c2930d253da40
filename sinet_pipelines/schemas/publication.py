"""The contract of the data that a region publishes about its landing zone and its confined tables: digests, no rows."""

import pyarrow as pa

from sinet_pipelines.schemas.contract import Column, Contract, DataClass

#: What a row of the table is about.
DAY, DOUBT, EVENTS, UNUSED, TABLE, TABLE_ROWS, FAULT, SOURCE = SUBJECTS = (
    "day",  # one landed day: the digest of its drops, and its rows by state
    "doubt",  # the digest of a day's keys that are on other days too
    "events",  # one kind of events: the digest of its files
    "unused",  # a file of the landing zone whose rows are in no table
    "table",  # a table that does not leave the region
    "table_rows",  # the number of its rows on a day
    "fault",  # its damaged parts
    "source",  # the sources of a part of the publication
)

REGION_DIGESTS = Contract(
    "region_digests",
    "One fact that a region publishes of its landing zone or of a table that does not leave it.",
    DataClass.FEATURE,
    (
        Column("subject", pa.string(), "what the row is about", allowed=SUBJECTS),
        Column("name", pa.string(), "table, kind of events, or application of an unused file; empty for none"),
        Column("day", pa.date32(), "day that it concerns; null for the whole", nullable=True),
        Column("path", pa.string(), "file, relative to the home or to the tables; empty for none"),
        Column("content", pa.string(), "digest of the content", nullable=True),
        Column("made_from", pa.string(), "digest of what the numbers of the row were computed from", nullable=True),
        Column("version", pa.int64(), "version of the table", nullable=True),
        Column("rows", pa.int64(), "rows in the table, or events in files", "rows", 0, nullable=True),
        Column("drops", pa.int64(), "drops of the day, each once by its content", "files", 0, nullable=True),
        Column("rows_sent", pa.int64(), "rows of these drops, copies included", "rows", 0, nullable=True),
        Column("rows_landed", pa.int64(), "distinct rows of these", "rows", 0, nullable=True),
        Column("rows_in_tables", pa.int64(), "of these, in the validated table", "rows", 0, nullable=True),
        Column("rows_quarantined", pa.int64(), "of these, in quarantine alone", "rows", 0, nullable=True),
        Column("found", pa.string(), "what is wrong with the file", nullable=True),
        Column("cure", pa.string(), "what to do about it", nullable=True),
    ),
    key=("subject", "name", "day", "path"),
)
