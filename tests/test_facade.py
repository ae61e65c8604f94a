"""The facade: what `import mmspec` offers, and that every name of it is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mmspec
from mmspec.version import __version__

PUBLIC = [
    *("MmspecError", "__version__", "check", "compile", "load_run", "load_weights"),
    *("plan", "read"),
]
"""A name that is added or taken away is a change that users see: CHANGELOG.md tells them."""


def test_the_facade_offers_what_it_did() -> None:
    assert sorted(mmspec.__all__) == PUBLIC
    assert dir(mmspec) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(mmspec, name)
    assert isinstance(value, str) or value.__doc__


def test_no_name_hides_a_layer() -> None:
    """`mmspec.verify` and `mmspec.compiler` are packages: a function of that name hides one."""
    assert not {"verify", "compiler"} & {*mmspec.__all__, *dir(mmspec)}
    code = "import mmspec.verify, mmspec.compiler as c; print(mmspec.verify.__name__, c.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["mmspec.verify", "mmspec.compiler"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'nonsense'"):
        _ = mmspec.nonsense


def test_the_version_is_said_once() -> None:
    assert mmspec.__version__ == __version__
    changes = (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {__version__}" in changes
