"""Checklists that reviewers ask for, filled in from the runs that a report is of."""
