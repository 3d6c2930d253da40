"""Labels and splits: the products for training, and the products for evaluation.

Labels come only from outcome events. A fifth of the products, chosen by a digest of the product's name, is held out of
every training set: this split needs no table, does not change when days or outcomes arrive late, and is the same for
every champion and challenger. The products of the newest days are not in the training set either: the served model
predicts them in the same way as future products.
"""

from datetime import date, timedelta

import polars as pl

from sinet_pipelines.features.splits import is_held_out_by

RECENT_DAYS = 5  # the newest days of the calendar; no model is trained on them yet


def training_rows(features: pl.DataFrame, outcomes: pl.DataFrame, *, last_day: date) -> pl.DataFrame:
    """The products for training, with `machine_failure`, in the order of production.

    Args:
        features: of all regions, in the columns of `PROCESS_FEATURES` and `region`.
        outcomes: of all regions, in the columns of `OUTCOME_EVENTS`.
        last_day: the newest day that has features in any region.
    """
    known = _labelled(features, outcomes)
    return known.filter(~_is_recent(last_day) & ~is_held_out_by("product_id")).sort("record_id", "product_id")


def evaluation_rows(features: pl.DataFrame, outcomes: pl.DataFrame, *, last_day: date) -> pl.DataFrame:
    """The products that are in no training set, with `machine_failure` and `origin`: `recent` or `held_out`.

    Args:
        features: as for `training_rows`.
        outcomes: as for `training_rows`.
        last_day: as for `training_rows`.
    """
    known = _labelled(features, outcomes)
    recent = _is_recent(last_day)
    origin = pl.when(recent).then(pl.lit("recent")).otherwise(pl.lit("held_out"))
    evaluated = known.filter(recent | is_held_out_by("product_id"))
    return evaluated.with_columns(origin=origin).sort("record_id", "product_id")


def recent_rows(features: pl.DataFrame, *, last_day: date) -> pl.DataFrame:
    """The products of the newest days, whether their outcome is known or not.

    Args:
        features: as for `training_rows`, or any table with `event_date`.
        last_day: as for `training_rows`.
    """
    return features.filter(_is_recent(last_day)).sort("record_id", "product_id")


def _labelled(features: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    return features.join(
        outcomes.select("product_id", "machine_failure"), on="product_id", how="inner", maintain_order="left"
    )


def _is_recent(last_day: date) -> pl.Expr:
    return pl.col("event_date") > last_day - timedelta(days=RECENT_DAYS)
