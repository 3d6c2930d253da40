"""What exists: the assets of SINet, one file for each stage of the pipeline."""
