"""CSV files as people have them: what is read, and what is refused with all faults at once."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import csv_file

from xpnet.data import csv_files
from xpnet.data.sources import load, load_samples
from xpnet.errors import DataError, UsageError

INDEX = "left out: the first column, which has no name (an index)"
GRID = [f"{i}x{j}" for i in (1, 2) for j in (1, 2, 3)]
# Content; options; x, y, features; notes.
READ: dict[str, tuple[str | bytes, dict[str, Any], list, list, list[str], list[str]]] = {
    "semicolons": ("a;b;label\n1;2;x\n", {}, [[1, 2]], ["x"], ["a", "b"], []),
    "tabs": ("a\tb\tlabel\n1\t2\tx\n", {}, [[1, 2]], ["x"], ["a", "b"], []),
    "delimiter": ("a|label\n1|x\n", {"delimiter": "|"}, [[1]], ["x"], ["a"], []),
    "delimiter-tab": ("a\tlabel\n1\tx\n", {"delimiter": "tab"}, [[1]], ["x"], ["a"], []),
    "delimiter-of-two": ("a;b,label\n7,1\n", {"delimiter": ","}, [[7]], [1], ["a;b"], []),
    "hint-of-spreadsheets": ("sep=|\na|label\n1|x\n", {}, [[1]], ["x"], ["a"], []),
    "comma-in-a-name": (
        "a, cm;label\n1,5;2,5\n",
        {},
        [[1.5]],
        [2.5],
        ["a, cm"],
        ['decimal commas in "a, cm", label: 1,5 is 1.5'],
    ),
    "decimal-commas": (
        "a;b;label\n1,5;-,25;x\n3;+4,e1;y\n",
        {},
        [[1.5, -0.25], [3, 40]],
        ["x", "y"],
        ["a", "b"],
        ["decimal commas in a, b: 1,5 is 1.5"],
    ),
    "decimal-commas-and-tabs": (
        "a\tlabel\n1,5\t2,5\n3\t4\n",
        {},
        [[1.5], [3]],
        [2.5, 4],
        ["a"],
        ["decimal commas in a, label: 1,5 is 1.5"],
    ),
    "decimal-commas-to-predict": (
        "a;label\n1;2,5\n3;4\n",
        {},
        [[1], [3]],
        [2.5, 4],
        ["a"],
        ["decimal commas in label: 2,5 is 2.5"],
    ),
    "commas-in-classes": (
        "a;label\n1,5;x, y\n3;4.5\n",
        {},
        [[1.5], [3]],
        ["x, y", "4.5"],
        ["a"],
        ["decimal commas in a: 1,5 is 1.5"],
    ),
    "thousands-or-decimals": (
        "a;label\n1,234;x\n12;y\n",
        {},
        [[1.234], [12]],
        ["x", "y"],
        ["a"],
        ["decimal commas in a: 1,234 is 1.234"],
    ),
    "truth": (
        "a,label\nTrue,x\nFALSE,y\ntrue,x\n",
        {},
        [[1], [0], [1]],
        ["x", "y", "x"],
        ["a"],
        [],
    ),
    "truth-to-predict": (
        "a,label\n1,True\n2,False\n",
        {},
        [[1], [2]],
        ["True", "False"],
        ["a"],
        [],
    ),
    "index": (",a,label\n7,1,x\n3,2,y\n", {}, [[1], [2]], ["x", "y"], ["a"], [INDEX]),
    "index-written-twice": ("Unnamed: 0,a,label\n7,1,x\n", {}, [[1]], ["x"], ["a"], [INDEX]),
    "points-and-semicolons": (
        "a;label\nTrue;2.5\nFalse;4\n",
        {},
        [[1], [0]],
        [2.5, 4],
        ["a"],
        [],
    ),
    "index-of-arrow": (
        "a,label,__index_level_0__\n1,x,7\n",
        {},
        [[1]],
        ["x"],
        ["a"],
        ["left out: the index"],
    ),
    "gaps-that-are-classes": (
        "a,label\n1,NA\n2,x\n",
        {},
        [[1], [2]],
        ["NA", "x"],
        ["a"],
        ["taken for classes: NA"],
    ),
    "indexes": (
        "Unnamed: 0.1,Unnamed: 0,,a,label\n7,1,2,3,x\n",
        {},
        [[3]],
        ["x"],
        ["a"],
        ["left out: the first 3 columns, which have no name (an index)"],
    ),
    "long-text": (
        "a,note,label\n1," + "x" * 200_000 + ",x\n",
        {"drop": "note"},
        [[1]],
        ["x"],
        ["a"],
        ["left out: note"],
    ),
    "no-header-features": (
        "1,2,3\n4,5,6\n",
        {"header": False, "target": "0", "features": "2,1"},
        [[3, 2], [6, 5]],
        [1, 4],
        ["2 of 3", "1 of 3"],
        [],
    ),
    "index-that-is-wanted": (
        "Unnamed: 0,a,label\n7,1,x\n",
        {"features": "Unnamed: 0,a"},
        [[7, 1]],
        ["x"],
        ["Unnamed: 0", "a"],
        [],
    ),
    "mark-and-encoding": (
        "\ufeffa,label\n1,ü\n",
        {"encoding": "utf-8"},
        [[1]],
        ["ü"],
        ["a"],
        [],
    ),
    "index-of-names": (
        '"","a","label"\n"Fiat X",5.1,"x, z"\n"2",3,"y ""u"""\n',
        {},
        [[5.1], [3]],
        ["x, z", 'y "u"'],
        ["a"],
        [INDEX],
    ),
    "names-are-numbers": (
        "0,1,2\n5,6,0\n7,8,1\n",
        {"target": "2"},
        [[5, 6], [7, 8]],
        [0, 1],
        ["0", "1"],
        ["line 1 is taken for the names of the columns: 0, 1, 2"],
    ),
    "names-are-years": ("label,2020,2019\nx,6,0\n", {}, [[6, 0]], ["x"], ["2020", "2019"], []),
    "target-with-a-comma": (
        'a,"height, cm"\n1,2.5\n',
        {"target": "height, cm"},
        [[1]],
        [2.5],
        ["a"],
        [],
    ),
    "targets-one-with-a-comma": (
        'a,"height, cm",w\n1,2.5,3\n',
        {"target": '"height, cm", w'},
        [[1]],
        [[2.5, 3]],
        ["a"],
        [],
    ),
    "targets-in-a-list": ("a,b,c\n1,2,3\n", {"target": ["c", "a"]}, [[2]], [[3, 1]], ["b"], []),
    "drop": (
        "id,a,on,label\nx1,1,2020-01-02,x\nx2,2,,y\n",
        {"drop": "id, on"},
        [[1], [2]],
        ["x", "y"],
        ["a"],
        ["left out: id, on"],
    ),
    "features": (
        'id,a,b,label\n"x""1",1,2,x\n',
        {"features": "b,a"},
        [[2, 1]],
        ["x"],
        ["b", "a"],
        ["left out: id"],
    ),
    "no-header": (
        "5.1,3.5,setosa\n4.9,3,other\n",
        {"header": False, "target": "2"},
        [[5.1, 3.5], [4.9, 3]],
        ["setosa", "other"],
        ["0 of 3", "1 of 3"],
        [],
    ),
    "grid-of-pixels": (
        f"label,{','.join(GRID)}\n1,255,0,3,4,5,6\n",
        {},
        [[[255, 0, 3], [4, 5, 6]]],
        [1],
        GRID,
        [],
    ),
    "utf-16": ("größe,label\n1,ü\n".encode("utf-16"), {}, [[1]], ["ü"], ["größe"], []),
    "latin-1": (
        "größe,label\n1,ü\n".encode("latin-1"),
        {"encoding": "latin-1"},
        [[1]],
        ["ü"],
        ["größe"],
        [],
    ),
    "gzipped": (gzip.compress(b"a,label\n1,x\n"), {}, [[1]], ["x"], ["a"], []),
    "lines-in-quotes": (
        'a,note,label\n1,"x\ny",x\n2,z,y\n',
        {"drop": "note"},
        [[1], [2]],
        ["x", "y"],
        ["a"],
        ["left out: note"],
    ),
    "quote-within": (
        'a,note,label\n1,3" pipe,x\n',
        {"drop": "note"},
        [[1]],
        ["x"],
        ["a"],
        ["left out: note"],
    ),
}


