"""`load`: MNIST in the package, downloads, folders of IDX files, .npz, .npy and .csv files.

All give arrays on the host, and check them once: sizes, labels, finite numbers.  No reader
unpickles anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from os import PathLike
from pathlib import Path

import numpy as np

from xpnet.arrays import HostArray
from xpnet.bounds import shown
from xpnet.data.conversions import refuse
from xpnet.data.dataset import FEWEST, divided
from xpnet.data.files import (
    Contents,
    Names,
    ReadOptions,
    ending_of,
    expanded,
    read_file,
    unpacked_name,
)
from xpnet.data.formats import AS_TABLE, format_of, require_table
from xpnet.data.frames import Source, read_frame
from xpnet.data.idx_folders import has_idx_files, read_idx_folder, source_of
from xpnet.data.published import read_packaged, read_published
from xpnet.data.sample_checks import check_names, check_pair, check_shapes, check_sizes, check_x
from xpnet.data.tasks import classes_in, infer, targets_for
from xpnet.errors import DataError, UsageError
from xpnet.random import Purpose, permutation, step_keys
from xpnet.registry import DATA, DOWNLOADS, FORMATS, FORMATS_WITHOUT_TARGETS


@dataclass(frozen=True)
class Samples:
    """A data set on the host, checked.

    Attributes
    ----------
    name : str
        Short, for people and for the name of a run folder.
    x_train, x_test : numeric arrays (n, ...)
        A sample per row; images keep their shape.
    y_train, y_test : integer, floating-point or string arrays (n,), or numeric arrays (n, k)
        A class or a number for each sample, or k of them.
    files : mapping
        SHA-256 of each file that was read, as it lies there, by name.
    columns, target : tuple of str
        The names of the features and of the targets, where the data set is a table.
    labels : tuple of int or str
        The classes in their own order, where the data set names them.
    task, why : str
        What is to be predicted, as given or inferred from the targets; why it is inferred.
    split : {"given", "held out", "none"}
        Whether the test samples were given, or held out, or are those of training.
    notes : tuple of str
        What to tell the user of how the data was read, a line each.
    source : str
        What names it wherever one is (`idx_folders.source_of`).
    """

    name: str
    x_train: HostArray
    y_train: HostArray
    x_test: HostArray
    y_test: HostArray
    files: Mapping[str, str]
    columns: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    labels: tuple[int | str, ...] = ()
    task: str = ""
    why: str = ""
    split: str = "given"
    notes: tuple[str, ...] = ()
    source: str = ""

    @property
    def classes(self) -> HostArray | None:
        """The class of each training sample, from 0; None if the task has no classes."""
        return classes_in(self.y_train, self.task)


def load(
    source: Source,
    target: Names = "label",
    folder: str | None = None,
    *,
    features: Names = None,
    drop: Names = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool = True,
    whole: bool = False,
    task: str | None = None,
    names: bool = False,
    local: bool = True,
    dtype: str | None = None,
) -> Samples:
    """The data set that `--data` names.

    Parameters
    ----------
    source : str, path or frame
        `mnist`; another of `registry.DATA`, which is downloaded once; a folder of IDX files,
        gzipped or not, named as MNIST's are (`idx_folders.read_idx_folder`); an .npz file with
        `x_train, y_train, x_test, y_test`, or with `x, y` (`numpy_files.NAMES`); a table, a .csv or
        .tsv file, gzipped or not; or a frame, as its CSV file.
        Where there is no test set, a fifth of the samples becomes it (`hold_out`).
    target : str or sequence of str
        The column of a table to predict, or several (`files.ReadOptions`).  All other columns are
        features, numbers or True and False; those named as pixels are bytes, and images if they
        make one (`tables.pixels_of`).
    folder : str, optional
        Where downloaded files are kept; by default the environment variable XPNET_DATA, or else
        the user's folder for caches.
    features, drop, delimiter, encoding, header
        How a table is read (`files.ReadOptions`).
    whole : bool, default False
        Where there is no test set, take every sample for it (and for training): of a set that no
        model was trained on.
    task : str, optional
        One of `registry.TASKS`; by default what the targets look like (`tasks.infer`).  Targets get
        the type that it takes (`tasks.targets_for`), and classes are held out in equal parts.
    names : bool, default False
        Whether the labels of a classification are names, even if they are whole numbers.
    local : bool, default True
        Whether a folder of IDX files that is named as one of `registry.DATA` is read instead of it.
    dtype : str, optional
        Of the model to be trained: numbers that are too large for it are refused.

    Raises
    ------
    UsageError
        `source` is something else, or `target` names no column.
    DataError
        It isn't there, or is not what it should be.
    """
    options = ReadOptions(target, features, drop, delimiter, encoding, header)
    labels: tuple[str, ...] = ()
    if (frame := read_frame(source, options)) is not None:
        return _checked("frame", frame, whole, task, names, dtype)
    source = _text_of(source)
    path = expanded(source)
    refuse(source, path, training=True)
    known = source_of(source, folder, local)
    if known == "mnist":
        name, (arrays, hashes) = source, read_packaged()
        contents = Contents(arrays)
    elif known in DOWNLOADS:
        name, (arrays, hashes) = source, read_published(source, folder)
        contents, labels = Contents(arrays), DOWNLOADS[source].labels
    elif path.is_dir() or (not path.exists() and has_idx_files(path)):
        found = read_idx_folder(path)
        name, hashes, labels = found.name, found.files, found.labels
        instead = f"the folder {source} is read, not the data set of that name"
        contents = Contents(found.arrays, notes=(instead,) * (source in DATA) + found.notes)
    elif (ending := ending_of(path.name)) in FORMATS or (path.is_file() and delimiter is not None):
        content, hashes = read_file(path)
        contents = FORMATS[ending if ending in FORMATS else "csv"](path.name, content, options)
        name = Path(unpacked_name(path.name)).stem
    elif path.exists():
        raise DataError(
            f"{source}: expected a folder of IDX files, or a file ({', '.join(FORMATS)}){AS_TABLE}"
        )
    else:
        near = get_close_matches(source, DATA, n=1) if path.name == source else []
        takes = (
            f"--data takes {', '.join(DATA)}; a folder of IDX files; or a file "
            f"({', '.join(FORMATS)})"
        )
        hint = f"did you mean '{near[0]}'?" if near else takes
        raise DataError(f"{source}: no such file or folder; {hint}")
    require_table(source, contents, options)
    where = path.name if path.is_file() else name  # in errors a file has its ending
    samples = _checked(where, contents, whole, task, names, dtype)
    return replace(samples, name=name, files=hashes, labels=labels, source=known)


def _text_of(source: Source) -> str:
    """Return a name or a path as a text; a UsageError where it is something else."""
    if isinstance(source, str | PathLike):
        return str(source)
    raise UsageError(
        f"source must be a frame, or the name of a data set or a file, got {shown(source)}; arrays "
        "are given to fit(model, x, y)"
    )


def load_samples(
    source: str,
    features: Names = None,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
    header: bool = True,
    content: bytes | None = None,
) -> tuple[HostArray, tuple[str, ...]]:
    """Unlabelled samples to predict, from an .npy, .npz, .csv or IDX file.

    Parameters
    ----------
    source : str
        An .npy file; an .npz with one array, or with samples as `x` or `x_test`; a .csv with a
        header line; or an IDX file of images, gzipped or not.
    features, delimiter, encoding, header
        How a table is read (`files.ReadOptions`); by default every column is a feature.
    content : bytes, optional
        The content of the file, if it was read before; `source` is then a name for messages, and
        the format is found in the content (`format_of`).

    Returns
    -------
    x : numeric array (n, ...)
    notes : tuple of str
        What to tell the user of how the file was read, a line each.

    Raises
    ------
    DataError
        It isn't there, or is not what it should be.
    """
    ending = None
    if content is None:
        path = expanded(source)
        refuse(source, path)
        ending, (content, _) = ending_of(path.name), read_file(path)
    ending = format_of(source, ending, content, delimiter)
    read = FORMATS[ending] if ending in FORMATS else FORMATS_WITHOUT_TARGETS[ending]
    options = ReadOptions(None, features, None, delimiter, encoding, header)
    contents = read(source, content, options)
    require_table(source, contents, options)
    return contents.widened(check_x(contents.arrays["x"], source)), contents.notes


def hold_out(n: int, classes: HostArray | None = None) -> tuple[HostArray, HostArray]:
    """The rows to train on and the rows to test on, where a set comes without a test set.

    Of a fixed random order (seed 0) the first fifth, rounded up, is for the test: the same for
    every run, whatever its seed, so that a model can be evaluated later on the same file.  Of fewer
    than `FEWEST` rows none is held out: all are for training and for the test.

    Parameters
    ----------
    n : int
    classes : integer array (n,), optional
        The class of each row, from 0: a fifth of each is held out (`dataset.divided`), but none of
        a class of one or two rows.
    """
    order = permutation(step_keys(0, Purpose.SPLIT, 1, range(1))[0], n)
    train, test = divided(order, -(-n // 5) if n >= FEWEST else 0, classes)
    return train, test if len(test) else train


def _checked(
    where: str, contents: Contents, whole: bool, task: str | None, names: bool, dtype: str | None
) -> Samples:
    """The data set, if sizes, labels and numbers are in order."""
    arrays, split = contents.arrays, "given"
    if not {"y", "y_train"} & {*arrays}:
        raise UsageError("target must name the column to predict, or several; got none")
    if "x_train" in arrays and not {"x_test", "y_test"} & set(arrays):
        arrays = {key.removesuffix("_train"): array for key, array in arrays.items()}
    if {"x_train", "y_train", "x_test", "y_test"} <= set(arrays):
        x_train, y_train = check_pair(arrays["x_train"], arrays["y_train"], where, "_train")
        x_test, y_test = check_pair(arrays["x_test"], arrays["y_test"], where, "_test")
        check_shapes(where, samples=(x_train, x_test), labels=(y_train, y_test))
        if "f" in (kinds := y_train.dtype.kind + y_test.dtype.kind) and "U" not in kinds:
            both = np.result_type(y_train, y_test)
            y_train, y_test = y_train.astype(both), y_test.astype(both)
        name, why = (task, "") if task else infer(np.concatenate([y_train, y_test]))
        y_train, y_test = (targets_for(name, y, None, names) for y in (y_train, y_test))
        check_names(where, y_train, y_test)
        parts = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    else:
        x, y = check_pair(arrays["x"], arrays["y"], where, "")
        if len(x) < 2 and not whole:
            raise DataError(f"{where}: holds 1 sample; expected at least 2")
        name, why = (task, "") if task else infer(y)
        y, every = targets_for(name, y, contents.written, names), np.arange(len(x))
        train, test = (every, every) if whole else hold_out(len(x), classes_in(y, name))
        parts = {"x": x, "y": y}
        x_train, x_test = contents.widened(x[train]), contents.widened(x[test])
        y_train, y_test = y[train], y[test]
        split = "held out" if len(train) < len(x) else "none"
    if name == "classification":  # labels of any size are names
        parts = {key: array for key, array in parts.items() if key.startswith("x")}
    check_sizes(where, contents, dtype, **parts)
    columns, four = (contents.columns, contents.target), (x_train, y_train, x_test, y_test)
    return Samples(where, *four, {}, *columns, (), name, why, split, contents.notes)
