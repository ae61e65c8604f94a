"""The steps of a compilation: each stoppable, each shown as stable text that leaves nothing out."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmspec.compiler import driver, ir, printer
from mmspec.compiler.emit.package import Package
from mmspec.diagnostics import MmspecError, Span
from mmspec.expressions import mask as masks
from mmspec.schema.spec import Spec
from mmspec.text import Document, parse

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "specs"
KINDS: dict[str, type] = {
    "read": Document,
    "validate": Spec,
    "lower": ir.Plan,
    "emit": Package,
    "write": Path,
}


def test_the_steps_are_a_list_that_reads_aloud() -> None:
    assert driver.STEPS == tuple(KINDS)
    with pytest.raises(AssertionError):
        driver.run(SPECS / "gated.yaml", "link")


@pytest.mark.parametrize("step", KINDS)
def test_every_step_makes_its_kind(step: str, tmp_path: Path) -> None:
    found = driver.run(SPECS / "gated.yaml", step, tmp_path / "gated")
    assert isinstance(found, KINDS[step])
    assert os.listdir(tmp_path) == (["gated"] if step == "write" else [])


def test_the_folder_is_named_after_the_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert driver.run(SPECS / "cross_attention.yaml", "write") == tmp_path / "cross_attention"


def test_a_wrong_spec_stops_at_the_step_that_sees_it(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("mmspec: 1\nname: a\n")
    assert isinstance(driver.run(path, "read"), Document)
    with pytest.raises(MmspecError):
        driver.run(path, "validate")


def shown(step: str, name: str = "hierarchical") -> str:
    """The text of a step of a shipped spec."""
    return driver.show(driver.run(SPECS / f"{name}.yaml", step))


def test_what_was_read_is_shown_as_its_data() -> None:
    source = (SPECS / "hierarchical.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(shown("read")) == parse(source).data


def test_what_was_validated_reads_back_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "again.yaml"
    path.write_text(shown("validate"))
    assert driver.show(driver.run(path, "validate")) == shown("validate")
    plans = [driver.show(driver.run(path, "lower")), shown("lower")]
    assert len({re.sub("  # line [0-9]+", "", plan) for plan in plans}) == 1


def test_a_package_is_shown_file_by_file() -> None:
    files = driver.run(SPECS / "gated.yaml", "emit").files
    text = shown("emit", "gated")
    at = [text.index(f"# {name}\n{content}") for name, content in files.items()]
    assert at == sorted(at)
    own = ["__init__.py", "attention.py", "inputs.py", "model.py", "sizes.py"]
    assert list(files) == [*own, "spec.yaml", "manifest.json"]


@pytest.mark.parametrize("step", ["read", "validate", "lower", "emit"])
def test_every_step_prints_the_same_in_another_process(step: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmspec.cli", "compile", "specs/gated.yaml", "--stop-after", step],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.rstrip("\n") == shown(step, "gated").rstrip("\n")
    assert str(ROOT) not in done.stdout


NOT_SHOWN = {
    *{("Plan", "about"), ("Plan", "source"), ("Segment", "modality"), ("Head", "name")},
    *{("Attention", name) for name in ("owner", "of", "queries", "keys", "own", "causal")},
    ("Attention", "key_width"),
    *{("Attention", "variant"), ("Block", "variant")},
    *{("Group", "heads"), ("Sublayer", "awaits")},
}
"""What the text of a Plan leaves out: words, the file it came from, and what others say already.

Of a span it shows the line.
"""


def variants(value: Any) -> Iterator[Any]:
    """Values like this one, each with one thing inside it changed."""
    if isinstance(value, Span):
        yield dataclasses.replace(value, line=value.line + 1)
    elif isinstance(value, masks.Pattern):
        yield masks.Not(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for item in dataclasses.fields(value):
            if (type(value).__name__, item.name) not in NOT_SHOWN:
                for inner in variants(getattr(value, item.name)):
                    yield dataclasses.replace(value, **{item.name: inner})
    elif isinstance(value, tuple):
        for at, item in enumerate(value):
            for inner in variants(item):
                yield (*value[:at], inner, *value[at + 1 :])
        if value and dataclasses.is_dataclass(value[-1]) and not isinstance(value[0], str):
            yield value[:-1]
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float | Fraction):
        yield value + 1
    elif isinstance(value, str):
        yield f"{value}_"


@pytest.mark.parametrize("name", ["gated", "ponder", "early_exit", "experts_top2", "stamps"])
def test_the_text_of_a_plan_leaves_nothing_out(name: str) -> None:
    plan = driver.run(SPECS / f"{name}.yaml", "lower")
    text, count = printer.show(plan), 0
    for other in variants(plan):
        count += 1
        differs = printer.show(other) != text
        assert differs, other
    assert count > 80
    assert printer.show(driver.run(SPECS / f"{name}.yaml", "lower")) == text


def test_latents_are_told_from_a_modality() -> None:
    plan = driver.run(SPECS / "multi_stream_concat.yaml", "lower")
    value = plan.nodes[-1].out
    named = dataclasses.replace(value, segments=(value.segments[0],))
    latent = dataclasses.replace(value.segments[0], modality=None)
    texts = [
        printer.show(dataclasses.replace(plan, nodes=(dataclasses.replace(plan.nodes[-1], out=v),)))
        for v in (named, dataclasses.replace(value, segments=(latent,)))
    ]
    assert " latents," in texts[1] and "latents" not in texts[0]
