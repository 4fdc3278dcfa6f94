"""The goals that need no other system beside ours (one: the textbook, far from its database), a module each.

`python -m bench.goals` measures all of them in about five minutes, `python -m bench.goals.start` one.
"""
