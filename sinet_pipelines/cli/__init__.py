"""The desk at the door: the command `sinet`; nothing imports it."""
