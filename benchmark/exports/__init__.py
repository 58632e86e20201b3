"""What other tools read: slices, splits and models in the forms that they know."""
