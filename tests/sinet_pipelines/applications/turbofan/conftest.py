"""What tests of turbofan and of ingestion share: rows as a drop has them, a small C-MAPSS folder, the real one."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from sinet_pipelines.applications.turbofan.schemas.telemetry import CHANNELS, SENSORS, SETTINGS

DAY = date(2026, 3, 1)


@pytest.fixture
def make_rows():
    """Drop rows of one day: engines of some cycles each, readings in the middle of their bounds and some noise."""

    def make(*, engines: int = 2, cycles: int = 5, seed: int = 0, day: date = DAY) -> pl.DataFrame:
        rng = np.random.default_rng(seed)
        n = engines * cycles
        middle = {c.name: (c.minimum + c.maximum) / 2 for c in SETTINGS + SENSORS}
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return pl.DataFrame(
            {
                "unit": np.repeat([f"T-{e:04d}" for e in range(1, engines + 1)], cycles),
                "role": ["history"] * n,
                "cycle": np.tile(np.arange(1, cycles + 1, dtype=np.int32), engines),
            }
        ).with_columns(
            recorded_at=pl.lit(midnight).cast(pl.Datetime("us", "UTC"))
            + pl.duration(minutes=36 * (pl.col("cycle") - 1)),
            **{name: pl.Series(value * (1 + 0.01 * rng.normal(size=n))) for name, value in middle.items()},
        )

    return make


@pytest.fixture
def cmapss_lines():
    """Lines as NASA writes them: two blanks at the end, the value of channel k of cycle c is k + c / 100."""

    def lines(engines: dict[int, int]) -> list[str]:
        return [
            f"{unit} {cycle} " + " ".join(f"{k + cycle / 100:.2f}" for k in range(len(CHANNELS))) + "  "
            for unit, last in engines.items()
            for cycle in range(1, last + 1)
        ]

    return lines


@pytest.fixture
def cmapss_folder(tmp_path, cmapss_lines):
    """A folder with the subset FD009: history engines of 6, 4, 5 cycles, live ones of 3 and 2 with 7 and 9 left."""
    folder = tmp_path / "plant"
    folder.mkdir()
    (folder / "train_FD009.txt").write_text("\n".join(cmapss_lines({1: 6, 2: 4, 3: 5})) + "\n")
    (folder / "test_FD009.txt").write_text("\n".join(cmapss_lines({1: 3, 2: 2})) + "\n")
    (folder / "RUL_FD009.txt").write_text("7 \n9 \n")
    return folder
