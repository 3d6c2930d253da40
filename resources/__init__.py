"""Where it runs: every external service as a resource, one file each."""
