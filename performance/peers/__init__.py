"""Contestants in the ecosystem's own words; they need the `speed` extra, and nothing else imports
them.
"""
