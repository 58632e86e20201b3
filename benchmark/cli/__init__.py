"""The command line: verbs, their options, and what is seen while they run."""
