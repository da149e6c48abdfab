"""Machinery that a learner can skip: steps on CuPy.

A recording becomes kernels: `schedule` decides which there are (`groups`); `kernels`,
`reductions`, `expressions` and `indices` write what they compute, `source` the text around it, and
`program` gives them memory.  `cublas` computes matrix products, and `step` launches all of it, one
after another or as a CUDA graph.
"""

from functools import partial

from xpnet import submodule

__getattr__ = partial(submodule, __name__)
