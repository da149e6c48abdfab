"""Machinery that a learner can skip: steps on NumPy.

A recording becomes a list of calls (`calls`) on arrays that exist already (`plan`, `memory`), long
vectors block by block (`blocks`), random numbers drawn ahead (`draws`); `step` calls it.
"""
