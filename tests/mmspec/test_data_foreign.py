"""What other programs write: kinds of files, marks between cells, numbers, true and false."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from data_case import source, spec

from mmspec.data import dataset, endings, files, numerals, registry
from mmspec.data.dataset import Dataset
from mmspec.data.encode import frames, image, table, target, tokens, video
from mmspec.diagnostics import Diagnostic, MmspecError


def problem(call: Callable[[], Any]) -> Diagnostic:
    """The one thing that is told."""
    with pytest.raises(MmspecError) as error:
        call()
    (told,) = error.value.diagnostics
    return told


ROWS: Final = [["name", "label"], ['a "b", c', "x;y"], ["007", "NA"], ["two\nlines", ""]]


def ran(folder: Path, advice: str) -> None:
    """Do what is advised, as a shell or Python."""
    python = "in Python: "
    if advice.startswith(python):
        code = f"import json, numpy; {advice.removeprefix(python)}"
        subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
        return
    command = advice.removeprefix("it is JSON lines: ").replace("python ", f"{sys.executable} ")
    subprocess.run(["bash", "-c", command], cwd=folder, check=True)


@pytest.mark.parametrize("mark", ["\t", ";", "|"])
def test_other_marks_between_cells_are_told_with_what_helps(mark: str, tmp_path: Path) -> None:
    path = tmp_path / "my rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=mark).writerows(ROWS)
    told = problem(lambda: registry.load(str(path), spec("text")))
    assert told.code == "MM502" and "my rows.csv:1" in told.message and ascii(mark) in told.message
    ran(tmp_path, told.help)
    with (tmp_path / "my rows-commas.csv").open(newline="") as file:
        assert [*csv.reader(file)] == ROWS


def test_what_says_its_mark_is_no_header(tmp_path: Path) -> None:
    for mark in ",;":
        (tmp_path / "rows.csv").write_text(f"sep={mark}\ntext{mark}label\na{mark}b\n")
        told = problem(lambda: registry.load(str(tmp_path / "rows.csv"), spec("text")))
        assert told.code == "MM502" and told.help == "remove this line"


KINDS: Final = (
    *(".tsv", ".tab", ".json", ".ndjson", ".jsonlines", ".parquet", ".feather", ".xlsx", ".gz"),
    *(".txt", ".yaml", ".npy", ""),
)


@pytest.mark.parametrize("ending", KINDS)
def test_a_manifest_of_another_kind_is_told_what_is_read(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"my rows{ending.upper() if ending == '.tab' else ending}"
    path.write_bytes(b"\x93\xff")
    told = problem(lambda: registry.load(str(path), spec("text")))
    assert told.code == "MM502" and "(.csv)" in told.message and "(.jsonl)" in told.message
    assert path.suffix in told.message and told.help
    helps = {
        ".parquet": "read_parquet",
        ".feather": "read_feather",
        ".xlsx": "CSV",
        ".gz": "unpack",
    }
    assert helps.get(ending, "") in told.help
    if ending in (".txt", ".yaml", ".npy", ""):
        assert "CSV with a header" in told.help


def test_what_is_advised_makes_manifests(tmp_path: Path) -> None:
    rows = [{"text": "a\u00e9", "label": "x"}, {"text": "007", "label": None}]
    (tmp_path / "my rows.json").write_text(json.dumps(rows, indent=1))
    (tmp_path / "others.ndjson").write_text("\n".join(map(json.dumps, rows)))
    with (tmp_path / "tabs.tsv").open("w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows(
            [["text", "label"], ["a\u00e9", "x"], ["007", ""]]
        )
    (tmp_path / "list.jsonl").write_text(json.dumps(rows, indent=1))
    made = {
        "my rows.json": "my rows.jsonl",
        "others.ndjson": "others.jsonl",
        "tabs.tsv": "tabs.csv",
        "list.jsonl": "list-lines.jsonl",
    }
    for name, new in made.items():
        ran(
            tmp_path,
            problem(partial(registry.load, str(tmp_path / name), spec("text"))).help,
        )
        found = registry.load(str(tmp_path / new), spec("text"))
        assert [*found.columns["text"]] == ["a\u00e9", "007"]
        assert [*found.columns["label"]] == ["x", None]


VALUES: Final = [[1.5, -2.0], [3.25, 4.0]]
ARRAYS: Final = {
    "a.tsv": "1.5\t-2\n3.25\t4\n",
    "a.txt": "1.5 -2\n3.25 4\n",
    "a.json": json.dumps(VALUES),
    "a.jsonl": "\n".join(map(json.dumps, VALUES)),
}
MARKED: Final = {";": "1,5;-2\n3,25;4\n", "\t": "1.5\t-2\n3.25\t4\n", "|": "1.5|-2\n3.25|4\n"}


@pytest.mark.parametrize("name", [*ARRAYS, *MARKED, "a.parquet", "a.npz", "a.mat"])
def test_numbers_of_another_kind_are_told_what_helps(name: str, tmp_path: Path) -> None:
    path = tmp_path / (f"my {name}" if name.startswith("a.") else "my.csv")
    path.write_text(ARRAYS.get(name) or MARKED.get(name, "PAR1"))
    told = problem(lambda: files.array(path))
    assert told.code == "MM501" and str(path) in told.message and "numpy.save" in told.help
    if name in ARRAYS or name in MARKED:
        ran(tmp_path, told.help)
        assert np.load(path.with_suffix(".npy")).tolist() == VALUES


@pytest.mark.parametrize(
    "content", ["x;y\n1,5;2,5\n", "x;y\n1;2\n", "1;2;3\n4;5;6\n", "1,5;2\n", "x\ty\n1\t2\n"]
)
def test_marks_are_told_wherever_the_reading_stops(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(content)
    mark = "delimiter='\\t'" if "\t" in content else "delimiter=';'"
    assert mark in problem(lambda: files.array(tmp_path / "a.csv")).help


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1,5", "1.5"),
        (" -1,25 ", "-1.25"),
        ("1.234,5", "1234.5"),
        ("1,234.5", "1234.5"),
        ("1.234.567,5", "1234567.5"),
        ("1,234,567", "1234567"),
        ("1.234.567", "1234567"),
        ("1,234", "1.234 (or 1234)"),
        ("1 000", "1000"),
        ("1\u00a0000,5", "1000.5"),
        ("1'000", "1000"),
        ("1_000", "1000"),
        ("\u22122", "-2"),
        ("1,5e3", "1.5e3"),
        ("1,2,3", ""),
        ("1.5", ""),
        ("a,b", ""),
        (",", ""),
        ("", ""),
        ("x", ""),
        ("nan,", ""),
    ],
)
def test_what_people_mean_by_a_number(text: str, meant: str) -> None:
    advice = numerals.remedy(text)
    assert advice.startswith(f"write {meant}: ") if meant else not advice


def test_a_decimal_comma_is_told_in_every_kind_of_cell(tmp_path: Path) -> None:
    cell = {"facts": "{kind: table, columns: {age: number, side: {categories: 2}}}"}
    wanted = spec(other=cell, head="y: {from: joint, kind: regressor, outputs: 1}")
    (tmp_path / "a.csv").write_text('age,side,y\n"1,5",l,1\n2,r,"2,5"\n3,l,3\n')
    lines = [
        {"facts": {"age": "1,5", "side": "l"}, "y": 1},
        {"facts": {"age": 2, "side": "r"}, "y": "2,5"},
        {"facts": {"age": 3, "side": "l"}, "y": 3},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for name, first in (("a.csv", 2), ("a.jsonl", 1)):
        told = problem(partial(encoded, tmp_path / name, wanted))
        assert told.where == f"{name}:{first}, column `facts`" and "write 1.5:" in told.help
        text = (tmp_path / name).read_text().replace("1,5", "1.5")
        (tmp_path / name).write_text(text)
        told = problem(partial(encoded, tmp_path / name, wanted))
        assert told.where == f"{name}:{first + 1}, column `y`" and "write 2.5:" in told.help
        assert "2 numbers, the head 1 output" in told.message
    (tmp_path / "b.csv").write_text('"1,5","2,5"\n"3,5","4,5"\n')
    assert "write 1.5:" in problem(lambda: files.array(tmp_path / "b.csv")).help


def encoded(path: Path, wanted: Any) -> Dataset:
    return dataset.encode(registry.load(str(path), wanted), wanted)


def test_a_decimal_comma_that_parts_two_cells_is_thought_of(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,5,2,5,3,5\n" * 2)
    told = problem(lambda: frames.encode(PART["motion"], files.array(tmp_path / "a.csv")))
    assert "array [2, 6], expected [frames, 3]" in told.message and "point" in told.help
    (tmp_path / "rows.csv").write_text("age,side,label\n1,5,left,a\n")
    told = problem(lambda: registry.load(str(tmp_path / "rows.csv"), spec("facts")))
    assert "4 cells under 3 columns" in told.message and "point" in told.help


@pytest.mark.parametrize("text", ["1,5 2,5", "1,5;2,5", "1,5  2"])
def test_decimal_commas_of_several_numbers(text: str) -> None:
    told = problem(lambda: target.regressed(2, text))
    assert told.code == "MM505" and "write 1.5:" in told.help
    assert target.regressed(2, "1, 5").tolist() == [1, 5], "as many as there are outputs"


PART: Final = dict[str, Any](spec("text", "image", "clip", "audio", "motion", "facts").modalities)
SMALL: Final[Any] = spec(other={"text": "{kind: tokens, vocab: 7, length: {max: 5}}"}).modalities[
    "text"
]
TRUTH: Final[dict[str, Callable[[], Any]]] = {
    "a number of a table": lambda: table.encode(PART["facts"], {}, {"age": True, "side": 0}),
    "one of numpy's": lambda: table.encode(PART["facts"], {}, {"age": np.True_, "side": 0}),
    "a number as text": lambda: table.encode(PART["facts"], {}, {"age": "true", "side": 0}),
    "a target": lambda: target.regressed(1, True),
    "a target of several": lambda: target.regressed(2, [1.5, True]),
    "a target as text": lambda: target.regressed(1, "true"),
    "targets": lambda: target.regressed(2, np.array([True, False])),
    "features": lambda: frames.encode(PART["motion"], [[1, 2, 3], [4, True, 6]]),
    "features alone": lambda: frames.encode(PART["motion"], [[True, False, True]]),
    "features of sound": lambda: frames.encode(PART["audio"], [[True] * 13]),
    "an array of features": lambda: frames.encode(PART["motion"], np.ones((2, 3), bool)),
    "ids of tokens": lambda: tokens.encode(SMALL, [1, True]),
    "a text": lambda: tokens.encode(SMALL, True),
    "a picture in a list": lambda: image.encode(PART["image"], [[0, 1], [1, True]]),
    "a picture": lambda: image.encode(PART["image"], True),
    "a video in a list": lambda: video.encode(PART["clip"], [[[[True] * 3] * 6] * 4]),
    "a table": lambda: table.encode(PART["facts"], {}, True),
}


@pytest.mark.parametrize("what", TRUTH)
def test_true_and_false_are_no_numbers(what: str) -> None:
    assert problem(TRUTH[what]).code == "MM505"


def test_arrays_of_true_and_false_are_pictures() -> None:
    flags = np.arange(32).reshape(4, 8) % 2 == 0
    found = image.encode(PART["image"], flags)
    assert np.array_equal(found, np.where(flags, 255, 0)[None].repeat(3, 0))
    frames_of = np.ones((2, 4, 6, 3), bool)
    assert (video.encode(PART["clip"], frames_of) == 255).all()


def test_true_and_false_are_names_in_every_kind_of_file(tmp_path: Path) -> None:
    """The same ids and names, whether they are text or JSON's own."""
    wanted = spec("facts", head="label: {from: joint, kind: classifier, classes: 3}")
    rows = [(1, True, True, "train"), (2, False, False, "train"), (3, True, False, "test")]
    lines = [
        {"facts": {"age": age, "side": side}, "label": label, "split": part}
        for age, side, label, part in rows
    ]
    texts = [[str(age), str(s).lower(), str(x).lower(), part] for age, s, x, part in rows]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "a.csv").write_text(
        "\n".join(map(",".join, [["age", "side", "label", "split"], *texts]))
    )
    for name in ("a.jsonl", "a.csv"):
        found = encoded(tmp_path / name, wanted)
        assert found.classes["label"] == ("false", "true")
        assert found.targets["label"].tolist() == [1, 0, 0]
        assert found.modalities["facts"].values.tolist() == [[1, 1], [2, 0], [3, 1]]
        assert found.categories["facts"]["side"].names == ("false", "true")


def test_true_and_numbers_in_a_column_are_names() -> None:
    labels: list[Any] = [True, 1, "1", False]
    found = dataset.encode(source(text=list("abcd"), label=[*labels[:3], 1]), spec("text"))
    assert found.classes["label"] == ("1", "true")


@pytest.mark.parametrize("first", ["true,false", "True,No", "yes,no"])
def test_a_first_line_of_true_and_false_is_no_header(first: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{first}\n1,2\n")
    told = problem(lambda: files.array(tmp_path / "a.csv"))
    assert f"line 1: `{first.split(',')[0]}` is no number" in told.message


def test_a_line_that_is_no_row_says_what_one_is(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{\n  "text": "a"\n}\n')
    with pytest.raises(MmspecError) as error:
        registry.load(str(tmp_path / "a.jsonl"), spec("text"))
    assert all("a row is one line" in each.help for each in error.value.diagnostics)


def test_names_are_quoted_for_a_shell(tmp_path: Path) -> None:
    name = "a'; touch b; '.tsv"
    (tmp_path / name).write_text("text\tlabel\na\tb\n")
    ran(tmp_path, endings.to_manifest(Path(name)))
    assert sorted(os.listdir(tmp_path)) == ["a'; touch b; '.csv", name]
