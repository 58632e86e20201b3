"""One HTML file that opens from disk and asks for nothing."""
