"""Assets in the event log and in storage: versions, inputs, staleness, state."""
