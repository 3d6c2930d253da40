"""The small fleet of the quantization tests, for the graphs that read its windows."""

from tests.sinet_pipelines.quantization.conftest import asked, fleet, regimes, sequences

__all__ = ["asked", "fleet", "regimes", "sequences"]
