"""Finished runs in, verdicts out: every module here is pure and starts without torch."""
