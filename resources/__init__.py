"""Where it runs: every outside thing as a resource, one file each."""
