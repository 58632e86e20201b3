"""Which runs a grid asks for, what state they are in, and how long the rest will take."""
