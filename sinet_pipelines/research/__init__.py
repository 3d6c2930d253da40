"""Research: experiments as recipes, challengers and verdicts; nothing in here serves until its verdict says it may."""
