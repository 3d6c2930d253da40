"""Monitoring: the account of the rows and the watch upon what is served."""
