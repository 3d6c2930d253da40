"""How often a step is retried, and after how long."""

import dagster as dg

# a place that is lost once is often lost twice; the delays leave its region more than a minute to recover
RETRIES = dg.RetryPolicy(max_retries=4, delay=10, backoff=dg.Backoff.EXPONENTIAL)
