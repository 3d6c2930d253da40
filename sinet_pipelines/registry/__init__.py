"""The model registry: versions of models by content, their aliases and their runs."""
