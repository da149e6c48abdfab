"""Machinery that a learner can skip: training over all samples, and evaluation.

`training.fit` checks its arguments, `scaling` prepares samples and model, `loop` runs the epochs
and `steps` the steps of each; `results` is what comes out, `evaluation` how good it is.
"""
