"""The first value that differs: named, measured, with all before it said to agree."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import mmspec
from mmspec.compiler.load import load
from mmspec.verify import Difference, differing, first_difference
from mmspec.verify.faults import FAULTS
from mmspec.verify.lab import lab, passing
from mmspec.verify.lab.case import Case, cases
from mmspec.verify.lab.search import search
from mmspec.verify.law import Law, Search
from mmspec.verify.outcome import Broken, not_checked
from mmspec.verify.reference.model import Mode
from mmspec.verify.strategies import Inputs
from mmspec.verify.subject import Subject
from mmspec.verify.verify import check_law, law_of

SPECS = Path(__file__).parents[2] / "specs"
ONE, TWO, THREE = (torch.tensor(i) for i in (1, 2, 3))
SHIPPED = sorted(path for path in SPECS.glob("*.yaml") if path.stem != "gpt2")


@lru_cache
def sound(name: str) -> nn.Module:
    """A model of a shipped spec, with the weights that it begins with."""
    torch.manual_seed(0)
    return mmspec.compile(spec(name))()


def spec(name: str) -> Path:
    """The file of a shipped spec."""
    return SPECS / f"{name}.yaml"


def planted(name: str, module: str, off: float = 1e-3, call: int = 0) -> nn.Module:
    """The same model, of which one module gives something else from one of its calls on."""
    model = copy.deepcopy(sound(name))
    calls = 0

    def wrong(_module: Any, _given: Any, out: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= call:
            return None
        first, *more = out if isinstance(out, tuple) else (out,)
        first = first.clone()
        first[..., -1] += off
        return (first, *more) if isinstance(out, tuple) else first

    model.get_submodule(module).register_forward_hook(wrong)
    return model


PLACES = [
    ("gated", "text_embedding", "text_embedding"),
    ("gated", "text_stream.blocks.1.attention", "text_stream.blocks.1.attention"),
    ("gated", "image_stream.blocks.0.feed_forward.down", "image_stream.blocks.0.feed_forward"),
    ("gated", "joint_stream.norm", "joint_stream.norm"),
    ("gated", "joint_fusion", "joint_fusion"),
    ("gated", "label_head.output", "label_head"),
    ("experts_by_modality", "joint_stream.blocks.1", "joint_stream.blocks.1"),
    ("transformer_fusion", "joint_fusion.blocks.1.attention", "joint_fusion.blocks.1.attention"),
    ("cross_attention", "reader_fusion.attention", "reader_fusion.attention"),
    ("cross_attention", "image_to_reader", "image_to_reader"),
    ("ponder", "digits_stream.halt", "digits_stream.halt"),
]
"""A spec, a module that gives something else, and the place that must be named."""


@lru_cache
def subject(name: str) -> Subject:
    """A shipped spec."""
    return Subject.of(spec(name))


@lru_cache
def whole(name: str) -> Case:
    """Two samples of a shipped spec, of which no modality is absent."""
    met: list[Case] = []
    drawn = cases(subject(name), ("eval",), (2, 2), "gaussian", absent=False)
    assert search(NOTHING, subject(name), Search(3, 0), drawn, met.append).status == "held"
    return met[-1]


NOTHING = Law("none", "none", "", lambda *_: not_checked("", "", ""))


@pytest.mark.parametrize(("name", "module", "place"), PLACES)
def test_the_module_at_fault_is_named(name: str, module: str, place: str) -> None:
    model = planted(name, module).double()
    for other in (None, copy.deepcopy(sound(name)).double()):
        found = differing.compared(subject(name), whole(name), model, other)
        assert found is not None
        assert found.place == place
        assert found.apart is None or abs(found.apart.found - found.apart.expected) > 1e-6
        assert place not in found.before
        assert found.weights == ()
        assert found.inputs == ""
        assert f"`{place}` is " in str(found)


def batch() -> dict[str, Any]:
    """Two samples for `gated`: 9 and 4 tokens of text, no picture in the second."""
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(2, 3, 64, 64, generator=generator)
    text = torch.randint(256, (2, 9), generator=generator)
    lengths = {"image": torch.tensor([1, 0]), "text": torch.tensor([9, 4])}
    return {"image": image, "text": text, "lengths": lengths}


def test_the_sample_the_token_and_by_how_much() -> None:
    model = copy.deepcopy(sound("gated"))

    def wrong(_module: Any, _given: Any, out: Tensor) -> Tensor:
        return out + 0.25 * torch.zeros_like(out).index_put((ONE, THREE, TWO), out.new_ones(()))

    model.get_submodule("text_stream.blocks.1.attention").register_forward_hook(wrong)
    found = first_difference(spec("gated"), model, sound("gated"), batch())
    assert found is not None and found.apart is not None
    assert (found.sample, found.token, found.apart.place[-1]) == (1, 3, 2)
    assert found.apart.found - found.apart.expected == pytest.approx(0.25)
    assert "(off by 0.25) at sample 1, token 3, feature 2; before it" in str(found)
    assert found.before[-1] == "text_stream.blocks.1.attention_norm"
    assert "text_stream.blocks.0" in found.before
    assert "image_stream" in found.before
    again = first_difference(spec("gated"), model, None, batch())
    assert again is not None and str(again) == str(found)


def test_what_padding_holds_is_no_difference() -> None:
    model = copy.deepcopy(sound("gated"))

    def wrong(_module: Any, _given: Any, out: Tensor) -> Tensor:
        return out.index_put((ONE, THREE + 3), out.new_full((), 9.0))

    model.get_submodule("text_stream.blocks.1.feed_forward").register_forward_hook(wrong)
    assert first_difference(spec("gated"), model, sound("gated"), batch()) is None
    assert first_difference(spec("gated"), model, None, batch()) is None


def test_a_lost_residual_is_what_the_next_norm_is_given() -> None:
    model = copy.deepcopy(sound("gated"))

    def wrong(_module: Any, given: tuple[Tensor]) -> tuple[Tensor]:
        return (given[0] * 0.5,)

    norm = model.get_submodule("image_stream.blocks.1.feed_forward_norm")
    norm.register_forward_pre_hook(wrong)
    found = first_difference(spec("gated"), model, examples=4)
    assert found is not None
    assert found.place == "image_stream.blocks.1.feed_forward_norm.input"
    assert "what `image_stream.blocks.1.feed_forward_norm` is given is " in str(found)
    assert found.before[-1] == "image_stream.blocks.1.attention"


class Short(nn.ModuleList):
    """Blocks of which only the first is run."""

    def __iter__(self) -> Iterator[nn.Module]:
        return iter([self[0]])


def test_a_block_that_is_not_run() -> None:
    model = copy.deepcopy(sound("gated"))
    stream = model.get_submodule("text_stream")
    blocks = stream.get_submodule("blocks")
    stream.blocks = Short(block for _, block in blocks.named_children())
    for other in (None, sound("gated")):
        found = first_difference(spec("gated"), model, other, examples=4)
        assert found is not None
        assert found.place == "text_stream.blocks.1.attention_norm"
        assert found.what == "is not run"
        assert found.before[-1] == "text_stream.blocks.0"


@pytest.mark.parametrize("training", [False, True])
def test_a_later_step_of_a_ponder(training: bool) -> None:
    place = "digits_stream.blocks.0.attention"
    for other in (None, sound("ponder")):
        model = planted("ponder", place, call=3)
        found = compared(model, other, "train" if training else "eval")
        assert found is not None
        assert (found.place, found.call) == (place, 3)
        assert f"`{place}` in call 4 is " in str(found)


def digits() -> Inputs:
    """Three samples for `ponder`, of different lengths."""
    ids = torch.randint(11, (3, 17), generator=torch.Generator().manual_seed(3))
    return Inputs({"digits": ids}, {"digits": torch.tensor([17, 4, 11])}, {}, 3, "given", 0)


def compared(model: nn.Module, other: nn.Module | None, mode: Mode) -> Difference | None:
    """The first difference over one ragged batch, in a mode."""
    doubled = [None if m is None else copy.deepcopy(m).double() for m in (model, other)]
    assert doubled[0] is not None
    return differing.compared(subject("ponder"), Case(digits(), mode), doubled[0], doubled[1])


def test_samples_that_have_halted_are_no_difference() -> None:
    model, weights = mmspec.compile(spec("ponder"))().double(), subject("ponder").weights(2)
    weights["digits_stream.halt.weight"] *= -6
    model.load_state_dict(weights)
    seen = passing.run(subject("ponder"), Case(digits()), model)
    assert len(set(seen.statistics["digits.steps"].tolist())) == 3
    for other in (None, model):
        assert compared(model, other, "eval") is None


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_all_that_the_reference_notes_passes_through_a_module(path: Path) -> None:
    spec_of, model = subject(path.stem), copy.deepcopy(sound(path.stem)).double()
    noted, met = set[str](), set[str]()

    def check(case: Case) -> None:
        result = lab.reference(spec_of, case, given=model.state_dict(), record=True)
        noted.update(result.passed)
        met.update(name for name, _ in passing.run(spec_of, case, model).notes)

    check(whole(path.stem))
    plain = {f"{n}_fusion" for n, s in spec_of.spec.streams.items() if s.source.fusion == "concat"}
    assert noted - met == plain
    assert {name for name in met if passing.is_place(spec_of, name)} == noted - plain
    for name, stream in spec_of.spec.streams.items():
        for i in range(stream.depth):
            inner = [one.name for one in stream.layer(i).sublayers]
            inner += [] if stream.layer(i).block else ["attention_norm", "feed_forward_norm"]
            assert {f"{name}_stream.blocks.{i}.{one}" for one in inner} <= noted
    assert first_difference(path, model, examples=1) is None
    assert first_difference(path, model, model, examples=2) is None


def test_a_package_edited_by_hand() -> None:
    package = subject("gated").package
    text, count = re.subn(r"F\.gelu\(", "F.silu(", package.files["model.py"])
    assert count == 1
    files = {**package.files, "model.py": text}
    edited = load(type(package)(package.name, package.class_name, files))()
    edited.load_state_dict(sound("gated").state_dict())
    found = first_difference(spec("gated"), edited, sound("gated"), examples=4)
    assert found is not None
    assert str(found).endswith(found.inputs)
    assert re.match(r"batch of \d: .* seed \d+; (evaluation|training)$", found.inputs)
    assert re.fullmatch(r"(image|text)_stream\.blocks\.0\.feed_forward", found.place)


def test_weights_that_differ_are_named() -> None:
    model = copy.deepcopy(sound("gated"))
    with torch.no_grad():
        model.get_parameter("text_stream.blocks.1.attention.qkv.bias").add_(0.5)
    found = first_difference(spec("gated"), model, sound("gated"), batch())
    assert found is not None
    assert found.weights == ("text_stream.blocks.1.attention.qkv.bias",)
    assert "(its weights differ: text_stream.blocks.1.attention.qkv.bias)" in str(found)
    assert first_difference(spec("gated"), model, None, batch()) is None


def test_a_head_that_is_not_there() -> None:
    model = copy.deepcopy(sound("gated"))

    def wrong(_module: Any, _given: Any, out: Any) -> Any:
        return out._replace(heads=())

    model.register_forward_hook(wrong)
    found = first_difference(spec("gated"), model, sound("gated"), batch())
    assert found is not None
    assert (found.place, found.before[-1]) == ("label_head", "joint_stream")
    assert "`label_head` is not among the outputs; before it " in str(found)


def test_more_than_a_law_asks_never_hides_what_it_found() -> None:
    def check(_case: Case) -> None:
        raise Broken("it is wrong")

    def explain(_case: Case) -> str:
        raise ZeroDivisionError

    drawn = cases(subject("gated"))
    found = search(NOTHING, subject("gated"), Search(2, 0), drawn, check, explain)
    assert (found.status, found.detail) == ("refuted", "it is wrong")


def test_a_model_that_fails_raises_as_it_does_alone() -> None:
    model = copy.deepcopy(sound("gated"))

    def fails(_module: Any, _given: Any, _out: Any) -> None:
        raise ZeroDivisionError("by hand")

    model.get_submodule("text_stream").register_forward_hook(fails)
    with pytest.raises(ZeroDivisionError, match="by hand"):
        first_difference(spec("gated"), model, examples=2)


def test_a_model_of_another_spec_is_told() -> None:
    with pytest.raises(ValueError, match=r"lacks `digits_embedding\.position`, which the spec's"):
        first_difference(spec("ponder"), sound("gated"), examples=2)


TOLD = [
    ("P59", "patch-channel-last", "`image_embedding` is .*; it is the first$"),
    ("P59", "one-block-fewer", r"`text_stream\.blocks\.1\.attention_norm` is not run; before it"),
    ("P59", "blocks-shared", r"`text_stream\.blocks\.0\.attention_norm` in call 2 is called too"),
    ("P59", "scale-by-width", r"`joint_stream\.blocks\.0\.attention` is .*attention_norm`$"),
    ("P59", "gelu-approximated", r"`digits_stream\.blocks\.0\.feed_forward` is .*off by"),
    ("P59", "gate-applied-twice", "`joint_fusion` is .*off by .*before it"),
    ("P59", "pool-first-is-last", "`first_head` is .*off by"),
    ("R1", "penalty-detached", ""),
]
"""A law, a fault planted in the text of a package, and what the report names."""


@pytest.mark.parametrize(("law", "fault", "told"), TOLD)
def test_a_law_that_is_refuted_says_where_it_begins(law: str, fault: str, told: str) -> None:
    planted = next(f for f in FAULTS if f.id == fault).planted()
    found = check_law(law_of(law), planted, Search(20, 0))
    assert found.status == "refuted"
    where = f"; the first that differs: {told}" if told else "; all that passes .* agrees$"
    assert re.search(where, found.detail), found.detail
