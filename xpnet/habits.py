"""What other libraries call things, and what xpnet calls them: for error messages alone.

Keras, PyTorch, optax and scikit-learn have names of their own for the arguments, parts and
functions of xpnet.  An error about such a name says which one to use.  This module is imported with
classes that have `ATTRIBUTES`, and else when such an error is raised.  A line has what to write
here, and the names elsewhere.
"""

from collections.abc import Mapping


def instead(text: str) -> str:
    """Return the end of a message: what to write."""
    return f"; {text.removeprefix('nothing: ')}" if text[:8] == "nothing:" else f"; use {text}"


def _by_name(lines: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return for each name elsewhere what to write here, in the order of the lines."""
    found: dict[str, tuple[str, ...]] = {}
    for text, names in lines.items():
        for name in names.split():
            found[name] = (*found.get(name, ()), text)
    return found


def _first(lines: Mapping[str, str]) -> dict[str, str]:
    return {name: texts[0] for name, texts in _by_name(lines).items()}


_WIDTHS = "widths by position, as in mlp(784, 128, 10)"
ARGUMENTS = _by_name(
    {
        # optimizers
        "learning_rate": "lr learning_rate_init eta0 max_lr lr_max peak_value base_lr init_value",
        "beta1": "b1 beta_1",
        "beta2": "b2 beta_2",
        "beta": "rho alpha decay",
        "eps": "epsilon eps_root adam_epsilon",
        "slope": "alpha negative_slope",
        "quantiles": "alpha tau q quantile",
        "weight_decay": "alpha l2 decay wd lambda_ penalty kernel_regularizer",
        "beta1=0.9, beta2=0.999": "betas",
        'optimizer=SGD(momentum=0.9), or optimizer="momentum"': "momentum",
        'optimizer="nesterov"': "nesterov nesterovs_momentum",
        "nothing: xpnet.fit gives the parameters to the optimizer": "params parameters",
        # fit
        "epochs": "max_iter n_epochs num_epochs nb_epoch max_epochs n_iter iterations",
        "batch_size": "minibatch_size n_batch fit.steps_per_epoch",
        "optimizer": "solver opt tx optim algorithm",
        "loss": "criterion loss_fn loss_function objective loss_func",
        "validation": "validation_split validation_fraction val_split test_size valid_size",
        "validation_data=(x, y)": "valid_data val_data validation_set eval_set",
        "patience=10, a number of epochs": "early_stopping",
        "patience": "n_iter_no_change early_stopping_rounds",
        "min_delta": "tol threshold",
        "seed": "random_state random_seed rng key",
        "on_epoch, a function of the epoch's numbers and the result": "callbacks callback",
        "schedule": "lr_scheduler scheduler lr_schedule learning_rate_schedule",
        'schedule="inverse-scaling"': "power_t lr_decay Adam.decay SGD.decay Adagrad.decay",
        "clip_norm": "clipnorm global_clipnorm max_grad_norm grad_clip clip_grad_norm max_norm "
        "gradient_clip_val clip_value clipvalue clip",
        "accumulate": "accumulation_steps gradient_accumulation_steps accumulate_grad_batches",
        "smoothing": "label_smoothing",
        "loss=xpnet.SoftmaxCrossEntropy(smoothing=0.1)": "label_smoothing",
        'schedule=Warmup("cosine", 0.1), with a part of the run': "warmup warmup_steps",
        "x[:n] and y[:n]": "limit",
        "x": "X x_train X_train inputs data",
        "xpnet.Model.from_layers, or xpnet.mlp": "Model.inputs Model.outputs Model.layers",
        "y": "y_train Y labels_train targets",
        "nothing: samples are shuffled in each epoch": "shuffle",
        "nothing: every epoch is validated": "validation_freq validation_steps",
        "nothing: the threads are those of the BLAS": "workers n_jobs num_workers",
        "initial=result": "warm_start initial_epoch init_model",
        'average="ema"': "ema use_ema ema_decay",
        'average="last"': "swa",
        "xpnet.evaluate(model, x, y), which has all of them": "metrics scoring",
        'model.to("cuda"), and arrays x of that device': "device accelerator",
        'dtype="float64"': "precision amp dtype",
        "sample_weight": "weights",
        "class_weight": "weight pos_weight Focal.alpha BinaryFocal.alpha",
        # mlp and layers
        "fan_out": "units out_features output_dim",
        "fan_in": "in_features input_dim input_size n_features",
        _WIDTHS: "hidden_layer_sizes hidden hidden_units hidden_sizes hidden_size hidden_dims "
        "layers units in_features out_features input_dim input_size n_features num_classes",
        "columns": "num_features normalized_shape",
        "labels": "n_classes num_classes classes class_names",
        "a layer behind it, as in [Dense(784, 128), ReLU(), Dense(128, 10)]": "Dense.activation",
        "activation": "activations act hidden_activation nonlinearity",
        "dropout": "dropout_rate drop",
        "rate": "dropout_rate p",
        "rate, which is Keras's 1 - momentum": "BatchNorm.momentum",
        "deviation": "stddev std",
        "initializer": "kernel_initializer weight_init init",
        "bias": "use_bias fit_intercept",
        'normalization="batch"': "batch_norm use_batch_norm batchnorm",
        'normalization="layer"': "layer_norm",
        "normalization": "norm",
        "output": "output_activation out_activation last_activation final_activation",
        'output ("softmax" for classes, "identity" for numbers)': "task",
        "nothing: a layer makes a new array": "inplace",
        # losses, schedules, predictions
        "nothing: every loss takes logits": "from_logits log_input",
        "nothing: every loss is a mean over samples": "reduction",
        "delta": "beta",
        "factor": "gamma decay scale",
        "final": "gamma decay decay_rate end_value eta_min min_lr",
        "milestones, parts of the run": "Step.step_size boundaries_and_scales milestone boundaries",
        "start": "div_factor",
        "warmup": "pct_start",
        "growth": "T_mult",
        "cycles, their number in the run": "T_0",
        "final, the factor at the end of the run": "Exponential.gamma Exponential.decay",
        "part": "Warmup.warmup Warmup.warmup_steps Warmup.warmup_ratio",
        "nothing: a schedule takes the whole run of xpnet.fit": "T_max total_steps decay_steps "
        "transition_steps total_iters first_decay_steps Cosine.alpha Cosine.eta_min",
        "nothing: a model that is called predicts": "training",
        "nothing: leave such samples out": "mask ignore_index",
        "nothing: it prints nothing, and takes blocks that fit the memory": "predict.verbose "
        "predict.batch_size evaluate.verbose evaluate.batch_size",
        "nothing: a file that is there is replaced": "overwrite",
    }
)
"""For an argument elsewhere, or of one function there, the arguments here, or texts."""

OWNERS = ("fit", "mlp", "SGD", "Adam")
"""Where an argument may belong that is given to another function."""

NAMES = _by_name(
    {
        "squared-error": "mse mean-squared-error mseloss l2 l2-loss",
        "absolute-error": "mae l1 l1loss l1-loss mean-absolute-error",
        "huber": "smooth-l1 huber-loss huberloss",
        "pinball": "quantile quantile-loss",
        "softmax-cross-entropy": "cross-entropy crossentropy crossentropyloss log-loss nll "
        "nll-loss categorical-crossentropy sparse-categorical-crossentropy",
        "binary-cross-entropy": "bce bceloss bcewithlogitsloss binary-crossentropy",
        "identity": "linear none regression",
        "sigmoid": "logistic binary",
        "silu": "swish",
        "relu": "rectified-linear",
        "softmax": "classification",
        "exp": "counts poisson",
        "adam": "lbfgs nadam adamax",
        "momentum": "sgdm",
        "nesterov": "nag",
        "batch": "batchnorm batch-norm batchnormalization",
        "layer": "layernorm layer-norm layernormalization",
        "he-uniform": "kaiming kaiming-uniform he",
        "he-normal": "kaiming-normal",
        "glorot-uniform": "xavier xavier-uniform glorot",
        "glorot-normal": "xavier-normal",
        "lecun-normal": "lecun",
        "one-cycle": "onecycle onecyclelr warmup",
        "cosine": "cosine-decay cosine-annealing cosineannealinglr",
        "polynomial": "linear linear-schedule",
        "inverse-scaling": "invscaling",
        "plateau": "adaptive reduce-on-plateau reducelronplateau",
        "last": "swa",
        "float32": "float half float16 bfloat16",
        "float64": "double",
        "validation_loss": "val-loss",
        "validation_accuracy": "val-accuracy val-acc accuracy acc",
        "learning_rate": "lr",
        "mean_absolute_error": "mae",
    }
)
"""For a name of a part, in small letters and with hyphens, the names here that mean the same."""

INSTEAD_OF = {
    "learning_rate": "; a course of the rate over the run is the argument schedule",
    "epochs": "; leave it out for 10, or more to make 1,000 steps",
    "batch_size": "; leave it out for 128",
    "seed": "; the same seed gives the same numbers",
    "patience": "; it is a number of epochs, as in patience=10",
    "layer width": "; write the widths one after another, as in mlp(784, 128, 10)",
    "fan_out": "; a layer has both widths, as in Dense(784, 128)",
    "theta": "; make a model by xpnet.mlp(784, 128, 10) or xpnet.Model.from_layers(784, layers)",
    "layers": "; the columns of the input come first, as in from_layers(784, [Dense(784, 10)])",
    "bias": "; an activation is a layer behind it, as in [Dense(784, 128), ReLU()]",
    "dropout": "; it is a part of the units, 0 for none",
    "normalization": '; write normalization="batch", or leave it out for none',
    "activation": '; write activation="identity" for none',
    "schedule": '; write schedule="constant" for none',
    "average": '; write average="ema:0.99", or leave it out for none',
    "model": "; use result.model of a result, or make one by xpnet.mlp(784, 128, 10)",
}
"""Where an argument is given something of another kind, what it may have been meant to be."""

_OF_CLASSES = {
    "Model": {
        "xpnet.fit(model, x, y), which returns a result with a new model": "fit train fit_predict",
        "nothing: xpnet.fit takes loss, optimizer and schedule": "compile optimizer criterion",
        "xpnet.fit(model, x, y, epochs=1, initial=result)": "partial_fit",
        "xpnet.evaluate(model, x, y)": "evaluate score test_on_batch metrics",
        "xpnet.train_step": "train_on_batch train_step backward requires_grad_",
        "model(x)": "forward apply",
        "model.predict(x)": "predict_classes predict_on_batch predict_step",
        "model(x), which returns logits": "decision_function transform logits",
        "model.predict_proba(x), and its logarithm": "predict_log_proba",
        "nothing: a model that is called predicts": "eval training trainable",
        "nothing: gradients are not accumulated": "zero_grad",
        "xpnet.mlp(..., seed=0), which has initial weights": "init build reset_parameters",
        "model.params, the arrays of each layer": "parameters named_parameters get_weights weights "
        "trainable_variables variables coefs_ intercepts_",
        "model.save(path), or model.params": "state_dict save_weights save_model export to_json",
        "xpnet.load(path)": "load_state_dict load_weights set_weights load from_pretrained",
        "model.network.layers": "layers children modules n_layers_ named_modules",
        "model.network.layers[i], and len(model.network.layers)": "[] get_layer",
        "xpnet.Model.from_layers": "add append pop add_module",
        "model.network": "get_config config get_params set_params inputs",
        "model.network.size": "count_params num_parameters",
        "model.network.fan_in": "n_features_in_ in_features",
        "model.network.fan_out": "n_outputs_ out_features output_shape",
        "model.output": "out_activation_",
        "model.columns": "feature_names_in_",
        "model.labels": "classes_",
        'result.history["loss"] of the result that xpnet.fit returns': "history loss_curve_ loss_ "
        "best_loss_ n_iter_ validation_scores_",
        'model.to("cuda")': "cuda device",
        'model.to("cpu")': "cpu numpy",
        'dtype="float32" or "float64" of xpnet.mlp': "double float half astype",
        "nothing: a model never changes": "clone copy share_memory register_buffer",
    },
    "Result": {
        "result.model.predict(x)": "predict ()",
        "result.model.predict_proba(x)": "predict_proba",
        "xpnet.evaluate(result.model, x, y)": "evaluate score metrics accuracy",
        "xpnet.fit(model, x, y, initial=result)": "fit partial_fit",
        "result.model.save(path)": "save",
        "result.model": "model_ best_model best_estimator_",
        "result.model.params": "params weights coefs_ state_dict",
        "result.model.summary()": "summary",
        "result.model.labels": "classes_ labels",
        "result.model and result.history": "[]",
        "result.progress": "state optimizer opt_state",
        'result.history["loss"]': "loss_curve_ loss losses loss_",
        'min(result.history["validation_loss"])': "best_loss_",
        'result.history["validation_accuracy"]': "best_validation_score_ validation_scores_",
        "len(result.history)": "n_iter_ epochs",
        'result.history["epoch"]': "epoch",
    },
    "History": {
        'result.history["loss"]': "history loss losses",
        'result.history["validation_loss"]': "validation_loss val_loss",
        'result.history["validation_accuracy"]': "validation_accuracy val_accuracy accuracy",
        'result.history["epoch"]': "epoch epochs",
        'result.history["learning_rate"]': "lr learning_rate",
        "nothing: its names are those of an Epoch": "keys items values get",
    },
    "Evaluation": {
        "its attributes loss, accuracy, interval and metrics": "[] score keys items get values",
        'evaluation.metrics["f1"], or "precision" or "recall"': "f1 f1_score precision recall",
        'evaluation.metrics["balanced_accuracy"]': "balanced_accuracy",
        'evaluation.metrics["r2"]': "r2 r2_score",
        'evaluation.metrics["mean_absolute_error"]': "mae mean_absolute_error",
    },
    "Optimizer": {
        "nothing: xpnet.fit makes the steps": "step minimize apply_gradients apply backward",
        "nothing: gradients are not accumulated": "zero_grad",
        "result.progress of the result that xpnet.fit returns": "state_dict state variables",
        "optimizer.learning_rate": "lr param_groups eta0",
    },
    "Layer": {
        "model(x), with a model of such layers": "() call",
        "model.params, the arrays of each layer": "weights",
    },
    "Loss": {
        "xpnet.evaluate(model, x, y).loss": "() call",
    },
    "Settings": {
        "nothing: xpnet.fit calls the schedule": "step get_last_lr get_lr",
        "nothing: a part has no state; its settings are attributes": "state_dict get_config to",
    },
}
ATTRIBUTES = {name: _first(lines) for name, lines in _OF_CLASSES.items()}
"""For an attribute that a class does not have, its call () or its items [], what to write."""

TOP = _first(
    {
        # parts
        "xpnet.Dense": "Linear",
        "xpnet.BatchNorm": "BatchNorm1d BatchNorm2d BatchNormalization",
        "xpnet.LayerNorm": "LayerNormalization",
        "xpnet.Noise": "GaussianNoise",
        "xpnet.Dropout": "AlphaDropout GaussianDropout",
        "xpnet.Standardize": "StandardScaler Normalization",
        "xpnet.LeakyReLU": "LeakyRelu",
        "xpnet.ReLU, xpnet.Tanh or another activation": "Activation relu tanh",
        "xpnet.SoftmaxCrossEntropy": "CrossEntropyLoss CategoricalCrossentropy NLLLoss KLDivLoss "
        "SparseCategoricalCrossentropy softmax_cross_entropy "
        "softmax_cross_entropy_with_integer_labels",
        "xpnet.BinaryCrossEntropy": "BCEWithLogitsLoss BCELoss BinaryCrossentropy "
        "sigmoid_binary_cross_entropy",
        "xpnet.SquaredError": "MSELoss MeanSquaredError squared_error l2_loss",
        "xpnet.AbsoluteError": "L1Loss MeanAbsoluteError",
        "xpnet.Huber": "SmoothL1Loss HuberLoss huber_loss",
        "xpnet.Poisson": "PoissonNLLLoss",
        "xpnet.Hinge": "MultiMarginLoss CategoricalHinge",
        "xpnet.SGD": "sgd",
        "xpnet.Adam": "adam amsgrad Adamax NAdam Nadam RAdam Adadelta LBFGS lbfgs",
        "xpnet.AdamW": "adamw lamb",
        "xpnet.Adagrad": "adagrad",
        "xpnet.RMSprop": "rmsprop RMSProp",
        "xpnet.Lion": "lion",
        'xpnet.fit(..., average="ema:0.99")': "ema AveragedModel EMA",
        "xpnet.Step(0.1, (0.5, 0.75)), with parts of the run": "StepLR MultiStepLR "
        "piecewise_constant_schedule PiecewiseConstantDecay",
        "xpnet.Exponential": "ExponentialLR ExponentialDecay exponential_decay",
        "xpnet.Cosine": "CosineAnnealingLR CosineDecay cosine_decay_schedule",
        "xpnet.Constant": "ConstantLR constant_schedule",
        "xpnet.WarmRestarts": "CosineAnnealingWarmRestarts CosineDecayRestarts sgdr_schedule",
        "xpnet.OneCycle": "OneCycleLR cosine_onecycle_schedule linear_onecycle_schedule",
        "xpnet.Polynomial": "PolynomialLR LinearLR PolynomialDecay linear_schedule",
        "xpnet.ReduceOnPlateau": "ReduceLROnPlateau",
        'xpnet.Warmup("cosine", 0.1)': "warmup_cosine_decay_schedule join_schedules SequentialLR",
        "xpnet.fit(..., schedule=f)": "LambdaLR lr_scheduler LearningRateScheduler",
        # models
        "xpnet.Model.from_layers, or xpnet.mlp": "Sequential Module keras MLP",
        "xpnet.mlp and xpnet.fit": "MLPClassifier SGDClassifier LogisticRegression TrainState",
        'xpnet.mlp(..., output="identity") and xpnet.fit': "MLPRegressor SGDRegressor",
        "the first argument of xpnet.mlp or xpnet.Model.from_layers": "Input InputLayer",
        "nothing: a model flattens its samples": "Flatten",
        'output="softmax", the default of xpnet.mlp': "Softmax LogSoftmax",
        "xpnet.Dense: layers are dense alone": "Conv1d Conv2d Conv2D LSTM GRU Embedding MaxPool2d",
        "xpnet.Dense, xpnet.ReLU and the others at the top of xpnet": "nn linen Parameter",
        "xpnet.SGD, xpnet.Adam and the others at the top of xpnet": "optim",
        # training and data
        "xpnet.fit(..., patience=10)": "EarlyStopping",
        "xpnet.fit(..., on_epoch=f)": "ModelCheckpoint callbacks TensorBoard History Callback",
        "xpnet.fit(..., clip_norm=1.0)": "clip_by_global_norm clip clip_grad_norm_",
        "xpnet.fit(..., weight_decay=1e-4)": "regularizers add_decayed_weights L2",
        "xpnet.fit(..., accumulate=4)": "MultiSteps",
        "xpnet.fit(..., seed=0)": "manual_seed seed set_random_seed",
        "xpnet.fit(..., optimizer, schedule, clip_norm)": "chain apply_updates scale scale_by_adam "
        "inject_hyperparams multi_transform",
        "nothing: xpnet.fit and xpnet.train_step compute gradients": "no_grad grad jit",
        "nothing: xpnet.fit takes arrays x and y": "DataLoader TensorDataset Tensor tensor utils",
        "nothing: labels stay as they are": "to_categorical one_hot LabelEncoder OneHotEncoder",
        "xpnet.fit(..., validation=0.1)": "train_test_split",
        "xpnet.data.sources.load": "datasets load_data",
        "xpnet.load": "load_model load_state_dict",
        "xpnet.select_device": "select cuda",
        "model.predict(x)": "predict",
        "model.save(path)": "save save_model",
        "xpnet.metrics": "accuracy accuracy_score r2_score",
        "xpnet.metrics.precision_recall_f1": "f1_score precision_score recall_score",
    }
)
"""For a name that the package, or a module of it, does not have, what to write."""
