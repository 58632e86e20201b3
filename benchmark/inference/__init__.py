"""A trained model applied to slices of a user's own."""
