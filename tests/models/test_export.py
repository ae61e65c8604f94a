"""Programs of torch.export: saved here, read where neither mmspec nor its package's maker is."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from large import is_deep
from model_inputs import SMALL, SPECS, compiled, plan_of, tensors

import mmspec
from mmspec.compiler import driver

NAMES = SMALL if is_deep() else ["early_exit", "ponder", "sliding"]
"""Exports take seconds each: make deep has every shipped spec, others those that differ most:
depths that depend on the data, and attention by an operator."""

ELSEWHERE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mmspec", "pydantic", "yaml"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import importlib
import torch

for name in sys.argv[1:]:
    importlib.import_module(name)
    program = torch.export.load(f"{name}.pt2").module()
    for given, expected in torch.load(f"{name}.pt"):
        found = program(**given)
        assert type(found).__name__ == type(found.heads).__name__.replace("Heads", "Output")
        for head, value in expected.items():
            torch.testing.assert_close(getattr(found.heads, head), value)
"""

DRAWN = """
mmspec: 1
name: drawn
modalities: {text: {kind: tokens, vocab: 9, length: {max: 300}}}
streams: {text: {from: text, depth: 1, width: 8, heads: 1, attention: causal & random(2)}}
heads: {next: {from: text, kind: language-model}}
"""


def exported(name: str) -> tuple[torch.export.ExportedProgram, list[tuple[Any, Any]]]:
    """A shipped spec as a program for any batch, and what it is to say of some inputs."""
    plan, model = plan_of(name), compiled(name).eval()
    drawn = [tensors(plan, batch, seed) for batch, seed in ((3, 0), (5, 1))]
    cases = [{key: value for key, value in each.items() if key != "targets"} for each in drawn]
    batch = torch.export.Dim("batch", min=2, max=64)
    shapes: dict[str, Any] = {key: {0: batch} for key in cases[0] if key != "lengths"}
    shapes["lengths"] = {key: {0: batch} for key in cases[0]["lengths"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, (), cases[0], dynamic_shapes=shapes)
    with torch.no_grad():
        return program, [(case, model(**case).heads._asdict()) for case in cases]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Specs as a package, a saved program, and cases."""
    root = tmp_path_factory.mktemp("exported")
    for name in NAMES:
        driver.run(SPECS / f"{name}.yaml", "write", root / name)
        program, cases = exported(name)
        torch.export.save(program, root / f"{name}.pt2")
        torch.save(cases, root / f"{name}.pt")
    return root


def test_programs_are_read_where_mmspec_is_not(folder: Path) -> None:
    """Over 5 s: torch.export in one process, and its imports in another."""
    command = (sys.executable, "-c", ELSEWHERE, *NAMES)
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_drawn_blocks_are_exported_for_any_length(tmp_path: Path) -> None:
    """Over 5 s: torch.export."""
    path = tmp_path / "drawn.yaml"
    path.write_text(DRAWN)
    model = mmspec.compile(path, "sdpa")().eval()
    tokens = torch.export.Dim("tokens", min=2, max=300)
    ids = torch.randint(9, (2, 300), generator=torch.Generator().manual_seed(0))
    shapes = {"text": {1: tokens}}
    program = torch.export.export(model, (), {"text": ids}, dynamic_shapes=shapes).module()
    for count in (2, 64, 65, 300):
        found, expected = (each(text=ids[:, :count]).heads.next for each in (program, model))
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("backend", ["auto", "sdpa"])
def test_packed_documents_are_exported_for_any_length(tmp_path: Path, backend: Any) -> None:
    """As docs/architecture.md says, with positions that begin anew in each document."""
    path = tmp_path / "packed.yaml"
    path.write_text(
        DRAWN.replace("random(2)", "document & window(before=7)").replace(
            "300}", "300}, position: learned"
        )
    )
    model = mmspec.compile(path, backend)()
    ids = torch.randint(9, (2, 20), generator=torch.Generator().manual_seed(0))
    named = {"targets": {"next": ids}, "documents": {"text": torch.arange(20).expand(2, -1) // 3}}
    given: dict[str, Any] = {"text": ids, **named}
    tokens = {1: torch.export.Dim("tokens", max=300)}
    shapes = {"text": tokens, "targets": {"next": tokens}, "documents": {"text": tokens}}
    program = torch.export.export(model, (), given, dynamic_shapes=shapes).module()
    for count in (1, 2, 3, 20):
        few: dict[str, Any] = {"text": ids[:, :count]}
        few |= {key: {k: x[:, :count] for k, x in value.items()} for key, value in named.items()}
        found, expected = program(**few), model(**few)
        torch.testing.assert_close(found.heads.next, expected.heads.next)
        torch.testing.assert_close(found.loss, expected.loss)