@pytest.mark.parametrize("case", READ)
def test_a_table_is_read(tmp_path: Path, case: str) -> None:
    content, options, x, y, columns, notes = READ[case]
    samples = load(csv_file(tmp_path, content), whole=True, **options)
    assert samples.x_test.tolist() == x
    assert samples.y_test.tolist() == y
    assert samples.columns == (*columns,)
    assert samples.notes == (*notes,)


REFUSED: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "value-behind-quotes": ('a,label\n"1"2,0\n3,1\n', {}, "line 2: a value goes on"),
    "text-behind-quotes": ('a,label\n1,0\n3,"x"y\n', {}, "line 3: a value goes on"),
    "zero-byte": ("a,label\n1,x\n3,x\0\n", {}, "line 3 has a zero byte: .* --encoding utf-16-le"),
    "zero-byte-unused": ("a,b,label\n1,x\0,x\n", {"features": "a"}, "line 2 has a zero byte"),
    "open-quote-unused": (
        'a,note\n1,ok\n2,"abc\n3,x\n4,y\n',
        {"target": None, "features": ("a",)},
        "line 3: a quote is not closed",
    ),
    "long-open-quote": (
        'a,label\n1,2\n3,"' + "x" * 200_000 + "\n",
        {},
        "line 3: a quote is not closed",
    ),
    "points-to-predict": (
        "a;label\n1,5;1.500\n2;2.75\n",
        {},
        "line 2: column 'label' is '1.500', with a point, and column 'a' has decimal commas",
    ),
    "no-near-name": (
        "income,label\n1,2\n",
        {"drop": "nope"},
        "'nope' to leave out; it has income,",
    ),
    "long-name": ("é" * 99 + ",label\n1,2\n", {"drop": "b"}, "it has é{40}, label"),
    "gap-among-numbers-to-predict": (
        "a,label\n1,0\n2,NA\n",
        {},
        "line 3: column 'label' is NA: no v",
    ),
    "one-long-line": (
        "a,label\n1,2\n3,4,5\n",
        {},
        "line 3 has 3 values; expected 2, one for each column$",
    ),
    "numbers-without-the-columns": (
        "1,2\n3,4\n",
        {"target": None, "features": ("a", "b")},
        "(?s)has no columns a, b that the model takes; .*if it is a row: --no-header",
    ),
    "no-header-of-another-width": (
        "1,2\n3,4\n",
        {"target": None, "features": ("1 of 3",), "header": False},
        "without header, a file has all columns as in training, or the features",
    ),
    "target-among-features": (
        "a,b\nx,y\n",
        {"target": "b", "features": "a,b"},
        "(?s)and a feature; (?!.*'y')",
    ),
    "line-after-lines": (
        'a,note,label\n1,"x\ny",x\nz,ok,y\n',
        {"drop": "note"},
        "line 4: column 'a' is 'z'; expected a number",
    ),
    "taken-and-dropped": (
        "a,b,label\n1,2,3\n",
        {"features": "a,b", "drop": "b"},
        "column 'b' is to be taken and left out",
    ),
    "empty-rows": (
        "a,b\n1,2\n,\n3,4\n,\n",
        {"target": "b"},
        r"line 3 \(and 1 more\) has no values; remove",
    ),
    "names-of-rows": (
        'a,label\n"1",2,x\n',
        {},
        "line 2 has 3 values; expected 2.* those of R, n",
    ),
    "big-endian": ("a,label\n1,2\n".encode("utf-16-be"), {}, "zero byte: .* --encoding utf-16-be"),
    "truth-and-numbers": (
        "a,label\nTRUE,x\n1,y\n",
        {},
        "line 2: column 'a' is 'TRUE'; expected a number",
    ),
    "index-in-the-middle": ("a,,label\n1,2,x\n", {}, "column 2 has no name; .* by --features$"),
    "trailing-delimiter": ("a,label,\n1,x,\n", {}, "column 3 has no name"),
    "two-names": ("a,a,label\n1,2,x\n", {}, "two columns are named 'a'"),
    "numbers-without-target": (
        "1,2\n3,4\n",
        {},
        "(?s)no column 'label'.*if it is a row: --no-header",
    ),
    "row-for-names": ("5.1,3.5,setosa\n4.9,3,x\n", {}, "line 1 holds numbers; .* say --no-header"),
    "row-with-a-negative": ("-1,2\n3,4\n", {}, "line 1 holds numbers alone"),
    "row-of-pixels": ("7,0,0,3\n1,0,0,2\n", {}, "line 1 holds numbers alone; .* say --no-header"),
    "no-header-no-target": (
        "5.1,3\n4.9,3\n",
        {"header": False},
        "which column .* as by --target 4",
    ),
    "no-header-names": ("5.1,x\n4.9,y\n", {"header": False}, "which column is to be predicted"),
    "two-delimiters": (
        "a;b,label\n1;2,5\n",
        {},
        "has commas and semicolons, .* by --delimiter ';'",
    ),
    "other-delimiter": (
        "a|b|label\n1|2|x\n",
        {},
        "if something else separates columns, name it, as by --delim",
    ),
    "point-among-commas": (
        "a;b;label\n1,5;2;x\n1;2.000;y\n",
        {},
        "line 3: column 'b' is '2.000', with a point, and column 'a' has decimal commas",
    ),
    "point-among-commas-to-predict": (
        "a;label\n1.5;2\n1;2,5\n",
        {},
        "line 2: column 'a' is '1.5', with a point, and column 'label'",
    ),
    "latin-1": (
        "a,größe\n1,2\n".encode("latin-1"),
        {},
        "line 1 is not UTF-8; .* by --encoding latin-1",
    ),
    "cut-utf-16": ("a,label\n1,2\n".encode("utf-16")[:-1], {}, "is not UTF-16"),
    "encoding": (
        "a,label\n1,2\n",
        {"encoding": "klingon"},
        "no encoding 'klingon'; --encoding takes",
    ),
    "cut-gzip": (
        gzip.compress(b"a,label\n1,2\n")[:-9],
        {},
        "its gzip data is damaged or truncated",
    ),
    "workbook": (b"PK\3\4", {}, "is a packed file .*; save the table as CSV"),
    "dropped-target": (
        "a,label\n1,2\n",
        {"drop": "label"},
        "'label' is to be predicted and left out",
    ),
    "no-such-drop": (
        "name,label\n1,2\n",
        {"drop": "nam"},
        "no column 'nam' to leave out, did you mean",
    ),
    "no-such-features": (
        "a,label\n1,2\n",
        {"features": "b,c"},
        "no columns b, c to take; it has a, l",
    ),
    "gap-before-text": ("a,label\nNA,x\nfoo,y\n", {}, "line 3: column 'a' is 'foo'; expected a"),
    "names-in-a-row": (
        "0.1,0.5\n0.2,0.3\n",
        {"target": None},
        "line 1 holds numbers alone; .*--no-h",
    ),
    "encoding-of-no-text": ("a,label\n1,2\n", {"encoding": "undefined"}, "no encoding 'undefined'"),
    "encoding-with-zero": ("a,label\n1,2\n", {"encoding": "a\0b"}, "there is no encoding 'a"),
    "surrogates": ("a,label\n1,\\ud800\n", {"encoding": "unicode_escape"}, "there is no encoding"),
    "gap-of-r": ("a,label\n1,x\nNA,y\n", {}, "line 3: column 'a' has no value"),
    "gap-at-the-end": ('a\n1\n""\n', {"target": None}, "line 3: column 'a' has no value"),
    "gap-of-one-column": (
        "a\n1\n\n3\n4\n",
        {"target": None},
        "line 3: column 'a' has no value; fill it in or leave",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_is_refused_in_words(tmp_path: Path, case: str) -> None:
    content, options, message = REFUSED[case]
    path = csv_file(tmp_path, content)
    if options.get("target", "") is None:
        options = {name: options[name] for name in options if name != "target"}
        with pytest.raises(DataError, match=message):
            load_samples(path, **options)
    else:
        with pytest.raises(DataError, match=message):
            load(path, **options)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path,
        'id,name,age,a,label\n1,Bob,22,1,x\n2,"Ann, B",,2,y\n3,Cy,inf,3,\n4,Di,30\n5,Ed,,0,x\n',
    )
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(caught.value).split("\n  ") == [
        "table.csv: has 5 faults",
        "line 5 has 3 values; expected 5, one for each column",
        "line 2 (and 3 more): column 'name' is 'Bob'; expected a number",
        "line 3 (and 1 more): column 'age' has no value; fill it in or leave the row out",
        "line 4: column 'age' is inf; expected a finite number",
        "line 4: column 'label' has no value; fill it in or leave the row out",
        "to leave these columns out: --drop name,age",
    ]
    with pytest.raises(DataError) as caught:
        load(path, target="nam", drop="age,ide")
    assert str(caught.value).split("\n  ")[1:] == [
        "has no column 'nam' to predict, did you mean 'name'? it has id, name, age, a, label",
        "has no column 'ide' to leave out, did you mean 'id'? it has id, name, age, a, label",
        "line 5 has 3 values; expected 5, one for each column",
        "columns that are no numbers: name, label; one of them may be the target, and --drop "
        "leaves out others",
    ]
    assert str(caught.value).startswith("table.csv: has 3 faults\n")


