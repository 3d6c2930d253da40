"""Contracts of turbofan telemetry: drops, raw rows, validated rows, and rows in quarantine.

Channels, symbols and units are those of C-MAPSS (Saxena, Goebel, Simon, Eklund 2008, table 2). The bounds are the
physically possible values of a large turbofan from sea level to 42,000 ft, and include all published operating
regimes; a value outside is a broken sensor or another unit. `stuck_after` is three times the longest run of equal
values in any engine of the published data; sensors that are constant in one regime have none. `outlier_iqrs` is three
times the largest distance there; sensors that differ much between regimes have none.
"""

from dataclasses import replace

import pyarrow as pa

from sinet_pipelines.schemas.contract import Column, Contract, DataClass

INSTANT = pa.timestamp("us", tz="UTC")
_F = pa.float64()

SETTINGS: tuple[Column, ...] = (
    Column("altitude_kft", _F, "flight altitude", "kft", -1.0, 50.0),
    Column("mach_number", _F, "flight Mach number", "1", -0.05, 1.0),
    Column("throttle_angle_pct", _F, "throttle resolver angle", "%", 0.0, 110.0),
)

SENSORS: tuple[Column, ...] = (
    Column("t2_degr", _F, "total temperature at fan inlet", "degR", 380.0, 620.0),
    Column(
        "t24_degr",
        _F,
        "total temperature at low-pressure compressor outlet",
        "degR",
        450.0,
        800.0,
        stuck_after=12,
        outlier_iqrs=10,
    ),
    Column(
        "t30_degr",
        _F,
        "total temperature at high-pressure compressor outlet",
        "degR",
        1000.0,
        2000.0,
        stuck_after=12,
        outlier_iqrs=10,
    ),
    Column(
        "t50_degr",
        _F,
        "total temperature at low-pressure turbine outlet",
        "degR",
        800.0,
        1900.0,
        stuck_after=12,
        outlier_iqrs=10,
    ),
    Column("p2_psia", _F, "pressure at fan inlet", "psia", 1.0, 20.0),
    Column("p15_psia", _F, "total pressure in bypass duct", "psia", 2.0, 30.0),
    Column(
        "p30_psia",
        _F,
        "total pressure at high-pressure compressor outlet",
        "psia",
        60.0,
        800.0,
        stuck_after=12,
        outlier_iqrs=25,
    ),
    Column("nf_rpm", _F, "physical fan speed", "rpm", 1000.0, 3500.0, stuck_after=20),
    Column("nc_rpm", _F, "physical core speed", "rpm", 6000.0, 12000.0, stuck_after=12),
    Column("epr_ratio", _F, "engine pressure ratio", "1", 0.5, 2.0),
    Column(
        "ps30_psia",
        _F,
        "static pressure at high-pressure compressor outlet",
        "psia",
        20.0,
        80.0,
        stuck_after=15,
        outlier_iqrs=10,
    ),
    Column(
        "phi_pps_per_psi", _F, "ratio of fuel flow to Ps30", "pps/psi", 50.0, 800.0, stuck_after=12, outlier_iqrs=25
    ),
    Column("nrf_rpm", _F, "corrected fan speed", "rpm", 1000.0, 3500.0, stuck_after=20),
    Column("nrc_rpm", _F, "corrected core speed", "rpm", 6000.0, 11000.0, stuck_after=12),
    Column("bpr_ratio", _F, "bypass ratio", "1", 5.0, 16.0, stuck_after=12, outlier_iqrs=10),
    Column("farb_ratio", _F, "burner fuel-air ratio", "1", 0.0, 0.1),
    Column("htbleed_btu_per_lb", _F, "bleed enthalpy", "Btu/lb", 200.0, 600.0, stuck_after=36, outlier_iqrs=12),
    Column("nf_dmd_rpm", _F, "demanded fan speed", "rpm", 1000.0, 3500.0),
    Column("pcnfr_dmd_pct", _F, "demanded corrected fan speed", "%", 50.0, 120.0),
    Column(
        "w31_lbm_per_s", _F, "high-pressure turbine coolant bleed", "lbm/s", 2.0, 80.0, stuck_after=15, outlier_iqrs=10
    ),
    Column(
        "w32_lbm_per_s", _F, "low-pressure turbine coolant bleed", "lbm/s", 1.0, 50.0, stuck_after=12, outlier_iqrs=10
    ),
)

