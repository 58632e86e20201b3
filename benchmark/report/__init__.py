"""Figures and one page, drawn from finished runs and never from a rerun."""
