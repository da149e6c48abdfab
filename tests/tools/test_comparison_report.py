"""What is printed of comparisons: what is wrong, by how much, and in lines that fit a terminal."""

import numpy as np
from helpers import SCRIPTS

from xpnet.builder import mlp
from xpnet.losses import SoftmaxCrossEntropy
from xpnet.tools.comparison_report import table, verdict
from xpnet.tools.formula_file import check_file
from xpnet.tools.gradcheck import check, compare

NOTEBOOK = str(SCRIPTS / "notebook.py")
A = np.asarray([[1.0, -2.0], [0.5, 3.0]])


def test_a_formula_of_zeros_is_named() -> None:
    (found,) = compare(lambda p: np.sum(p["a"] ** 2), lambda p: {"a": 0 * p["a"]}, {"a": A})
    assert verdict([found]) == "wrong: a (the formula gives only zeros)"
    assert table([found]).splitlines()[1].endswith(" -")


def test_a_wrong_length_is_said() -> None:
    (found,) = compare(lambda p: np.sum(p["a"] ** 3), lambda p: {"a": 2 * p["a"] ** 2}, {"a": A})
    told = "wrong: a; all together the direction is off by 0.0°, and its length is 0.667 of the"
    assert verdict([found]).startswith(told)


def test_tables_fit_a_terminal() -> None:
    for _, comparisons in check_file(NOTEBOOK):
        assert max(map(len, table(comparisons).splitlines())) <= 80
    wide = check(mlp(100, 12, 10), SoftmaxCrossEntropy(), samples=1)
    assert max(map(len, table(wide).splitlines())) <= 80
