"""Research: recipes of experiments, their cost in energy, and verdicts on the promotion of their challengers."""
