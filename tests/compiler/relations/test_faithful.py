"""Loops read back as sets: what loses, repeats or invents a tile is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import islpy as isl
import pytest

from mmspec.compiler.relations.loops import schedule as schedules
from mmspec.compiler.relations.loops.faithful import faithful
from mmspec.compiler.relations.loops.loops import Block, If, Loop, Node, Run, build
from mmspec.compiler.relations.loops.schedule import schedule
from mmspec.compiler.relations.loops.tiles import Tile, border, whole
from mmspec.compiler.relations.meaning.geometry import Axis, Geometry, grid, line
from mmspec.compiler.relations.meaning.relation import Relation, relation
from mmspec.compiler.relations.syntax import added
from mmspec.expressions.mask import parse

Case = tuple[Relation, tuple[Tile, Tile]]
CASES: dict[str, Case] = {
    text: (relation(parse(text), geometry, geometry), tiles)
    for text, geometry, tiles in (
        ("causal & window(before=9)", line("n"), ((4,), (4,))),
        ("dilated(step=3, reach=12)", line("n"), ((4,), (3,))),
        ("window2d(radius=2)", grid("h", 6), ((2, 2), (2, 2))),
        ("block(size=5) | global(count=3)", line("n"), ((4,), (4,))),
    )
}


def made(case: Case) -> tuple[Block, dict[bool, isl.Map], isl.Set]:
    """The loops of a case, what they are of, and what is known there."""
    found, tiles = case
    meant = {True: whole(found, *tiles), False: border(found, *tiles)}
    context = schedules._context(found, tiles[0])
    return build(meant, context, found.tile_names), meant, context


def changed(block: Block, change: str) -> Iterator[Block]:
    """The loops with one run changed, each in turn."""
    for at, node in enumerate(block):
        others: list[tuple[Node, ...]] = []
        if isinstance(node, Run):
            others = [{
                "lost": (),
                "twice": (node, node),
                "later": (replace(node, start=added(node.start, 1)),),
                "longer": (replace(node, stop=added(node.stop, 1)),),
                "other": (replace(node, whole=not node.whole),),
            }[change]]  # fmt: skip
        elif isinstance(node, Loop | If):
            others = [(replace(node, body=body),) for body in changed(node.body, change)]
            if isinstance(node, If):
                kept = changed(node.otherwise, change)
                others += [(replace(node, otherwise=body),) for body in kept]
        for other in others:
            yield (*block[:at], *other, *block[at + 1 :])


@pytest.mark.parametrize("text", CASES)
def test_loops_are_what_they_were_made_for(text: str) -> None:
    found, _ = CASES[text]
    loops, meant, context = made(CASES[text])
    assert faithful(loops, meant, context, found.tile_names)


@pytest.mark.parametrize("change", ["lost", "twice", "later", "longer", "other"])
@pytest.mark.parametrize("text", CASES)
def test_no_change_of_a_run_goes_unseen(text: str, change: str) -> None:
    found, _ = CASES[text]
    loops, meant, context = made(CASES[text])
    others = list(changed(loops, change))
    assert others
    for other in others:
        assert not faithful(other, meant, context, found.tile_names), other


def test_what_the_code_generator_loses_is_not_used() -> None:
    """Of `~block(6)` in 5 columns, isl's loops from keys to queries miss a tile; ours do not."""
    side = Geometry((Axis("row", "h"), Axis("column", 5)))
    back = relation(parse("~block(size=6)"), side, side).inverse()
    loops, meant, context = made((back, ((2, 1), (1, 3))))
    assert not faithful(loops, meant, context, back.tile_names)
    runs = schedule(back, (2, 1), (1, 3)).runs(1, {"h": 2})
    tiles = {tile for start, stop, _ in runs for tile in range(start, stop)}
    tokens = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}  # two rows; key tile 1 holds tokens 1 and 6
    sees = {q // 5 * 2 + q % 5 // 3 for q in tokens for k in (1, 6) if q // 6 != k // 6}
    assert tiles == sees


LINES = ("causal", "window(before=127, after=16)", "dilated(step=4, reach=256)", "strided(step=8)")
SHORT = ("block(size=96)", "global(count=7)", "prefix(length=100)", "causal & window(before=500)")
GRIDS = ("window2d(radius=5)", "shifted_window(size=8, shift=4)", "axial(axis=row)", "causal")
VIDEOS = ("window3d(radius=2)", "frame", "axial(axis=frame)", "frame & window2d(radius=2)")


@pytest.mark.parametrize("text", [*LINES, *SHORT])
def test_what_people_write_of_lines_is_exact(text: str) -> None:
    plan = schedule(relation(parse(text), line("n"), line("n")), 64, 64)
    assert plan.exact and plan.inverse.exact


@pytest.mark.parametrize("text", [*GRIDS, *VIDEOS])
def test_what_people_write_of_grids_is_exact(text: str) -> None:
    axes = (Axis("frame", "f"),) * (text in VIDEOS) + (Axis("row", "h"), Axis("column", 28))
    tile = (4, 4, 4) if "3d" in text else (1, 8, 8)
    plan = schedule(relation(parse(text), *[Geometry(axes)] * 2), *[tile[-len(axes) :]] * 2)
    assert plan.exact and plan.inverse.exact
