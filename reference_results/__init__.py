"""The thesis's printed numbers, the margins, the splits and our own runs: data, no code."""
