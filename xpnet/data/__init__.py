"""Machinery that a learner can skip: from files and arrays to a `Dataset`; the model's file.

`sources.load` reads a data set, by way of `idx`, `tables`, `downloads` and `mnist`; `targets`,
`constants` and `dataset` prepare arrays for training.
"""
