"""The command line `sinet`; no other package imports it."""
