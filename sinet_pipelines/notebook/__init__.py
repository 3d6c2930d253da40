"""Opens the state of a deployment for notebooks: any table as a data frame, the champion model as a function.

Everything here is read-only. Runs and the state of assets belong to the command line: `sinet run`, `sinet status`.
"""
