"""The milling feature that is monitored for drift: the power of the spindle.

The plant chooses the quality of products, and a day uses one or two tools, so its wear always differs from that of the
reference days. The temperatures of the published machine follow a random walk: they differ each day without a fault.
Features of these columns are checked only against the bounds of the contract. A product is made once, so each row is
an independent observation.
"""

from sinet_pipelines.applications.milling.tables import INPUT_DRIFT
from sinet_pipelines.applications.milling.task import FAILURE
from sinet_pipelines.monitoring.input_drift import Watched

WATCHED = Watched(
    features=("power_w", "power_margin"),
    group=FAILURE.group,
    order=FAILURE.order,
    groups=FAILURE.groups,
    contract=INPUT_DRIFT,
    is_grouped=False,
    least=100,  # products: fewer do not determine deciles
)
