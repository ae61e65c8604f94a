"""Golden losses: a change that is to leave the meaning as it is leaves these as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from curve_case import CASES, STEPS, curve, difference, written
from large import is_deep
from pydantic import BaseModel
from torch import Tensor, nn

import mmspec
from mmspec.schema.spec import Spec

GOLDEN = Path(__file__).parents[1] / "golden" / "losses"


FEW, BEGINNING = 4, 8
"""Steps of another way of attention, and of most curves: what is wrong shows in the first two
(below); `make deep`: all."""
WHOLE = ("act", "early_exit", "gpt2", "ponder")
"""What evaluation, which comes last, does otherwise than training: depths, and no dropout."""


@pytest.mark.deep
@pytest.mark.parametrize("name", CASES)
def test_the_losses_are_those_of_before(
    name: str,
    golden: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """With attention on all pairs and by tiles: both ways are forced, none is measured."""
    path = written(name, tmp_path)
    monkeypatch.setenv("MMSPEC_TILES", "0")
    whole = name in WHOLE or is_deep() or request.config.getoption("--update-golden")
    found = curve(path, "sdpa", steps=STEPS if whole else BEGINNING)
    golden(f"losses/{name}.txt", found, difference if whole else differs_so_far)
    monkeypatch.setenv("MMSPEC_TILES", "1")
    few = curve(path, "tiles", steps=STEPS if is_deep() else FEW)
    told = differs_so_far(found, few)
    assert not told, f"by tiles {told}"


def differs_so_far(kept: str, found: str) -> str:
    """Where the beginning of a curve differs."""
    return difference("".join(kept.splitlines(keepends=True)[: found.count("\n")]), found)


def test_no_golden_losses_are_left_over() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(CASES)


def test_every_word_of_the_language_is_trained(tmp_path: Path) -> None:
    """A new kind of fusion, norm, halting, ... asks for a case of its own."""
    trained = {word for name in CASES for word in used(mmspec.read(written(name, tmp_path)))}
    lacking = sorted(": ".join(word) for word in known(Spec) - trained)
    assert not lacking, f"no curve trains {', '.join(lacking)}: add a case to curve_case.CASES"


def known(model: type[BaseModel]) -> set[tuple[str, str]]:
    """All words that the language has for a field, with its name; a head's loss is its kind's."""
    words: set[tuple[str, str]] = set()
    seen: set[Any] = set()
    ahead: list[tuple[str, Any]] = [("", model)]
    while ahead:
        field, annotation = ahead.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if annotation not in seen:
                ahead += [(name, each.annotation) for name, each in annotation.model_fields.items()]
            seen.add(annotation)
        elif get_origin(annotation) is Literal and field not in ("loss", "mmspec"):
            words |= {(field, word) for word in get_args(annotation) if isinstance(word, str)}
        else:
            ahead += [(field, part) for part in get_args(annotation)]
    return words


def used(value: Any, field: str = "") -> Iterator[tuple[str, str]]:
    """The words of a spec, defaults too, each with the name of its field."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from used(getattr(value, name), name)
    elif isinstance(value, dict | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from used(part, field)
    elif isinstance(value, str):
        yield field, value


def wider(model: nn.Module) -> None:
    """Weights of one layer, drawn with a deviation that is one in a hundred too large."""
    weight = model.get_parameter("digits_embedding.table.weight")
    weight.data.mul_(1.01)


def softer(model: nn.Module) -> None:
    """Norms with another eps."""
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps *= 1.01


def unsummed(model: nn.Module) -> None:
    """A block whose input is not added to what it gives."""

    def without(module: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> Tensor:
        return found - given[0]

    model.get_submodule("digits_stream.blocks.0").register_forward_hook(without)


@pytest.mark.parametrize("fault", [wider, softer, unsummed])
def test_a_fault_shows_in_the_first_steps(
    fault: Callable[[nn.Module], None], tmp_path: Path
) -> None:
    told = difference(_kept(), curve(written("ponder", tmp_path), "sdpa", fault, FEW))
    assert told.startswith(("step 1:", "step 2:")), told


def test_another_weight_of_a_loss_shows(tmp_path: Path) -> None:
    path = written("ponder", tmp_path)
    path.write_text(path.read_text().replace("weight: 0.01,", "weight: 0.010001,"))
    assert difference(_kept(), curve(path, "sdpa", steps=FEW)).startswith("step 1: loss ")


def _kept() -> str:
    return (GOLDEN / "ponder.txt").read_text(encoding="utf-8")


def test_what_differs_is_told() -> None:
    kept = f"# head\nstep {STEPS}  loss 2.0  gradient 3.0\n"
    assert difference(kept, kept) == ""
    assert difference(kept, kept.replace("2.0", repr(2 * (1 + 5e-10)))) == ""
    assert "step 30: loss 2.000000004, not 2.0" in difference(
        kept, kept.replace("2.0", "2.000000004")
    )
    assert "gradient" in difference(kept, kept.replace("3.0", "nan"))
    assert difference(kept, kept.replace("gradient", "label")) == "step 30: other figures"
    assert difference(kept, kept.replace("head", "tail")) == "'# tail', not '# head'"
    assert difference(kept, kept + kept) == "not as many lines"
