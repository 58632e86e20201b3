"""Files on disk: written whole or not at all, and TOML read with clear errors."""
