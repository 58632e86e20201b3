"""Train, validation and test sets, and how far they leak into each other."""
