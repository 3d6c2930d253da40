"""Contracts of every application's monitoring: drift of the inputs, rows by day."""

import pyarrow as pa

from sinet_pipelines.schemas.contract import Column, Contract, DataClass


def input_drift(groups: str) -> Contract:
    """One feature on one day, compared with the reference days.

    Args:
        groups: the word for several groups: the column with their number.
    """
    return Contract(
        "input_drift",
        "One feature on one day, compared with the reference days: the difference of its distribution.",
        DataClass.FEATURE,
        (
            Column("event_date", pa.date32(), "day of the rows; the partition"),
            Column("feature", pa.string(), "feature of `window_features`"),
            Column("psi", pa.float64(), "population stability index over deciles of the reference", "1", 0),
            Column("psi_limit", pa.float64(), "limit of psi: 0.25, or chance at so few groups", "1", 0),
            Column("ks", pa.float64(), "largest gap of the distribution functions (Kolmogorov-Smirnov)", "1", 0, 1),
            Column("p_value", pa.float64(), "of such a gap without drift, rows of a group being similar", "1", 0, 1),
            Column("p_adjusted", pa.float64(), "the same for all features of the day together (Holm)", "1", 0, 1),
            Column("p_limit", pa.float64(), "drift if p_adjusted is not above this", "1", 0, 1),
            Column("rows", pa.int64(), "rows compared", "rows", 1),
            Column(groups, pa.int64(), f"{groups} of these rows", groups, 1),
            Column("rows_worth", pa.float64(), "effective number of independent rows", "rows", 0),
            Column("drifted", pa.bool_(), "both limits are exceeded"),
        ),
        key=("event_date", "feature"),
    )


def rows_by_day(groups: str) -> Contract:
    """Rows of one day.

    Args:
        groups: the word for several groups: the column with their number.
    """
    return Contract(
        "rows_by_day",
        f"One region's day: landed rows and {groups}, compared with the reference days.",
        DataClass.FEATURE,
        (
            Column("event_date", pa.date32(), "day of the rows; the partition"),
            Column("region", pa.string(), "region that sent them"),
            Column("rows", pa.int64(), "distinct rows that landed; 0 on a silent day", "rows", 0),
            Column(groups, pa.int64(), f"{groups} of these rows", groups, 0),
            Column("share_of_reference", pa.float64(), "rows / the reference days' median", "1", 0, nullable=True),
        ),
        key=("event_date", "region"),
    )
