"""One rule for what a file holds, whatever kind it is; where files may lie; what no header is."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_case import spec
from PIL import Image

from mmspec.data import dataset, files, registry, split
from mmspec.data.dataset import Dataset
from mmspec.data.source import Source
from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.train.data import open_feed
from mmspec.train.settings import Settings

ALL = ("text", "image", "audio", "motion", "facts")
NFC, NFD = "caf\u00e9", "cafe\u0301"


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV, each cell quoted."""
    header = list(dict.fromkeys(key for row in rows for key in row))
    cells = [header, *([row.get(key, "") for key in header] for row in rows)]
    return "".join(",".join(f'"{cell}"' for cell in line) + "\r\n" for line in cells)


def as_json_lines(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as JSON lines, each cell a string."""
    return "\n".join(json.dumps({key: str(cell) for key, cell in row.items()}) for row in rows)


def as_json_numbers(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as JSON lines, what reads as a number a number."""

    def value(cell: Any) -> Any:
        try:
            return json.loads(str(cell))
        except ValueError:
            return str(cell)

    return "\n".join(json.dumps({k: value(cell) for k, cell in row.items()}) for row in rows)


WRITERS = {"csv": as_csv, "jsonl": as_json_lines}
NUMBERED = WRITERS | {"numbers.jsonl": as_json_numbers}


def loaded(folder: Path, kind: str, rows: Sequence[Mapping[str, Any]], *names: str) -> Source:
    """Rows written in a kind of file, and read back."""
    path = folder / f"rows.{kind}"
    path.write_bytes(NUMBERED[kind](rows).encode())
    return registry.load(str(path), spec(*names))


def encoded(folder: Path, kind: str, rows: Sequence[Mapping[str, Any]], *names: str) -> Dataset:
    """The same, encoded."""
    return dataset.encode(loaded(folder, kind, rows, *names), spec(*names))


def problems(folder: Path, kind: str, rows: Sequence[Mapping[str, Any]], *names: str) -> Any:
    """What is told about rows."""
    with pytest.raises(MmspecError) as error:
        encoded(folder, kind, rows, *names)
    return error.value.diagnostics


def labelled(*labels: Any) -> list[dict[str, Any]]:
    """A row for each label, the last held out."""
    sides = ["train"] * (len(labels) - 1) + ["test"]
    pairs = zip(labels, sides, strict=True)
    return [{"text": f"t{at}", "label": one, "split": to} for at, (one, to) in enumerate(pairs)]


@pytest.mark.parametrize("kind", NUMBERED)
class TestEveryKindOfFile:
    """The same rows mean the same in each."""

    def test_labels_are_trimmed(self, tmp_path: Path, kind: str) -> None:
        found = encoded(tmp_path, kind, labelled("a", "b ", " a", "\tb"), "text")
        assert found.classes["label"] == ("a", "b")
        assert found.targets["label"].tolist() == [0, 1, 0, 1]

    def test_names_are_compared_in_normal_form(self, tmp_path: Path, kind: str) -> None:
        found = encoded(tmp_path, kind, labelled(NFC, "tea", NFD), "text")
        assert found.targets["label"].tolist() == [0, 1, 0]
        assert found.classes["label"] == (NFC, "tea")

    def test_a_whole_number_is_an_id(self, tmp_path: Path, kind: str) -> None:
        found = encoded(tmp_path, kind, labelled("1.0", "0", "2", "1"), "text")
        assert "label" not in found.classes
        assert found.targets["label"].tolist() == [1, 0, 2, 1]

    def test_an_underscore_makes_text(self, tmp_path: Path, kind: str) -> None:
        found = encoded(tmp_path, kind, labelled("1_0", "x", "1_0"), "text")
        assert found.classes["label"] == ("1_0", "x")
        rows = [{"age": "1_000", "side": 0, "label": "a", "split": "train"}]
        (problem,) = problems(tmp_path, kind, [*rows, rows[0] | {"age": 1}], "facts")
        assert problem.code == "MM505" and "1_000" in problem.message

    def test_cells_keep_their_line_ends(self, tmp_path: Path, kind: str) -> None:
        text = "one\r\ntwo\nthree\rfour"
        found = loaded(tmp_path, kind, [{"text": text, "label": "a"}], "text")
        assert found.columns["text"][0] == text

    def test_a_text_file_keeps_its_line_ends(self, tmp_path: Path, kind: str) -> None:
        (tmp_path / "note.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r")
        found = loaded(tmp_path, kind, [{"text": "note.txt", "label": "a"}], "text")
        assert found.columns["text"][0] == "one\r\ntwo\r"

    @pytest.mark.parametrize(("written", "stored"), [(NFC, NFD), (NFD, NFC), (NFC, NFC)])
    def test_a_file_is_found_in_either_normal_form(
        self, tmp_path: Path, kind: str, written: str, stored: str
    ) -> None:
        (tmp_path / stored).mkdir()
        np.save(tmp_path / stored / f"{stored}.npy", np.ones((2, 3)))
        rows = [{"motion": f"{written}/{written}.npy", "label": "a"}]
        found = loaded(tmp_path, kind, rows, "motion").columns["motion"][0]
        assert np.asarray(found).shape == (2, 3)

    def test_names_of_columns_are_trimmed_and_in_normal_form(
        self, tmp_path: Path, kind: str
    ) -> None:
        found = loaded(tmp_path, kind, [{" text ": "a", "label\t": "b", NFD: "c"}], "text")
        assert [*found.columns] == ["text", "label", NFC]

    @pytest.mark.parametrize(
        "name",
        ["Split", "SPLIT", "split_", "s_plit", "splits", "spilt", "splt", "spliit", "subset"],
    )
    def test_a_column_almost_named_split_is_told(
        self, tmp_path: Path, kind: str, name: str
    ) -> None:
        rows = [{"text": "a", "label": "x", name: side} for side in ("train", "test")]
        (problem,) = problems(tmp_path, kind, rows, "text")
        assert problem.code == "MM514"
        assert f"`{name}`" in problem.message and "`split`" in problem.message

    @pytest.mark.parametrize("name", ["Image", " IMAGE", "images", "imgae", "im-age"])
    def test_a_column_almost_named_like_an_optional_one_is_told(
        self, tmp_path: Path, kind: str, name: str
    ) -> None:
        rows = [{"text": "a", name: "a.png", "label": "x"}]
        (problem,) = problems(tmp_path, kind, rows, "text", "image")
        assert problem.code == "MM514" and "`image`" in problem.message

    @pytest.mark.parametrize("name", ["Age", "facts.Age", "facts_age", "aeg", "facts.aeg"])
    def test_a_column_almost_named_like_one_of_a_table_is_told(
        self, tmp_path: Path, kind: str, name: str
    ) -> None:
        rows = [{"text": "a", name: 1, "side": 0, "label": "x"}]
        assert problems(tmp_path, kind, rows, "text", "facts")[0].code in ("MM514", "MM504")

    @pytest.mark.parametrize(
        "name",
        "is_test Test train isTrain istest held_out in_test test_set TestSet testset for-dev"
        " use_for_training is_val_flag TEST".split(),
    )
    @pytest.mark.parametrize("flags", [(0, 1), ("no", "yes"), ("False", "True")])
    def test_a_column_that_says_which_rows_to_test_is_told(
        self, tmp_path: Path, kind: str, name: str, flags: tuple[Any, Any]
    ) -> None:
        rows = [{"text": f"t{i}", "label": "x", name: flags[i % 2]} for i in range(9)]
        (problem,) = problems(tmp_path, kind, rows, "text")
        assert problem.code == "MM514" and "`split`" in problem.message
        rows = [row | {name: at} for at, row in enumerate(rows)]
        assert len(loaded(tmp_path, kind, rows, "text").rows) == 9

    @pytest.mark.parametrize("word", ["invalid", "test_result", "tested", "set", "in", "trains"])
    def test_other_columns_of_yes_and_no_are_left_alone(
        self, tmp_path: Path, kind: str, word: str
    ) -> None:
        rows = [{"text": f"t{i}", "label": "x", word: i % 2} for i in range(9)]
        assert loaded(tmp_path, kind, rows, "text").columns[word]

    @pytest.mark.parametrize("word", ["splits", "subset", "spit", "Label", "texts", "phase"])
    def test_other_columns_are_left_alone(self, tmp_path: Path, kind: str, word: str) -> None:
        rows = [{"text": f"t{i}", "label": "x", word: i} for i in range(9)]
        assert loaded(tmp_path, kind, rows, "text").columns[word]

    @pytest.mark.parametrize(
        "word",
        "held-out Held_Out heldout HOLDOUT hold-out test testing val valid validation dev eval"
        " Evaluation development".split(),
    )
    def test_words_that_hold_a_row_out(self, tmp_path: Path, kind: str, word: str) -> None:
        rows = [{"text": "a", "label": "x", "split": s} for s in (f" {word} ", "Train", "training")]
        assert loaded(tmp_path, kind, rows, "text").held_out.tolist() == [True, False, False]

    @pytest.mark.parametrize("word", ["trian", "0", "None", "predict", "train/test"])
    def test_a_word_that_is_no_split_is_told_with_those_that_are(
        self, tmp_path: Path, kind: str, word: str
    ) -> None:
        rows = [{"text": "a", "label": "x", "split": word}]
        (problem,) = problems(tmp_path, kind, rows, "text")
        assert problem.code == "MM511"
        assert all(each in problem.help for each in (*split.TRAIN, *split.HELD_OUT))

    @pytest.mark.parametrize("digits", [400, 5000])
    def test_a_number_of_many_digits_is_told(self, tmp_path: Path, kind: str, digits: int) -> None:
        rows = [{"age": "9" * digits, "side": 0, "label": "a", "split": "train"}]
        found = problems(tmp_path, kind, [*rows, rows[0] | {"age": 1}], "facts")
        assert [each.code for each in found] in (["MM505"], ["MM506"], ["MM502"])
        assert ":2" in str(found) or ":1" in str(found)


def test_names_that_are_counted_are_not_near(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,image2,label\na,b.png,x\n")
    kind = "{kind: image, size: [4, 4], channels: 3, patch: 4, optional: true}"
    wanted = spec("text", other={"image1": kind})
    assert "image2" in registry.load(str(tmp_path / "rows.csv"), wanted).columns
    (tmp_path / "rows.csv").write_text("text,imgae1,label\na,b.png,x\n")
    with pytest.raises(MmspecError, match="MM514"):
        registry.load(str(tmp_path / "rows.csv"), wanted)


@pytest.mark.parametrize("depth", [65, 5000, 200_000])
def test_json_that_is_nested_deeply_is_told(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "rows.jsonl"
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        inner = opening * depth + "1" + closing * depth
        path.write_text(f'{{"text": "a", "label": 1}}\n{{"motion": {inner}}}')
        with pytest.raises(MmspecError) as error:
            registry.load(str(path), spec("text"))
        assert "rows.jsonl:2: lists in lists" in str(error.value)


SERIES: dict[str, list[list[float]]] = {
    "1,2,3\n4,5,6\n": [[1, 2, 3], [4, 5, 6]],
    "x,y,z\r\n1,2,3\r\n": [[1, 2, 3]],
    "# x,y,z\n1,2,3\n\n\n": [[1, 2, 3]],
    "\ufeff1,2,3\r4,5,6": [[1, 2, 3], [4, 5, 6]],
    '"1"," 2 ",3e0\n': [[1, 2, 3]],
    "a\n5\n": [[5]],
    "nan,2,3\n": [[np.nan, 2, 3]],
}


@pytest.mark.parametrize("content", SERIES)
def test_numbers_of_a_csv(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_bytes(content.encode())
    assert np.array_equal(files.array(tmp_path / "a.csv"), SERIES[content], equal_nan=True)


GAPS = {
    ",2,3\n4,5,6\n": "line 1: an empty cell",
    "1,2,3\n,5,6\n": "line 2: an empty cell",
    "1,2,3\n#4,5,6\n7,8,9\n": "line 2: `#4` is no number",
    "#1,2,3\n4,5,6\n": "line 1: `#1` is no number",
    "1,2,3\n# a remark\n4,5,6\n": "line 2: 1 cells, and 3 before it",
    "1,2,3\n\n4,5,6\n": "line 2 is empty",
    "\n1,2,3\n": "line 1 is empty",
    "NA,NA,NA\n4,5,6\n": "line 1: `NA` is no number",
    "NA\n4\n": "line 1: `NA` is no number",
    "-\n4\n": "line 1: `-` is no number",
    "x,y,x\n4,5,6\n": "line 1: `x` is no number",
    "x,2,3\n4,5,6\n": "line 1: `x` is no number",
    "x,y\n4,5,6\n": "line 2: 3 cells, and 2 before it",
    "x,y\nz,w\n1,2\n": "line 2: `z` is no number",
    "1_0,2,3\n4,5,6\n": "line 1: `1_0` is no number",
    "1,2,3\n4,1_0,6\n": "line 2: `1_0` is no number",
    "1,2\x0c3\n": "line 1: `2\x0c3` is no number",
    "1;2;3\n4;5;6\n": "line 1: `1;2;3` is no number",
    '"1,5","2,5"\n4,5\n': "line 1: `1,5` is no number",
    "−1,−2\n4,5\n": "line 1: `−1` is no number",
    "1_0,2_0\n4,5\n": "line 1: `1_0` is no number",
    "1/2,1/3\n4,5\n": "line 1: `1/2` is no number",
    "$1,$2\n4,5\n": "line 1: `$1` is no number",
    "2 m,3 m\n4,5\n": "line 1: `2 m` is no number",
    "0x1,0x2\n4,5\n": "line 1: `0x1` is no number",
    "\uff11,\uff12\n4,5\n": "line 1: `\uff11` is no number",
    "2020-01-01,2020-01-02\n4,5\n": "line 1: `2020-01-01` is no number",
    "*,**\n4,5\n": "line 1: `*` is no number",
    "#DIV/0!,#REF!\n4,5\n": "line 1: `#DIV/0!` is no number",
    "x\ty\n1\t2\n": "line 2: `1\t2` is no number",
    "x,y,z\n": "it has no numbers",
    "": "it has no numbers",
    "9007199254740993\n": "has more digits than a number keeps",
}


@pytest.mark.parametrize("content", GAPS)
def test_what_is_no_number_is_told_with_its_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode())
    with pytest.raises(MmspecError) as error:
        files.array(path)
    (problem,) = error.value.diagnostics
    assert problem.code == "MM501" and GAPS[content] in problem.message


def outside(folder: Path, cell: str, allow: bool = False) -> Diagnostic | tuple[int, ...]:
    """The shape of what a cell names, or what is told; the manifest lies in `folder`/in."""
    path = folder / "in" / "rows.jsonl"
    path.write_text(json.dumps({"motion": cell, "label": "a"}))
    try:
        found = registry.load(str(path), spec("motion"), allow).columns["motion"][0]
        return np.asarray(found).shape
    except MmspecError as error:
        return error.diagnostics[0]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with an array, links and a manifest's folder in it."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for place in ("out.npy", "in/a.npy", "in/sub/b.npy", "other/c.npy"):
        np.save(tmp_path / place, np.zeros((2, 3)))
    (tmp_path / "in" / "link.npy").symlink_to(tmp_path / "out.npy")
    (tmp_path / "in" / "inner.npy").symlink_to(tmp_path / "in" / "a.npy")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "other")
    (tmp_path / "in" / "loop.npy").symlink_to(tmp_path / "in" / "loop.npy")
    os.mkfifo(tmp_path / "in" / "pipe.npy")
    return tmp_path


@pytest.mark.parametrize(
    "cell", ["a.npy", "sub/b.npy", "./sub/../a.npy", "../in/a.npy", "inner.npy"]
)
def test_what_lies_in_the_folder_is_read(home: Path, cell: str) -> None:
    assert outside(home, cell) == (2, 3)


@pytest.mark.parametrize(
    "cell", ["../out.npy", "sub/../../out.npy", "link.npy", "folder/c.npy", "../other/c.npy"]
)
def test_what_leads_out_of_the_folder_needs_leave(home: Path, cell: str) -> None:
    told = outside(home, cell)
    assert isinstance(told, Diagnostic)
    assert told.code == "MM501" and "leads out" in told.message
    assert "--allow-outside" in told.help and "allow_outside=True" in told.help
    assert outside(home, cell, allow=True) == (2, 3)


def test_the_setting_of_a_run_permits_it_too(home: Path) -> None:
    path, wanted = home / "in" / "rows.jsonl", spec("motion")
    rows = [{"motion": "../out.npy", "label": "a", "split": side} for side in ("train", "test")]
    path.write_text("\n".join(map(json.dumps, rows)))
    chosen = Settings(spec="s.yaml", data=str(path), out="o")
    with pytest.raises(MmspecError, match="--allow-outside"):
        open_feed(wanted, chosen)
    assert open_feed(wanted, replace(chosen, allow_outside=True)).train_size == 1


def test_an_absolute_path_is_taken_as_given(home: Path) -> None:
    assert outside(home, str(home / "out.npy")) == (2, 3)
    assert outside(home, str(home / "in" / "link.npy")) == (2, 3)


@pytest.mark.parametrize(
    "cell",
    [
        "../none.npy",
        "none.npy",
        "sub",
        "loop.npy",
        "pipe.npy",
        "a\0.npy",
        "x" * 5000,
        "\ud800",
        ".",
    ],
)
@pytest.mark.parametrize("allow", [True, False])
def test_what_is_no_file_is_told(home: Path, cell: str, allow: bool) -> None:
    told = outside(home, cell, allow)
    assert isinstance(told, Diagnostic) and told.code == "MM501"


def header(text: str, content: bytes = bytes(48)) -> bytes:
    """A `.npy` file of a header that is written by hand."""
    padded = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\0" + len(padded).to_bytes(2, "little") + padded.encode() + content


HEADERS = {
    "nothing closed": header("{'descr': '<f8', 'fortran_order': False, 'shape': (((((("),
    "a type of no meaning": header("{'descr': ',f8', 'fortran_order': True, 'shape': (2, 3), }"),
    "more than there is": header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 3), }"
    ),
    "more than a number": header(
        f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**62}, {2**62}), }}"
    ),
    "less than nothing": header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 3), }"),
    "a little more than there is": header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 3), }"
    ),
    "nested": header("[" * 110),
    "of no array": header("{'a': 1}"),
    "objects": header("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }"),
    "a header cut off": b"\x93NUMPY\x01\0\xff\xff{",
    "a version of the future": b"\x93NUMPY\x09\0" + bytes(200),
    "magic alone": b"\x93NUMPY",
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_an_array_that_is_damaged_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.npy").write_bytes(HEADERS[name])
    (problem,) = problems(tmp_path, "csv", [{"motion": "a.npy", "label": "a"}], "motion")
    assert problem.code == "MM501"
    assert problem.where == "rows.csv:2, column `motion`"


