"""What exists: the assets of SINet, one file a stage of the walk."""
