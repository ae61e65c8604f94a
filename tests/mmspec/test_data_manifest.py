"""Manifests: what each cell becomes, the split, and an error for everything that is wrong."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_case import spec
from PIL import Image

from mmspec.data import dataset, registry
from mmspec.data.source import Source, Waveform
from mmspec.diagnostics import MmspecError

ALL = ("text", "image", "audio", "motion", "facts")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of each kind."""
    Image.fromarray(np.full((4, 8, 3), 9, np.uint8)).save(tmp_path / "nine.png")
    with wave.open(str(tmp_path / "two.wav"), "wb") as sound:
        sound.setparams((2, 2, 8000, 0, "NONE", ""))
        sound.writeframes(np.array([[8192, 16384]] * 80, "<i2").tobytes())
    np.save(tmp_path / "path.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    (tmp_path / "path.csv").write_text("x,y,z\n0,1,2\n3,4,5\n")
    (tmp_path / "note.txt").write_text("from a file")
    return tmp_path


def loaded(path: Path, content: str, *names: str) -> Source:
    """The source of a manifest with this content."""
    path.write_text(content, encoding="utf-8")
    return registry.load(str(path), spec(*names))


def csv(folder: Path, content: str, *names: str) -> Source:
    """The source of a CSV manifest."""
    return loaded(folder / "rows.csv", content, *names)


def json_lines(folder: Path, *rows: Any) -> Source:
    """The source of a manifest of JSON lines."""
    return loaded(folder / "rows.jsonl", "\n".join(map(json.dumps, rows)), *ALL)


def test_a_cell_of_each_kind(folder: Path) -> None:
    made = csv(
        folder,
        "text,image,audio,motion,age,facts.side,label,split\n"
        'inline,nine.png,two.wav,path.npy,4,left,"a, b",train\n'
        "note.txt,,,path.csv,,,,test\n",
        *ALL,
    )
    first = {name: column[0] for name, column in made.columns.items()}
    second = {name: column[1] for name, column in made.columns.items()}
    assert (first["text"], second["text"]) == ("inline", "from a file")
    assert np.asarray(first["image"]).tolist() == [[[9, 9, 9]] * 8] * 4
    sound = first["audio"]
    assert isinstance(sound, Waveform)
    assert sound.rate == 8000
    assert sound.samples[0:90].tolist() == [0.375] * 80
    for row in (first, second):
        assert np.asarray(row["motion"]).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (first["facts"], second["facts"]) == ({"age": "4", "side": "left"}, None)
    assert (first["label"], second["label"]) == ("a, b", None)
    assert (second["image"], second["audio"]) == (None, None)
    assert made.held_out.tolist() == [False, True]
    assert made.rows == ["rows.csv:2", "rows.csv:3"]


def test_a_video_is_an_array_in_a_file(folder: Path) -> None:
    frames = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    np.save(folder / "clip.npy", frames)
    made = csv(folder, "clip,label\nclip.npy,a\nclip.mp4,b\n", "clip")
    assert (np.asarray(made.columns["clip"][0]) == frames).all()
    with pytest.raises(MmspecError) as error:
        made.columns["clip"][1]
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "MM501" and ".npy" in diagnostic.help


def test_json_lines_hold_values_too(folder: Path) -> None:
    made = json_lines(
        folder,
        {"text": [1, 2], "motion": [[1, 2, 3]], "facts": {"age": 1, "side": 0}, "split": "train"},
        {"image": "nine.png", "label": 2, "split": "held_out"},
    )
    assert made.columns["text"][0] == [1, 2]
    assert made.columns["facts"][0] == {"age": 1, "side": 0}
    assert [made.columns["label"][0], made.columns["label"][1]] == [None, 2]
    assert made.held_out.tolist() == [False, True]


def test_a_row_of_several_lines_is_named_by_its_first(folder: Path) -> None:
    made = csv(folder, 'text,label\n"two\nlines",a\n\nlast,b\n', "text")
    assert made.rows == ["rows.csv:2", "rows.csv:5"]
    assert made.columns["text"][0] == "two\nlines"


def test_a_cell_may_be_long(folder: Path) -> None:
    (text,) = csv(folder, f"text,label\n{'x' * 200_000},a\n", "text").columns["text"]
    assert text == "x" * 200_000


def test_the_split_is_by_content_alone(folder: Path) -> None:
    lines = [f"{i},{i % 3}" for i in range(1000)]
    made = csv(folder, "\n".join(["text,label", *lines]), "text")
    mixed = csv(folder, "\n".join(["text,label", *reversed(lines * 2)]), "text")
    assert 160 <= made.held_out.sum() <= 240
    assert made.held_out.tolist() == mixed.held_out[::-1][:1000].tolist()
    assert mixed.held_out[:1000].tolist() == mixed.held_out[1000:].tolist()


@pytest.mark.parametrize("texts", ["ab", "abc", "abcd", "jk", "xyzuvw", "aab", "aaaab"])
def test_of_few_rows_some_are_held_out_and_some_are_not(folder: Path, texts: str) -> None:
    made = csv(folder, "\n".join(["text,label", *(f"{text},x" for text in texts)]), "text")
    sides = dict(zip(texts, made.held_out.tolist(), strict=True))
    assert set(made.held_out.tolist()) == {False, True}
    assert made.held_out.tolist() == [sides[text] for text in texts]


def test_the_split_does_not_depend_on_the_order_of_columns(folder: Path) -> None:
    rows = [(str(i), "ab"[i % 2]) for i in range(100)]
    one = csv(folder, "\n".join(["text,label", *(f"{t},{n}" for t, n in rows)]), "text")
    two = csv(folder, "\n".join(["label,text", *(f"{n},{t}" for t, n in rows)]), "text")
    assert one.held_out.tolist() == two.held_out.tolist()


def test_the_fingerprint_follows_the_cells(folder: Path) -> None:
    one, two = (csv(folder, f"text,label\na,{label}\n", "text") for label in "xy")
    again = csv(folder, "text,label\r\na,x\r\n\r\n", "text")
    assert one.fingerprint == again.fingerprint != two.fingerprint


BROKEN: dict[str, tuple[str, str, str]] = {
    "few cells": ("MM502", "text,label\na\n", "rows.csv:2: 1 cells under 2 columns"),
    "a name twice": ("MM502", "text,text\na,b\n", "names `text` twice"),
    "no header": ("MM502", "", "no header"),
    "no name": ("MM502", "text,,label\n", "a column has no name"),
    "open quote": ("MM502", 'text,label\n"a,b\n', "not CSV"),
    "a split": ("MM511", "text,label,split\na,b,trian\n", "`trian` names no split"),
    "no split": ("MM511", "text,label,split\na,b,\n", "rows.csv:2, column `split`"),
    "a cell before the split": ("MM506", "motion,label\nnan.npy,b\n", "rows.csv:2"),
    "a column before the split": ("MM503", "words,label\na,b\n", "no column `text`"),
    "a folder": ("MM501", "image,label,split\nsub,b,train\na,b,test\n", "is a folder"),
    "no npy": ("MM501", "motion,label,split\nbad.npy,b,train\na,b,test\n", "it is no .npy file"),
    "objects": ("MM501", "motion,label,split\nobj.npy,b,train\na,b,test\n", "it holds objects"),
    "no rows": ("MM510", "text,label\n", "no rows"),
    "none held out": ("MM510", "text,label,split\na,b,train\n", "none with a value is held out"),
    "none to train on": ("MM510", "text,label,split\na,b,test\n", "to train on"),
    "no labels": ("MM510", "text,label,split\na,,train\nb,c,test\n", "no training row has"),
    "no column": ("MM503", "text,lable,split\na,b,train\na,b,test\n", "did you mean lable?"),
    "no file": ("MM501", "image,label,split\nnin.png,b,train\na,b,test\n", "did you mean nine.png"),
    "no text": (
        "MM501",
        "text,label,split\nno.txt,b,train\nb,b,test\n",
        "rows.csv:2, column `text`",
    ),
    "no image": ("MM501", "image,label,split\nnote.txt,b,train\nb,b,test\n", "cannot be read"),
    "no sound": ("MM501", "audio,label,split\nnote.txt,b,train\nb,b,test\n", "cannot be read"),
    "no array": ("MM501", "motion,label,split\nnote.txt,b,train\nb,b,test\n", "not an array"),
    "no numbers": ("MM501", "motion,label,split\nbad.csv,b,train\nb,b,test\n", "cannot be read"),
    "nothing": ("MM510", "text,label,split\n,b,train\na,b,test\n", "to train on"),
    "nothing to use": ("MM503", "words,label,split\na,b,train\na,b,test\n", "no column `text`"),
    "unknown label": ("MM508", "text,label,split\na,b,train\na,c,test\n", "rows.csv:3"),
    "too many": (
        "MM509",
        "text,label,split\n,a,train\n,b,train\n,c,train\n,d,train\n,d,test\n",
        "4",
    ),
    "table": ("MM504", "text,label,age,side,split\na,b,1,,train\na,b,1,0,test\n", "`side`"),
    "half a table": ("MM504", "text,label,age,split\na,b,1,train\na,b,2,test\n", "`side`"),
}
"""What is wrong: the code, a manifest, and part of what the error says."""


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_is_named_with_its_row(folder: Path, name: str) -> None:
    code, content, part = BROKEN[name]
    (folder / "bad.csv").write_text("1,2\n3\n")
    (folder / "bad.npy").write_bytes(b"x" * 99)
    (folder / "sub").mkdir()
    np.save(folder / "nan.npy", np.full((2, 3), np.nan))
    np.save(folder / "obj.npy", np.array([{}], object))
    content = content.replace("\n,", "\nx,") if name == "too many" else content
    with pytest.raises(MmspecError) as error:
        dataset.encode(csv(folder, content, *ALL), spec(*ALL))
    assert error.value.diagnostics[0].code == code
    assert part in str(error.value)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("{", "rows.jsonl:2: not JSON"),
        ("[1]", "rows.jsonl:2: not a JSON object"),
        ("-1", "rows.jsonl:2: not a JSON object"),
        ("null", "rows.jsonl:2: not a JSON object"),
        ('"a"', "rows.jsonl:2: not a JSON object"),
        ('{"text": "a", "text": "b"}', "rows.jsonl:2: not JSON: the key `text` stands twice"),
    ],
)
def test_lines_that_are_not_json(folder: Path, line: str, part: str) -> None:
    with pytest.raises(MmspecError, match="MM502") as error:
        loaded(folder / "rows.jsonl", f'{{"text": "a"}}\n{line}\n', "text")
    assert part in str(error.value)


