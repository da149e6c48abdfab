"""The names that the help lists, without the modules that hold them, which import NumPy.

A test keeps each list equal to the table that it is of.
"""

DATA = (
    *("mnist", "fashion-mnist", "kmnist", "qmnist"),
    *("emnist-balanced", "emnist-digits", "emnist-letters"),
)
TASKS = ("classification", "multilabel", "regression")
ACTIVATIONS = (
    *("relu", "tanh", "sigmoid", "identity", "scaled-tanh", "leaky-relu", "elu", "selu"),
    *("gelu", "gelu-tanh", "silu", "softplus", "hard-sigmoid"),
)
NORMALIZATIONS = ("batch", "layer")
INITIALIZERS = (
    *("glorot-uniform", "glorot-normal", "he-uniform", "he-normal"),
    *("lecun-uniform", "lecun-normal", "orthogonal", "zeros"),
)
LOSSES = (
    *("softmax-cross-entropy", "softmax-squared-error", "binary-cross-entropy", "squared-error"),
    *("hinge", "focal", "binary-focal", "absolute-error", "huber", "pinball", "poisson"),
)
OPTIMIZERS = (
    *("nesterov", "momentum", "sgd", "adam", "adamw", "amsgrad"),
    *("rmsprop", "adagrad", "lion"),
)
AVERAGES = ("ema", "last")
SCHEDULES = (
    *("one-cycle", "cosine", "step", "constant", "exponential"),
    *("inverse-scaling", "polynomial", "warm-restarts", "plateau"),
)
REFERENCES = ("differences", "jax", "torch")
