"""Slices with the outlines of truth and prediction."""
