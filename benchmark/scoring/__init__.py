"""Probability maps or masks against the truth: every measure, one row per test slice."""