CHANNELS: tuple[str, ...] = tuple(column.name for column in SETTINGS + SENSORS)
SETTING_NAMES: tuple[str, ...] = tuple(column.name for column in SETTINGS)
SENSOR_NAMES: tuple[str, ...] = tuple(column.name for column in SENSORS)

LAST_CYCLE = 100_000  # nine flights a day for thirty years: a larger number is a typing error
MAX_NAME_CHARACTERS = 128  # the longest serial number in use has 30; a longer text does not belong in the column
ROLES = ("history", "live")  # run to failure, to learn from; still running, to predict

IDENTITY = (
    Column(
        "unit",
        pa.string(),
        "engine: its subset and number, L before the number of a live one",
        max_characters=MAX_NAME_CHARACTERS,
    ),
    Column("role", pa.string(), "history (run to failure) or live (still running)", allowed=ROLES),
    Column("cycle", pa.int32(), "flight cycle of the engine, from 1", "cycles", 1, LAST_CYCLE),
    Column("recorded_at", INSTANT, "instant of the cycle, UTC"),
)
_TECHNICAL = (
    Column("event_date", pa.date32(), "day of the drop the row came in; the partition"),
    Column("row_hash", pa.string(), "BLAKE2b-128 of the row's content: the name of the row from drop to model"),
    Column("drop_id", pa.string(), "first 16 hex digits of the SHA-256 of the drop it came in"),
)

#: A drop: the columns of a file under `<REGION>/landing/turbofan/<date>/`.
DROP = Contract(
    "drop",
    "One engine at one flight cycle, as a plant drops it.",
    DataClass.RAW,
    IDENTITY + SETTINGS + SENSORS,
    key=("unit", "cycle"),
)

RAW_TELEMETRY = Contract(
    "raw_telemetry",
    "One engine at one flight cycle, as it came; exact copies dropped, nothing judged.",
    DataClass.RAW,
    tuple(replace(column, nullable=True) for column in IDENTITY + SETTINGS + SENSORS)
    + _TECHNICAL
    + (
        Column("unparsed", pa.string(), "JSON of values that are no value of their column's type", nullable=True),
        Column("ingested_at", INSTANT, "instant the day was rebuilt from its drops, UTC"),
    ),
    key=("row_hash",),
    sorted_by=("unit", "cycle", "row_hash"),
)

VALIDATED_TELEMETRY = Contract(
    "validated_telemetry",
    "One engine at one flight cycle that keeps the contract.",
    DataClass.RAW,
    IDENTITY + SETTINGS + SENSORS + _TECHNICAL,
    key=("unit", "cycle"),
    max_quarantined_share=0.05,  # above one row in twenty, the day's instrument is probably faulty
    series=("unit",),
    counter="cycle",
)

QUARANTINE = Contract(
    "quarantine",
    "A row set aside, as it came, with the reason.",
    DataClass.RAW,
    RAW_TELEMETRY.columns[:-1] + (Column("reason", pa.string(), "each rule the row broke, with what was found"),),
    key=("row_hash",),
    sorted_by=("unit", "cycle", "row_hash"),
)

EARLY_TELEMETRY = Contract(
    "early_telemetry",
    "Validated rows of engines' first cycles: what they were like when new, beside the table they are part of.",
    DataClass.RAW,
    VALIDATED_TELEMETRY.columns,
    key=("unit", "cycle"),
)
