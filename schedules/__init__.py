"""When it runs: jobs with a name, what the clock starts, what an event starts, what a person starts."""
