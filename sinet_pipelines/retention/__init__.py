"""Retention: one planner for old data of a home: what goes, what stays, and what needs it.

`plan.py` decides, from values alone. The other modules list what is there and who needs it, one file a kind: old files
of tables, training sets, blobs, files of MLflow's runs, runs in Dagster's event log, and their output.
"""
