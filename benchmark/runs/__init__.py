"""One run: what it is, carried out, on disk, read back, gathered into tables and rescored."""
