"""Machinery that a learner can skip: tools around training.

Checks of derivatives, one step in numbers, measurements of speed, threads of the BLAS.
"""

from functools import partial

from xpnet import submodule

__getattr__ = partial(submodule, __name__)
