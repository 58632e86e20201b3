"""How fast a training is here, beside what a reader of the thesis would write: `python -m
performance`.
"""
