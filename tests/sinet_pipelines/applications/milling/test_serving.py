import numpy as np
import pytest

from sinet_pipelines.applications.milling.schemas import FAILURE_MODES
from sinet_pipelines.applications.milling.served import INPUTS, request_contract
from sinet_pipelines.applications.milling.serving import of_file, of_table, sample
from sinet_pipelines.deployment.request_contract import METADATA_KEY, read_request_contract
from sinet_pipelines.errors import SourceError

TYPES = dict.fromkeys(INPUTS, np.dtype(np.float32))


def test_products_of_a_file_are_asked_in_the_order_of_their_names(records, write_table):
    path = write_table(records.head(30)) / "ai4i2020.csv"
    found = of_file(path)
    assert found.names == tuple(sorted(records.head(30)["product_id"]))
    again = of_table(records.head(30).sort("product_id"))
    for name in INPUTS:
        np.testing.assert_array_equal(found.inputs[name], again.inputs[name])
    assert found.is_whole_B.all()


def test_a_file_needs_no_column_of_the_outcome(records, write_table):
    headers = ("Machine failure", "TWF", "HDF", "PWF", "OSF", "RNF")
    assert len(headers) == 1 + len(FAILURE_MODES)
    path = write_table(records.head(5), drop=headers) / "ai4i2020.csv"
    assert len(of_file(path)) == 5


def test_a_file_without_a_measured_column_is_refused(records, write_table):
    path = write_table(records.head(5), drop=("Torque [Nm]",)) / "ai4i2020.csv"
    with pytest.raises(SourceError, match=r"lacks column Torque \[Nm\]"):
        of_file(path)


def test_the_sample_is_within_the_contract_of_requests():
    contract = read_request_contract({METADATA_KEY: request_contract()}, TYPES)
    assert contract.check(sample()) is None
