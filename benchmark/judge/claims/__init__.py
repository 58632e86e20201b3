"""The thesis's claims in words, each a predicate on recorded runs. Pure."""
