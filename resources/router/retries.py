"""How often a step gets another attempt, and after how long."""

import dagster as dg

# a place that is taken away once is often taken away twice; the waits give its region a minute and more to recover
RETRIES = dg.RetryPolicy(max_retries=4, delay=10, backoff=dg.Backoff.EXPONENTIAL)
