"""How fast training is beside what a reader of the thesis would write: `python -m performance`."""
