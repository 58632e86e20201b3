"""Figures and one page, plotted from finished runs and never from a rerun."""
