"""Rows of tables as InfluxDB line protocol, and the time-series stores that take them."""
