"""Pictures of masks: every cell of text, SVG and PNG against docs/masks.md, pair by pair."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import groupby, product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from picture_case import CROSS, FIRST, JOINT, SECOND, SPEC, Rule, shown, stops
from PIL import Image

from mmspec.cli.main import main
from mmspec.cli.pictures import figure, panel, terminal
from mmspec.cli.pictures.request import chosen
from mmspec.compiler import driver
from mmspec.verify.blocks import shades

ROOT = Path(__file__).parents[2]
TEXT, AUDIO = (("text", 19),), (("audio", 23),)


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "seen.yaml"
    path.write_text(SPEC)
    return str(path)


@pytest.fixture(autouse=True)
def no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pipe; xdist sets it."""
    monkeypatch.delenv("COLUMNS", raising=False)


def show(spec: str, *arguments: str) -> int:
    return main(["show", spec, "--mask", *arguments])


def drawn(text: str, characters: int) -> Iterator[list[list[int]]]:
    """The cells of each picture of a text, without borders, names and indices."""
    kinds = {shade: kind for kind, shade in terminal.SHADES.items()}
    rows: list[list[int]] = []
    for line in text.splitlines():
        found = re.fullmatch(r"[a-z]* *\d*[│┤](.*)│", line)
        if found:
            cells = found[1].replace("│", "")
            assert all(len(set(run)) == 1 for run in pieces(cells, characters))
            rows.append([kinds[cell] for cell in cells[::characters]])
        elif "└" in line:
            yield rows
            rows = []


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def test_each_character_is_a_cell(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    """19 queries and 23 keys: two characters a pair."""
    assert show(spec, "reader", "--tile", "4") == 0
    text = capsys.readouterr().out
    cross, own = drawn(text, 2)
    assert cross == shown(CROSS, (TEXT, AUDIO), (1, 1), 4)
    every: Rule = {("text", "text"): lambda q, k: True}
    assert own == shown(every, (TEXT, TEXT), (1, 1), 4)
    assert "19 text see 23 audio: 68 of 437 pairs visible (15.6 %)" in text
    assert "global(count=2) & prefix(length=17)" in text


def test_a_cell_of_several_pairs_is_partly_visible(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(spec, "joint", "--tile", "8") == 0
    text = capsys.readouterr().out
    assert "a cell is 2 × 1 tokens" in text
    first, second = drawn(text, 1)
    assert first == shown(FIRST, (JOINT, JOINT), (2, 1), 8)
    assert second == shown(SECOND, (JOINT, JOINT), (2, 1), 8)


def test_borders_stand_between_modalities(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(spec, "joint", "--tile", "8")
    lines = capsys.readouterr().out.splitlines()
    top = next(at for at, line in enumerate(lines) if "┌" in line)
    left = lines[top].index("┌")
    names, borders = lines[top - 2], lines[top]
    columns = [at for at, character in enumerate(borders) if character == "┬"]
    assert columns == [left + 16, left + 36]
    assert [names.index(name) for name in ("image", "text", "audio")] == [
        left + 1,
        left + 17,
        left + 37,
    ]
    assert [at - left - 1 for at, c in enumerate(borders[: columns[0]]) if c == "┴"] == [8]
    rows = [at - top - 1 for at, line in enumerate(lines) if "├" in line][:2]
    assert rows == [8, 8 + 1 + 10]
    assert lines[top + 1].startswith("image  0│")
    assert lines[top + 10].startswith("text   0│")


def test_without_unicode_the_picture_is_ascii(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(spec, "reader", "--ascii", "--lengths", "audio=17", "--tile", "4")
    text = capsys.readouterr().out
    assert text.isascii()
    lines = [
        line[8:-1][::2] for line in text.splitlines() if re.match(r"[a-z]* +[0-9]*[|+][#x. ]", line)
    ]
    kinds = {shade: kind for kind, shade in terminal.IN_ASCII.items()}
    expected = shown(CROSS, (TEXT, (("audio", 17),)), (1, 1), 4)
    assert [[kinds[cell] for cell in line] for line in lines[:19]] == expected


def test_colors_show_two_cells_in_a_character(spec: str) -> None:
    pictures = chosen(driver.run(spec, "lower"), "joint", {})
    screen = terminal.Screen(100, False, True)
    kinds = {color: kind for kind, color in terminal.COLORS.items() if color}
    expected = shown(FIRST, (JOINT, JOINT), (1, 1), 8)
    found: list[list[int]] = []
    for line in terminal.lines(pictures[0], 8, screen):
        styles = ["" for _ in line.plain]
        for span in line.spans:
            styles[span.start : span.end] = [str(span.style)] * (span.end - span.start)
        start = re.match(r"[a-z]* *[0-9]*[│┤]", line.plain)
        if start is None:
            continue
        top, bottom = [], []
        for character, style in list(zip(line.plain, styles, strict=True))[start.end() :]:
            if character == "│":
                continue
            fore, _, back = style.partition(" on ")
            one, other = kinds.get(fore, 0), kinds.get(back, 0)
            top.append(one if character in "█▀" else 0)
            bottom.append(one if character in "█▄" else other)
        found += [top, bottom]
    lines = [8, 10, 12]  # for 15, 19 and 23 queries: the last of each is half empty
    assert len(found) == 2 * sum(lines)
    ends = [2 * sum(lines[: place + 1]) - 1 for place in range(3)]
    assert not any(kind for end in ends for kind in found[end])
    assert [row for at, row in enumerate(found) if at not in ends] == expected


def boxes(path: Path) -> list[tuple[str, list[tuple[int, int, int, int]]]]:
    """Filled boxes by color, in the order in which they are painted."""
    found = []
    for item in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}path"):
        x = y = 0
        parts = []
        for move in re.findall(r"m(-?\d+) (-?\d+)h(\d+)v(\d+)h-(\d+)z", item.get("d", "")):
            dx, dy, width, height, back = map(int, move)
            assert width == back
            x, y = x + dx, y + dy
            parts.append((x, y, width, height))
        found.append((item.get("fill", ""), parts))
    return found


def borders(path: Path) -> tuple[list[float], list[float]]:
    """Where the lines between modalities stand: across and down."""
    across, down = [], []
    for line in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}line"):
        if line.get("stroke-width") == "2":
            x1, y1, x2, y2 = (float(line.get(name, "nan")) for name in ("x1", "y1", "x2", "y2"))
            if x1 == x2:
                across.append(x1)
            if y1 == y2:
                down.append(y1)
    return across, down


def painted(path: Path, width: int, height: int) -> np.ndarray[Any, Any]:
    """Kinds of cells by pixel; 9 where there is none."""
    kinds = {color: kind for kind, color in figure.COLORS.items()}
    page = np.full((height, width), 9)
    for color, parts in boxes(path):
        for x, y, w, h in parts:
            page[y : y + h, x : x + w] = kinds.get(color, 9)
    return page


def cells(
    page: np.ndarray[Any, Any], xs: list[float], ys: list[float], count: tuple[int, int]
) -> list[list[int]]:
    """The pixel in the middle of each cell, between the first and the last border."""
    tall, wide = (ys[-1] - ys[0]) / count[0], (xs[-1] - xs[0]) / count[1]
    rows = [int(ys[0] + (row + 0.5) * tall) for row in range(count[0])]
    columns = [int(xs[0] + (column + 0.5) * wide) for column in range(count[1])]
    found: list[list[int]] = page[np.ix_(rows, columns)].tolist()
    return found


def test_svg_and_png_show_every_pair(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    assert show(spec, "joint", "--tile", "8", "--svg", str(svg), "--png", str(png)) == 0
    assert capsys.readouterr().out == f"wrote {png}\nwrote {svg}\n"
    image = np.asarray(Image.open(png).convert("RGB"))[::2, ::2]
    height, width = image.shape[:2]
    page = painted(svg, width, height)
    kinds = {tuple(bytes.fromhex(color[1:])): kind for kind, color in figure.COLORS.items()}
    pixels = np.array([[kinds.get(tuple(pixel), 9) for pixel in row] for row in image.tolist()])
    across, down = borders(svg)
    assert len(across) == 8
    ys = sorted(set(down))
    for place, rule in enumerate((FIRST, SECOND)):
        xs = sorted(across)[4 * place : 4 * place + 4]
        expected = shown(rule, (JOINT, JOINT), (1, 1), 8)
        assert cells(page, xs, ys, (57, 57)) == expected
        assert cells(pixels, xs, ys, (57, 57)) == expected
        cell = (xs[-1] - xs[0]) / 57
        assert [(x - xs[0]) / cell for x in xs] == stops(JOINT, 1)
        assert [(y - ys[0]) / cell for y in ys] == stops(JOINT, 1)


def test_queries_and_keys_exchanged_are_seen(
    spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault: each pair of segments is drawn with rows and columns exchanged."""

    def turned(mask: Any, query: Any, key: Any, rows: Any, columns: Any) -> Any:
        return shades(mask, key, query, columns, rows).T

    monkeypatch.setattr(panel, "shades", turned)
    show(spec, "reader", "--tile", "4")
    cross, _ = drawn(capsys.readouterr().out, 2)
    assert cross != shown(CROSS, (TEXT, AUDIO), (1, 1), 4)


def test_names_and_indices_stand_at_their_segments(spec: str, tmp_path: Path) -> None:
    svg = tmp_path / "a.svg"
    show(spec, "joint", "--tile", "8", "--svg", str(svg))
    words = [item.text for item in ElementTree.parse(svg).iter() if item.text and item.text.strip()]
    for name in ("image", "text", "audio"):
        assert words.count(name) == 4, name
    assert "joint: heads 0 and 1 of 3" in words
    assert "joint: head 2 of 3" in words
    assert "audio sees audio: dilated(step=3, reach=9) | block(size=5)" in words


def test_json_has_the_runs_of_each_row_of_tiles(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(spec, "joint", "--json", "--tile", "4", "--lengths", "text=13,audio=7") == 0
    found = json.loads(capsys.readouterr().out)
    axis = (("image", 15), ("text", 13), ("audio", 7))
    for picture, rule, heads in zip(
        found["pictures"], (FIRST, SECOND), ((0, 2), (2, 3)), strict=True
    ):
        assert (picture["heads"]["from"], picture["heads"]["to"]) == heads
        pairs = shown(rule, (axis, axis), (1, 1), 1)
        assert picture["visible"] == sum(row.count(4) for row in pairs)
        expected = shown(rule, (axis, axis), (4, 4), 4)
        assert picture["rows"] == [written(row) for row in expected]
        assert picture["tiles"]["touched"] == sum(len(row) - row.count(0) for row in expected)


def written(row: list[int]) -> str:
    """`0-2 4?`: runs of tiles, `?` where not all is visible."""
    parts = []
    for kind, run in groupby(range(len(row)), key=lambda at: row[at]):
        places = list(run)
        if kind:
            text = str(places[0]) if len(places) == 1 else f"{places[0]}-{places[-1]}"
            parts.append(text + "?" * (kind == 2))
    return " ".join(parts)


LONG = """
mmspec: 1
name: long
modalities:
  text: {kind: tokens, vocab: 11, length: {max: 1000000}}
streams:
  text: {from: text, depth: 1, width: 8, heads: 1, attention: "MASK"}
heads:
  label: {from: text, kind: classifier, classes: 2}
"""


@pytest.mark.parametrize(
    ("mask", "size"),
    [
        ("causal", 4096),
        ("strided(2)", 4096),
        ("random(blocks=5) | dilated(step=3, reach=1000)", 4096),
        ("strided(3)", 997),
        ("causal & ~random(blocks=3) | global(64)", 50_000),
        ("causal & window(before=4095) | global(64)", 1_000_000),
    ],
)
def test_pictures_of_long_sequences_are_small_and_soon_there(
    mask: str, size: int, tmp_path: Path
) -> None:
    path, svg = tmp_path / "long.yaml", tmp_path / "a.svg"
    path.write_text(LONG.replace("MASK", mask))
    start = time.monotonic()
    assert show(str(path), "text", "--svg", str(svg), "--lengths", f"text={size}") == 0
    assert time.monotonic() - start < 20
    assert svg.stat().st_size < 2_000_000


def test_cells_larger_than_tiles_say_none_some_or_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.yaml"
    path.write_text(LONG.replace("MASK", "causal & window(before=9999)"))
    assert show(str(path), "text", "--lengths", "text=100000") == 0
    text = capsys.readouterr().out
    size = re.search(r"a cell is (\d+) × (\d+) tokens", text)
    assert size is not None
    tall, wide = map(int, size.groups())
    (found,) = drawn(text, 1)
    for (row, line), column in product(enumerate(found), range(len(found[0]))):
        q, k = (
            (row * tall, min((row + 1) * tall, 100_000) - 1),
            (column * wide, min((column + 1) * wide, 100_000) - 1),
        )
        nearest, farthest = q[0] - k[1], q[1] - k[0]
        kind = (
            4
            if nearest >= 0 and farthest <= 9999
            else 2
            if farthest >= 0 and nearest <= 9999
            else 0
        )
        assert line[column] == kind, (row, column)


def test_a_picture_fits_its_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns in (60, 80, 140):
        monkeypatch.setenv("COLUMNS", str(columns))
        for name, stream in (("video", "scene"), ("sliding", "text"), ("stamps", "joint")):
            assert show(str(ROOT / "specs" / f"{name}.yaml"), stream) == 0
            assert all(len(line) <= columns for line in capsys.readouterr().out.splitlines())


def test_any_number_of_tokens_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In tiles of 2^21 tokens, of which a causal window of 128 touches those on the diagonal."""
    path = tmp_path / "endless.yaml"
    text = (ROOT / "specs" / "sliding.yaml").read_text().replace("max: 1024", "max: 2147483647")
    path.write_text(text)
    assert show(str(path), "text") == 0
    shown = capsys.readouterr().out
    assert "2,047 of 1,048,576 touched, 0 whole" in shown and "samples" not in shown
    path.write_text(text.replace("causal & window(before=127)", "block(7919) & strided(7)"))
    assert show(str(path), "text") == 0
    assert "whole, by samples of their pairs" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("columns", [40, 200])
def test_a_narrow_terminal_hides_no_word(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert show(str(ROOT / "specs" / "sliding.yaml"), "text") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.endswith("tokens, queries down, keys across, indices within segments")


def test_every_shipped_mask_can_be_drawn(tmp_path: Path) -> None:
    for path in sorted((ROOT / "specs").glob("*.yaml")):
        if path.stem != "gpt2":
            plan = driver.run(path, "lower")
            for stack in (stack for stack in plan.stacks() if stack.depth):
                svg = tmp_path / f"{plan.name}_{stack.stream}.svg"
                assert show(str(path), stack.stream, "--svg", str(svg)) == 0
                ElementTree.parse(svg)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["joimt"], "MM608", "did you mean `joint`"),
        (["image"], "MM608", "one of: joint, reader"),
        (["joint", "--lengths", "txt=3"], "MM609", "did you mean `text`"),
        (["joint", "--lengths", "text=20"], "MM609", "at most 19 long, not 20"),
        (["joint", "--lengths", "image=2"], "MM609", "there (1) or absent (0)"),
        (["joint", "--lengths", "text"], "MM609", "no length"),
        (["joint", "--lengths", "text=3,text=4"], "MM609", "given twice"),
        (["joint", "--lengths", "text=0,image=0,audio=0"], "MM609", "no token at these lengths"),
        (["joint", "--tile", "0"], "MM609", "at least 1 token"),
        (["joint", "--png", "x.svg"], "MM609", "write x.png"),
        (["joint", "--svg", "nowhere/x.svg"], "MM603", "no such file"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    arguments: list[str], code: str, words: str, spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(spec, *arguments) == 2
    said = capsys.readouterr().err
    assert code in said
    assert words in said


def test_options_of_pictures_need_a_mask(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["show", spec, "--png", "x.png"])
    assert stopped.value.code == 2
    assert "--mask" in capsys.readouterr().err


def test_a_picture_is_replaced_whole(spec: str, tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_text("old")
    show(spec, "reader", "--svg", str(path))
    assert path.read_text().startswith("<svg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.svg", "seen.yaml"]


def test_an_absent_modality_leaves_the_picture(
    spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(spec, "joint", "--lengths", "image=0,text=5", "--json") == 0
    picture = json.loads(capsys.readouterr().out)["pictures"][0]
    assert [part["tokens"] for part in picture["keys"]] == [5, 23]


CODE = """
import sys
from mmspec.cli.main import main
main({arguments!r})
print(*sorted({{"torch", "sympy", "PIL", "triton"}} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("more", [[], ["--json"], ["--svg", "a.svg"]])
def test_pictures_load_neither_torch_nor_sympy(more: list[str], spec: str, tmp_path: Path) -> None:
    arguments = ["show", spec, "--mask", "joint", *more]
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(arguments=arguments)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == ""
