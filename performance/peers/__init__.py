"""Implementations in the ecosystem's own words; they alone need the `speed` extra."""
