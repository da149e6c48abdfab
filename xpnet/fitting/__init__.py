"""Machinery that a learner can skip: training over all samples, and evaluation.

`training.fit` checks its arguments and makes a `plan` of them, `scaling` prepares samples and
model, `loop` runs the epochs and `steps` the steps of each, from `state` to state; after each epoch
comes `validation`.  `results` is what comes out, `evaluation` how good it is.
"""

from functools import partial

from xpnet import submodule

__getattr__ = partial(submodule, __name__)