@pytest.mark.parametrize(
    "values", [np.float64(3), np.array([{}], object), np.array(["a"]), np.zeros((2, 3), complex)]
)
@pytest.mark.parametrize("column", ["motion", "image", "clip", "audio"])
def test_what_is_no_array_of_numbers_is_told(tmp_path: Path, column: str, values: Any) -> None:
    np.save(tmp_path / "a.npy", values)
    (problem,) = problems(tmp_path, "csv", [{column: "a.npy", "label": "a"}], column)
    assert problem.code in ("MM501", "MM505")
    assert problem.where == f"rows.csv:2, column `{column}`"


class OwnError(Exception):
    """What a decoder may raise."""


@pytest.mark.parametrize(
    "raised",
    [
        *(MemoryError(), NotImplementedError(), RuntimeError("x\ny"), struct.error("s")),
        *(OwnError("own"), RecursionError(), OverflowError("o"), AssertionError(), KeyError("k")),
        *(Image.DecompressionBombError("large"), zlib.error("z"), StopIteration()),
    ],
)
@pytest.mark.parametrize(
    ("column", "cell", "decoder"),
    [
        *(("image", "a.png", "PIL.Image.open"), ("audio", "a.wav", "soundfile.SoundFile")),
        *(("motion", "a.npy", "numpy.load"), ("motion", "a.csv", "csv.reader")),
    ],
)
def test_whatever_a_decoder_raises_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    column: str,
    cell: str,
    decoder: str,
    raised: Exception,
) -> None:
    def fails(*arguments: Any, **options: Any) -> Any:
        raise raised

    (tmp_path / cell).write_bytes(b"\x93NUMPY")
    rows = loaded(tmp_path, "jsonl", [{column: cell, "label": "a"}], column)
    monkeypatch.setattr(decoder, fails)
    with pytest.raises(MmspecError) as error:
        dataset.encode(rows, spec(column))
    (problem,) = error.value.diagnostics
    assert problem.code == "MM501" and problem.where == f"rows.jsonl:1, column `{column}`"
    assert "cannot be read: " in problem.message and "\n" not in problem.message
