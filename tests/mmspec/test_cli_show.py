"""The diagram and the tree: every arrow can be followed from its box to the box it enters."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from mmspec import text
from mmspec.cli import diagram, graph, layout, tree
from mmspec.cli.diagram import Box, Graph
from mmspec.schema.validate import validate

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))

NORTH, EAST, SOUTH, WEST = (-1, 0), (0, 1), (1, 0), (0, -1)
OPEN = {
    "│": (NORTH, SOUTH),
    "─": (EAST, WEST),
    "└": (NORTH, EAST),
    "┘": (NORTH, WEST),
    "┌": (SOUTH, EAST),
    "┐": (SOUTH, WEST),
    "├": (NORTH, SOUTH, EAST),
    "┤": (NORTH, SOUTH, WEST),
    "┬": (SOUTH, EAST, WEST),
    "┴": (NORTH, EAST, WEST),
    "┼": (NORTH, SOUTH, EAST, WEST),
}


def drawn(picture: Graph, columns: int) -> list[str]:
    canvas = diagram.draw(picture, columns)
    assert canvas is not None
    return ["".join(part for part, _ in row) for row in canvas.rows()]


def named(edges: list[tuple[str, str]]) -> Graph:
    """Boxes titled by their ids, all of them streams."""
    ids = list(dict.fromkeys(name for edge in edges for name in edge))
    return Graph(tuple(Box(name, "stream", name, ()) for name in ids), tuple(edges))


def arrows(lines: list[str]) -> set[tuple[str, str]]:
    """Read the picture again: who reaches whom, by walking every line from its box."""
    width = max(map(len, lines))
    grid = [line.ljust(width) for line in lines]
    found = set()
    for row in range(1, len(grid) - 1):
        for column in range(width):
            if _is_exit(grid, row, column):
                source = _title(grid, row - 1, column)
                found |= {(source, target) for target in _walk(grid, row, column)}
    return found


def _is_exit(grid: list[str], row: int, column: int) -> bool:
    """A `┬` in the lower border of a box."""
    return grid[row][column] == "┬" and _title(grid, row - 1, column) != ""


def _title(grid: list[str], row: int, column: int) -> str:
    """The title in this row of a box, "" where the place is not inside one."""
    left = grid[row].rfind("│", 0, column)
    right = grid[row].find("│", column + 1)
    inside = grid[row][left + 1 : right]
    return inside.strip() if left >= 0 and right >= 0 and inside.strip().isalnum() else ""


def _walk(grid: list[str], row: int, column: int) -> set[str]:
    """Titles of the boxes that a line ends at."""
    targets: set[str] = set()
    seen: set[tuple[int, int, tuple[int, int]]] = set()
    pending = [(row + 1, column, SOUTH)]
    while pending:
        at = pending.pop()
        if at in seen:
            continue
        seen.add(at)
        y, x, (dy, dx) = at
        character = grid[y][x]
        if character == "▼":
            targets.add(_title(grid, y + 2, x))
            continue
        assert (-dy, -dx) in OPEN[character] or (character == "│" and dx), (y, x, character)
        if character == "│" and dx:
            pending.append((y + dy, x + dx, (dy, dx)))
            continue
        for way in OPEN[character]:
            if way not in ((-dy, -dx), NORTH):
                pending.append((y + way[0], x + way[1], way))
    return targets


def test_a_chain() -> None:
    assert drawn(named([("a", "b")]), 20) == [
        "┌───┐",
        "│ a │",
        "└─┬─┘",
        "  ▼",
        "┌───┐",
        "│ b │",
        "└───┘",
    ]


def test_two_into_one_and_one_into_two() -> None:
    edges = [("a", "c"), ("b", "c"), ("c", "d"), ("c", "e")]
    assert arrows(drawn(named(edges), 60)) == set(edges)


@pytest.mark.parametrize(
    "edges",
    [
        [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")],
        [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d"), ("a", "c"), ("b", "d")],
        [("a", "y"), ("b", "x"), ("c", "y"), ("a", "x"), ("c", "x"), ("x", "z"), ("b", "z")],
    ],
)
def test_crossings_can_be_followed(edges: list[tuple[str, str]]) -> None:
    assert arrows(drawn(named(edges), 80)) == set(edges)


@pytest.mark.parametrize("seed", range(200))
def test_random_graphs_can_be_followed(seed: int) -> None:
    source = random.Random(seed)
    names = [f"{'nodes'[: source.randint(1, 5)]}{i}" for i in range(source.randint(2, 9))]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    edges = source.sample(pairs, min(len(pairs), source.randint(1, 12)))
    assert arrows(drawn(named(edges), 1000)) == set(edges)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
@pytest.mark.parametrize("columns", [79, 119])
def test_every_shipped_spec_fits(path: Path, columns: int) -> None:
    spec = validate(text.read(path))
    lines = drawn(graph.graph(spec), columns)
    assert max(map(len, lines)) <= columns
    shown = "\n".join(lines)
    for name in (*spec.modalities, *spec.streams, *spec.heads):
        assert f" {name} " in shown
    for line in tree.lines(spec, {"total": 12345}, columns, ascii_only=False):
        assert len(line) <= columns


def test_boxes_are_cut_to_fit_and_given_up_when_they_cannot() -> None:
    wide = Graph(tuple(Box(f"{i}", "stream", "n" * 30, ()) for i in range(4)), ())
    assert max(map(len, drawn(wide, 64))) <= 64
    assert diagram.draw(wide, 20) is None


def test_the_tree_names_shapes_and_parameters() -> None:
    spec = validate(text.read(ROOT / "specs" / "gated.yaml"))
    counts = {"total": 1234, "joint": 567, "head label": 89}
    shown = [line.plain for line in tree.lines(spec, counts, 100, ascii_only=True)]
    assert shown[0].startswith("gated")
    assert any("joint" in line and "[B, 16 + <=48, 64]" in line and "567" in line for line in shown)
    assert any("label" in line and "[B, 9]" in line and " 89 " in line for line in shown)
    assert all(line.isascii() for line in shown)
    assert all(not line.endswith(" ") for line in shown)
    assert not any("init" in line for line in shown)


@pytest.mark.parametrize("said", ["gpt2", "normal(0.03)", "truncated-normal(0.5)"])
def test_the_tree_says_how_weights_start(said: str) -> None:
    written = (ROOT / "specs" / "gpt2.yaml").read_text().replace("init: gpt2", f"init: {said}")
    shown = [line.plain for line in tree.lines(validate(text.parse(written, "")), {}, 100, True)]
    assert f"|- init  {said}" in shown


def test_a_layer_that_cannot_fit_is_told_before_anything_is_ordered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 21 nodes side by side in 80 columns each takes at least one, and three before the next."""
    monkeypatch.setattr(layout, "_ordered", lambda layers: layers)
    boxes = ["m", *(f"s{n}" for n in range(21))]
    edges = [("m", name) for name in boxes[1:]]
    assert layout.layered(boxes, edges, frozenset({"m"}), 80) is None
    assert layout.layered(boxes[:-1], edges[:-1], frozenset({"m"}), 80) is not None
    passing = [("m", "s20"), *((f"s{n}", f"s{n + 1}") for n in range(20))]
    found = layout.layered(boxes, passing, frozenset({"m"}), 80)
    assert found is not None
    assert max(map(len, found.rows)) == 2


@pytest.mark.parametrize(
    ("name", "stream", "said"),
    [
        ("capped", "text", "scores: rms, scale 0.5, sink"),
        ("relative", "sound", "scores: offsets(15)"),
        ("relative", "text", "scores: buckets(16, 64, 2), tied"),
        ("local_global", "text", "layers local*2, global"),
    ],
)
def test_a_stream_says_what_is_special_about_its_layers(name: str, stream: str, said: str) -> None:
    made = validate(text.read(ROOT / "specs" / f"{name}.yaml"))
    assert said in graph.stream_lines(made.streams[stream])
