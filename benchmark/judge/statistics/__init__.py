"""Means, differences and intervals, patients being the unit. Pure."""
