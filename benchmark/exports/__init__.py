"""What leaves this repository: slices and models in the forms that others read, a file a form."""
