"""Machinery that a learner can skip: from files and arrays to a `Dataset`; the model's file.

`sources.load` reads a data set, by way of `idx`, `numpy_files`, `tables`, `downloads` and `mnist`;
`tasks` finds out what targets are for; `labels`, `targets`, `weights`, `statistics` and `dataset`
prepare arrays for training; `model_file` is what a model is saved to.
"""

from functools import partial

from xpnet import submodule

__getattr__ = partial(submodule, __name__)
