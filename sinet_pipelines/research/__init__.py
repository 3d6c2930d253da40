"""Research: experiments as recipes, challengers and verdicts; a challenger serves only after a positive verdict."""
