"""Formulas in a file: wrong ones are found, and what is wrong with a file is said."""

import sys
from pathlib import Path

import pytest
from helpers import SCRIPTS

from xpnet.errors import DataError
from xpnet.tools.formula_file import YIELDED, check_file

NOTEBOOK = str(SCRIPTS / "notebook.py")


def test_the_notebooks_wrong_derivatives_are_found_and_the_others_pass() -> None:
    """Softmax's Jacobian is not diagonal: dL/dz is wrong everywhere, and so is all before it."""
    told = dict(check_file(NOTEBOOK))
    assert len(told) == 14
    for title, comparisons in told.items():
        if title.startswith(("(a)", "(b)", "(c1)")):
            for c in comparisons:
                assert len(c.wrong) == c.formula.size, title
                assert c.error > 0.1
            if title.endswith("dL/dz"):
                assert comparisons[0].angle > 10
        else:
            assert max(c.error for c in comparisons) < 1e-7, title
            assert not any(c.wrong for c in comparisons)


FILES = {
    "": "has no function gradchecks",
    "x = 1 / 0": "line 1: ZeroDivisionError",
    "x = (": r"mine.py, line 1: SyntaxError: '\(' was never closed$",
    "gradchecks = 3": "has no function gradchecks",
    "def gradchecks():\n    yield 1": f"yields int; expected {YIELDED}",
    "def gradchecks():\n    yield 't', abs, abs": r"yields \(str, builtin_function_or_method, bu",
    "def gradchecks():\n    yield 't', abs, abs, [1.0]": f"method, list\\); expected {YIELDED}",
    "def gradchecks():\n    yield 't', abs, 2, {'a': 2.0}": r"od, int, dict of float\); expected",
    "def gradchecks():\n    yield 't', abs, abs, {'a': 2.0}": "dict of float",
    "def gradchecks():\n    yield 'four'": "yields str; expected",
    "def gradchecks():\n    return 't', abs, 2, {}": f"returns .*expected it to yield {YIELDED}",
    "def gradchecks():\n    pass": "returns NoneType; expected it to yield",
    "def gradchecks():\n    yield 't', abs, abs, {}\n": "TypeError",
    "def gradchecks():\n    return []": "yields nothing",
    "raise SystemExit(3)": "line 1: SystemExit",
    "def gradchecks():\n    yield 't', lambda p: 1.0, lambda p: {}, {}": "no array is given",
    "import numpy as np\ndef gradchecks():\n"
    "    yield 't', lambda p: p['a'], lambda p: {'b': 1.0}, {'a': np.asarray(1.0)}": "one for each",
    "import numpy as np\ndef gradchecks():\n"
    "    yield 't', lambda p: p['a'], lambda p: p['a'], {'a': np.asarray(1.0)}": "a dict of arrays",
    "import numpy as np\ndef gradchecks():\n"
    "    yield 't', lambda p: None, lambda p: p, {'a': np.asarray(1.0)}": "object; expected one",
    "import numpy as np\ndef gradchecks():\n"
    "    yield 't', lambda p: p['a'] * np.inf, lambda p: p, {'a': np.asarray(1.0)}": "loss is inf",
    "import numpy as np\ndef gradchecks():\n"
    "    yield 't', lambda p: p['a'].sum(), lambda p: p, {'a': np.zeros(0)}": "has no elements",
    "import numpy as np\ndef gradchecks():\n"
    "    yield 't', lambda p: p['a'], lambda p: p, {'a': np.zeros(2)}": "expected one number",
}


@pytest.mark.parametrize("code", FILES)
def test_a_file_that_is_wrong_is_named_with_the_line(code: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(code, encoding="utf-8")
    with pytest.raises(DataError, match=FILES[code]) as caught:
        list(check_file(str(file)))
    assert "mine.py" in str(caught.value)


def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "own_network.py").write_text("SLOPE = 2.0", encoding="utf-8")
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\nfrom own_network import SLOPE\ndef gradchecks():\n"
        "    yield 't', lambda p: SLOPE * p['a'], lambda p: {'a': SLOPE}, {'a': np.asarray(1.0)}",
        encoding="utf-8",
    )
    before = [*sys.path]
    ((title, (comparison,)),) = check_file(str(file))
    assert (title, comparison.wrong) == ("t", [])
    assert sys.path == before


def test_no_file() -> None:
    with pytest.raises(DataError, match="no such file"):
        list(check_file("gone.py"))
    with pytest.raises(DataError, match="is a folder; expected a Python file with gradchecks"):
        list(check_file("."))