def test_all_that_is_wrong_is_told_at_once_but_not_without_end(folder: Path) -> None:
    rows = [f"{i}.png,b,{'train' if i else 'test'}" for i in range(30)]
    with pytest.raises(MmspecError) as error:
        dataset.encode(csv(folder, "\n".join(["image,label,split", *rows]), *ALL), spec(*ALL))
    assert [d.code for d in error.value.diagnostics] == ["MM501"] * 10
    assert str(error.value).endswith("the first 10 problems are shown, there may be more")


def unknown(name: str, folder: Path) -> str:
    """The error of loading a name; `{}` in it stands for the folder."""
    with pytest.raises(MmspecError) as error:
        registry.load(name.format(folder), spec("text"))
    return str(error.value)


def test_an_unknown_data_set(folder: Path) -> None:
    assert "did you mean openmoji? built in: openmoji, stamps" in unknown("openmojis", folder)
    csv(folder, "text,label\n", "text")
    assert "is a folder" in unknown("{}", folder)
    assert "rows.csv" in unknown("{}", folder)
    assert f"did you mean {folder}/rows.csv?" in unknown("{}/row.csv", folder)
    assert "error[MM502]" in unknown("{}/note.txt", folder)


@pytest.mark.parametrize(
    ("package", "column", "name"), [("PIL", "image", "nine.png"), ("soundfile", "audio", "two.wav")]
)
def test_a_package_that_is_missing(
    folder: Path, block: Callable[[str], None], package: str, column: str, name: str
) -> None:
    block(package)
    made = csv(folder, f"{column},label,split\n{name},a,train\n{name},a,test\n", column)
    with pytest.raises(MmspecError, match="MM512") as error:
        dataset.encode(made, spec(column))
    assert 'pip install "mmspec[demo]"' in str(error.value)


@pytest.fixture
def block(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a package impossible to import."""
    return lambda name: monkeypatch.setitem(__import__("sys").modules, name, None)


def test_pictures_stand_upright_and_keep_their_depth(folder: Path) -> None:
    turned = Image.fromarray(np.zeros((8, 4), np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(folder / "turned.jpg", exif=exif)
    Image.fromarray(np.full((4, 8), 257 * 9, np.uint16)).save(folder / "deep.png")
    made = csv(folder, "image,label\nturned.jpg,a\ndeep.png,b\n", "image")
    assert np.asarray(made.columns["image"][0]).shape == (4, 8)
    assert np.asarray(made.columns["image"][1]).max() == 257 * 9
