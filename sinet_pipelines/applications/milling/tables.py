"""Contracts of the tables of milling: landed, validated, training and monitoring tables."""

from dataclasses import replace

import pyarrow as pa

from sinet_pipelines.applications.milling.schemas import (
    FAILURE_MODES,
    FEATURES,
    IDENTITY,
    MACHINE_FAILURE,
    PROCESS_INPUTS,
    PRODUCT_TYPES,
)
from sinet_pipelines.schemas import monitoring
from sinet_pipelines.schemas.contract import Column, Contract, DataClass

INSTANT = pa.timestamp("us", tz="UTC")
_F, _I, _S = pa.float64(), pa.int64(), pa.string()

ORIGINS = ("held_out", "recent")  # never trained on; not yet trained on, because the day is recent

_RECORD, _PRODUCT = IDENTITY
_TYPE = PROCESS_INPUTS[0]
_RECORDED = Column("recorded_at", INSTANT, "instant at which the product was made, UTC")
_DATE = Column("event_date", pa.date32(), "day of the drop the row came in; the partition")
_HASH = Column("row_hash", _S, "BLAKE2b-128 of the row's content: the name of the row from drop to model")
_REGION = Column("region", _S, "region whose machine made it")
_UNPARSED = Column("unparsed", _S, "JSON of values that are no value of their column's type", nullable=True)
_DROP_ID = Column("drop_id", _S, "first 16 hex digits of the SHA-256 of the drop it came in")
_ROW = (_PRODUCT, _RECORD, _RECORDED, *PROCESS_INPUTS)

#: A drop: the columns of a file in a landing zone.
DROP = Contract(
    "drop",
    "One product with its process values, as a plant drops it.",
    DataClass.RAW,
    _ROW,
    key=("product_id",),
)

RAW_RECORDS = Contract(
    "raw_records",
    "One product with its process values, as it came; exact copies dropped, nothing judged.",
    DataClass.RAW,
    (
        *(replace(column, nullable=True) for column in _ROW),
        _DATE,
        _HASH,
        _DROP_ID,
        _UNPARSED,
        Column("ingested_at", INSTANT, "instant the day was rebuilt from its drops, UTC"),
    ),
    key=("row_hash",),
    sorted_by=("product_id", "row_hash"),
)

VALIDATED_RECORDS = Contract(
    "validated_records",
    "One product whose process values keep the contract.",
    DataClass.RAW,
    (*_ROW, _DATE, _HASH, _DROP_ID),
    key=("product_id",),
    max_quarantined_share=0.05,  # above one row in twenty, the day's instrument is probably faulty
    counter="record_id",
)

QUARANTINE = Contract(
    "quarantine",
    "A row set aside, as it came, with the reason.",
    DataClass.RAW,
    (*RAW_RECORDS.columns[:-1], Column("reason", _S, "each rule the row broke, with what was found")),
    key=("row_hash",),
    sorted_by=("product_id", "row_hash"),
)

#: Labels come only from these events; a product without an event has no label yet.
OUTCOME_EVENTS = Contract(
    "outcome_events",
    "What the inspection of one product found: whether the machine failed on it, and how.",
    DataClass.FEATURE,
    (
        _PRODUCT,
        MACHINE_FAILURE,
        *FAILURE_MODES,
        Column("inspected_at", INSTANT, "instant since when the outcome is known, UTC"),
    ),
    key=("product_id",),
)

_FEATURES = tuple(feature.column for feature in FEATURES)

PROCESS_FEATURES = Contract(
    "process_features",
    "What is known of one product before its outcome: the published physics, no measured value.",
    DataClass.FEATURE,
    (_PRODUCT, _RECORD, _RECORDED, _TYPE, _DATE, _HASH, *_FEATURES),
    key=("product_id",),
)

TRAINING_SET = Contract(
    "training_set",
    "One product that models are fitted to: its features and its outcome.",
    DataClass.FEATURE,
    (_PRODUCT, _REGION, _RECORD, _RECORDED, _TYPE, *_FEATURES, MACHINE_FAILURE),
    key=("product_id",),
)

EVALUATION_SET = Contract(
    "evaluation_set",
    "One product that no model was fitted to: its features and its outcome.",
    DataClass.FEATURE,
    (
        _PRODUCT,
        _REGION,
        Column("origin", _S, "held out of every training set, or too recent for one", allowed=ORIGINS),
        _RECORD,
        _RECORDED,
        _TYPE,
        *_FEATURES,
        MACHINE_FAILURE,
    ),
    key=("product_id",),
)

EVALUATION_RESULTS = Contract(
    "evaluation_results",
    "How good one predictor is on one slice of the evaluation set.",
    DataClass.FEATURE,
    (
        Column("slice", _S, "what is compared: all, product_type, region or origin"),
        Column("value", _S, "which of them; all"),
        Column("predictor", _S, "the model, or a baseline beside it"),
        Column("products", _I, "products in the slice", "products", 1),
        Column("failures", _I, "those the machine failed on", "products", 0),
        Column("f1", _F, "harmonic mean of precision and recall", "1", 0, 1),
        Column("pr_auc", _F, "average precision of the probabilities", "1", 0, 1),
        Column("precision", _F, "share of the warnings that were right", "1", 0, 1),
        Column("recall", _F, "share of the failures that were warned of", "1", 0, 1),
        Column("brier", _F, "mean squared error of the probabilities", "1", 0, 1),
    ),
    key=("slice", "value", "predictor"),
)

#: Process values of single products leave a region only under an agreement.
LIVE_RECORDS = Contract(
    "live_records",
    "The process values of one product of the newest days, as the served model takes them.",
    DataClass.SEQUENCE,
    (_PRODUCT, _RECORD, _RECORDED, *PROCESS_INPUTS, _DATE, _HASH),
    key=("product_id",),
)

EVALUATION_RECORDS = Contract(
    "evaluation_records",
    "The process values behind one row of the evaluation set, as the served model takes them.",
    DataClass.SEQUENCE,
    LIVE_RECORDS.columns,
    key=("product_id",),
)

INPUT_DRIFT = monitoring.input_drift("products")
ROWS_BY_DAY = monitoring.rows_by_day("products")

_PROBABILITY = Column("failure_probability", _F, "calibrated probability of a failure", "1", 0, 1)
_WARNED = Column("is_warned", pa.bool_(), "whether it reaches the model's threshold")
_VERSION = Column("version", _S, "version in the registry")

FAILURE_PREDICTIONS = Contract(
    "failure_predictions",
    "What the served champion predicts for one product of the newest days.",
    DataClass.FEATURE,
    (
        _PRODUCT,
        _REGION,
        _RECORD,
        _RECORDED,
        _TYPE,
        _PROBABILITY,
        _WARNED,
        Column("model", _S, "name in the registry"),
        _VERSION,
    ),
    key=("product_id",),
)

PREDICTION_QUALITY = Contract(
    "prediction_quality",
    "One prediction whose outcome has arrived.",
    DataClass.FEATURE,
    (
        _PRODUCT,
        _REGION,
        Column("product_type", _S, "quality of the product", allowed=PRODUCT_TYPES),
        _PROBABILITY,
        _WARNED,
        MACHINE_FAILURE,
        Column("inspected_at", INSTANT, "instant since when the outcome is known, UTC"),
        _VERSION,
    ),
    key=("product_id",),
)
