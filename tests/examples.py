"""How many examples a fuzzed law is tried with: a sample where all tests run, ten times as many in `make soak`."""

import os


def sampled(examples: int) -> int:
    """Returns a tenth of the examples; all of them where `SOAK` is set, as `make soak` does."""
    return examples if os.environ.get("SOAK") else examples // 10
