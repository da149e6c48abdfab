"""Machinery that a learner can skip: steps on NumPy.

`plan` turns a recording into `calls` of NumPy on arrays that exist already (`memory`), long vectors
block by block (`blocks`), random numbers drawn ahead (`draws`); `step` calls it.
"""

from functools import partial

from xpnet import submodule

__getattr__ = partial(submodule, __name__)