def test_faults_of_quotes_do_not_hide_others(tmp_path: Path) -> None:
    path = csv_file(tmp_path, 'a,b,label\n1,"1"2,0\n3,"x"y,1\n4,t,1\n5,,0\n6,7,"1\n')
    with pytest.raises(DataError) as caught:
        load(path)
    lines = str(caught.value).split("\n  ")
    assert [line.partition(":")[0] for line in lines[1:5]] == [
        "line 2",
        "line 3",
        "line 6",
        "line 4",
    ]
    assert len(lines) == 6
    with pytest.raises(DataError) as caught:
        load(csv_file(tmp_path, 'a,label\n"x\ny"z,1\n"q"r,2\n'))
    assert [line.split(":")[0] for line in str(caught.value).split("\n  ")[1:]] == [
        "line 2",
        "line 4",
    ]


def test_of_many_faults_some_are_told(tmp_path: Path) -> None:
    names = ",".join(f"c{i}" for i in range(40))
    with pytest.raises(DataError) as caught:
        load(csv_file(tmp_path, f"{names},label\n" + "x," * 40 + "1\n"))
    lines = str(caught.value).split("\n  ")
    assert lines[0] == "table.csv: has 40 faults"
    assert len(lines) == 11
    assert lines[-2:] == [
        "and 32 more",
        "to leave these columns out: name those to take by --features",
    ]


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n"])
def test_a_delimiter_is_one_character(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(UsageError, match="delimiter must be one character, or tab, got"):
        load(csv_file(tmp_path, "a,label\n1,2\n"), delimiter=delimiter)


def test_rows_in_and_samples_out_are_as_many(tmp_path: Path) -> None:
    """Blank lines are no rows; a value of several lines is one."""
    path = csv_file(tmp_path, 'a,note\n\n1,"x\n\ny"\n \n2,\n\n3,z\n\n')
    assert load_samples(path, ("a",))[0].tolist() == [[1], [2], [3]]
    assert load_samples(csv_file(tmp_path, "a\n1\n2\n\n\n"))[0].tolist() == [[1], [2]]


def test_names_that_count_are_no_row_to_predict(tmp_path: Path) -> None:
    for names in ("0,1", "1,2"):
        assert load_samples(csv_file(tmp_path, f"{names}\n5,6\n"))[0].tolist() == [[5, 6]]


def test_columns_without_header_are_found_by_number_or_order(tmp_path: Path) -> None:
    """Of a model that was trained on columns 1 and 2, with the label in column 0."""
    both, features = csv_file(tmp_path, "9,5,6\n9,7,8\n"), ("1 of 3", "2 of 3")
    assert load_samples(both, features, header=False)[0].tolist() == [[5, 6], [7, 8]]
    with pytest.raises(DataError, match="has no columns a, b that the model takes"):
        load_samples(both, ("a", "b"), header=False)
    unordered = "3 of 5", "0 of 5", "1 of 5"
    assert load_samples(both, unordered, header=False)[0].tolist() == [[6, 9, 5], [8, 9, 7]]
    with pytest.raises(DataError, match="has no columns 1 of 4, 2 of 4 that the model takes"):
        load_samples(both, ("1 of 4", "2 of 4"), header=False)
    with pytest.raises(DataError, match="has no columns 1, 2 that the model takes"):
        load_samples(both, ("1", "2"), header=False)
    alone = csv_file(tmp_path, "5,6\n7,8\n")
    assert load_samples(alone, features, header=False)[0].tolist() == [[5, 6], [7, 8]]
    assert load_samples(alone, ("a", "b"), header=False)[0].tolist() == [[5, 6], [7, 8]]


def test_without_header_the_first_column_is_the_label_of_pixels(tmp_path: Path) -> None:
    rows = "".join(f"{label},{','.join(['7'] * 64)}\n" for label in (3, 4))
    samples = load(csv_file(tmp_path, rows), header=False, whole=True)
    assert samples.y_test.tolist() == [3, 4]
    assert (samples.x_test.shape, samples.x_test.dtype) == ((2, 8, 8), np.uint8)
    assert samples.target == ("0 of 65",)
    assert samples.notes == ("column 0 is predicted; --target N takes another",)


def test_kinds_of_values_are_found_in_all_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text far down makes a text of every value; the first that is no number is named."""
    monkeypatch.setattr(csv_files, "ROWS", 2)
    content = 'a,b,"label"\n' + "1,2.5,x\n" * 5 + "3,z,y\n" + "True,1,x\n"
    with pytest.raises(DataError) as caught:
        load(csv_file(tmp_path, content))
    assert "line 8: column 'a' is 'True'; expected a number" in str(caught.value)
    assert "line 7: column 'b' is 'z'; expected a number" in str(caught.value)
    with pytest.raises(DataError, match="line 4: column 'a' is 'True'; expected a number"):
        load(csv_file(tmp_path, 'a,label\n1,x\n"2",x\nTrue,y\n'))
    good = load(csv_file(tmp_path, content.replace("z", "-7").replace("True", "4")), whole=True)
    assert good.x_test.tolist() == [[1, 2.5]] * 5 + [[3, -7], [4, 1]]


def test_options_of_tables_are_refused_for_other_data(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, x=np.ones((4, 2)), y=np.arange(4) % 2)
    for name, value in {
        "drop": "a",
        "features": "b",
        "delimiter": ";",
        "encoding": "utf-8",
    }.items():
        with pytest.raises(UsageError, match=f"--{name} has no effect: .*set.npz is no table"):
            load(str(path), **{name: value})
    with pytest.raises(UsageError, match="--no-header has no effect"):
        load(str(path), header=False)
    assert load(str(path), features=("a", "b"), whole=True).x_test.shape == (4, 2)
    with pytest.raises(UsageError, match="--delimiter has no effect"):
        load_samples(str(path), delimiter=";")


@pytest.mark.parametrize(
    ("file", "name"),
    [("TABLE.CSV", "TABLE"), ("my.table.tsv", "my.table"), ("table.csv.gz", "table")],
)
def test_the_name_of_a_table_is_its_files_without_ending(tmp_path, file: str, name: str) -> None:
    path = tmp_path / file
    content = b"a,label\n1,2\n3,4\n"
    path.write_bytes(gzip.compress(content) if file.endswith(".gz") else content)
    samples = load(str(path), whole=True)
    assert samples.name == name
    assert samples.x_test.tolist() == [[1], [3]]
