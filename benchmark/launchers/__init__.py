"""A grid given to Slurm: how its cells become arrays of tasks, and what a task does on its node."""
