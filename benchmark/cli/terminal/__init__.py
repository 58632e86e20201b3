"""A grid on a terminal: its states, its progress."""
