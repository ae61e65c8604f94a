"""What does not fit a shipped model is told before anything is computed, by the name it was given.

Each way to be wrong is tried on every input, length and target of every shipped spec.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from model_inputs import SMALL, compiled, plan_of, tensors
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.masked import masked_tensor

import mmspec
from mmspec.compiler import ir

pytestmark = pytest.mark.filterwarnings("ignore:.*(prototype|beta) (stage|state)")
BATCH = 3
Given = dict[str, Any]
PACKED = """
mmspec: 1
name: mail
modalities: {text: {kind: tokens, vocab: 9, length: {max: 12}}}
streams: {text: {from: text, depth: 1, width: 8, heads: 1, attention: causal & document}}
heads: {next: {from: text, kind: language-model}}
"""


def unlike(x: Tensor) -> Iterator[Tensor]:
    """What holds the same, but not in dense rows or not where the model is."""
    yield from (x.to("meta"), x.to_sparse(), masked_tensor(x, torch.ones_like(x).bool()))
    yield nn.UninitializedBuffer().to(x.dtype)
    yield torch.nested.nested_tensor([*x], layout=torch.strided)
    if x.dim() > 1:
        yield torch.nested.nested_tensor([*x], layout=torch.jagged)
        yield x.to_sparse_csr() if x.dim() == 2 else x.flatten(1).to_sparse_csr()
    if x.is_floating_point():
        yield x.to_mkldnn()


def wrong_inputs(plan: ir.Plan, given: Given) -> Iterator[tuple[str, Given]]:
    """Inputs that do not fit, each with the name that is to be told."""
    for item in plan.inputs:
        x = given[item.name]
        faults: list[Any] = [x.tolist(), x.bool(), x[:, None], x[0], torch.tensor(1.0)]
        faults += [*unlike(x)]
        faults += [x[..., :-1]] if isinstance(item.shape[-1], int) else []
        faults += [None] if not item.optional else []
        if item.dtype == "int64":
            faults += [x.float(), x - 2, x + 10**6, x.byte()]
        elif item.kind == "table":
            faults += [x + 10**6, x + 0.5]
        else:
            faults += [x.double(), x.half(), x.byte(), x.long()]
        if item.longest:
            faults.append(x[:, :1].expand(-1, item.longest + 1, *x.shape[2:]))
        for fault in faults:
            yield item.name, {**given, item.name: fault, "lengths": {}, "targets": {}}
        if len(plan.inputs) > 1:
            yield item.name, {**given, item.name: x[:1], "lengths": {}, "targets": {}}


def wrong_lengths(plan: ir.Plan, given: Given) -> Iterator[tuple[str, Given]]:
    """The same of lengths."""
    for item in plan.inputs:
        most = given[item.name].shape[1] if item.longest else 1
        for fault in (
            *(torch.tensor([value] * BATCH) for value in (most + 1, -1, 0.5, True)),
            *(
                torch.ones(shape, dtype=torch.int64)
                for shape in ((1,), (BATCH + 1,), (BATCH, 1), ())
            ),
            [1] * BATCH,
            None,
            *unlike(torch.ones(BATCH, dtype=torch.int64)),
        ):
            yield f"lengths of {item.name}", {**given, "lengths": {item.name: fault}}
    yield "lengths", {**given, "lengths": {"nobody": torch.ones(BATCH)}}
    yield "lengths", {**given, "lengths": torch.ones(BATCH)}


def wrong_targets(plan: ir.Plan, given: Given) -> Iterator[tuple[str, Given]]:
    """The same of targets."""
    for head in plan.heads:
        target = given["targets"][head.name]
        faults: list[Any] = [target.tolist(), None, target.to("meta")]
        if head.loss.name != "contrastive":
            faults += [target[1:], target[:1], target.bool(), target[..., None], *unlike(target)]
        if head.loss.name == "mse":
            faults += [target.long(), target[:, 0]]
        elif head.loss.name != "contrastive":
            faults += [target.float(), target.int(), target - 1, target + head.size]
        if head.loss.name == "cross-entropy":
            faults += [torch.nn.functional.one_hot(target, head.size).float()]
        for fault in faults:
            yield f"targets of {head.name}", {**given, "targets": {head.name: fault}}
    yield "targets", {**given, "targets": {"nobody": torch.ones(BATCH)}}
    yield "targets", {**given, "targets": torch.ones(BATCH)}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("faults", [wrong_inputs, wrong_lengths, wrong_targets])
def test_what_is_wrong_is_named(name: str, faults: Any) -> None:
    plan, model = plan_of(name), compiled(name)
    given = tensors(plan, BATCH)
    tried = 0
    for told, wrong in faults(plan, given):
        with pytest.raises((ValueError, TypeError)) as raised, torch.no_grad():
            model(**wrong)
        assert told in str(raised.value), (told, str(raised.value))
        tried += 1
    assert tried >= 2


def test_an_input_of_another_name_is_named() -> None:
    with pytest.raises(TypeError, match="imgae"):
        compiled("gated")(imgae=torch.zeros(2, 3, 64, 64))


def test_documents_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "packed.yaml"
    path.write_text(PACKED)
    model, ids = mmspec.compile(path)(), torch.zeros(2, 5, dtype=torch.int64)
    model(text=ids, documents={"text": ids})
    for fault in (ids.float(), ids[:1], ids[:, :1], ids[0], ids.tolist(), None, *unlike(ids)):
        with pytest.raises((ValueError, TypeError), match="documents of text must be"):
            model(text=ids, documents={"text": fault})
    with pytest.raises(ValueError, match="documents has no 'txt'"):
        model(text=ids, documents={"txt": ids})
    length_b = torch.ones(2, dtype=torch.int64)
    with pytest.raises(ValueError, match="lengths of text must be on cpu"):
        model(text=ids, lengths={"text": length_b.to("meta")}, documents={"text": ids})


def test_what_decoding_is_given_is_checked() -> None:
    plan, model = plan_of("video"), compiled("video").eval()
    steps: Any = import_module(".decoding", type(model).__module__.rpartition(".")[0])
    given = tensors(plan, BATCH)
    prompt = {key: value for key, value in given.items() if key != "targets"}
    for told, wrong in (*wrong_inputs(plan, prompt), *wrong_lengths(plan, prompt)):
        with pytest.raises((ValueError, TypeError)) as raised, torch.no_grad():
            steps.prefill(model, **{key: wrong[key] for key in prompt})
        assert told in str(raised.value), (told, str(raised.value))
    _, cache = steps.prefill(model, **prompt)
    ids = torch.zeros(BATCH, 2, dtype=torch.int64)
    steps.decode(model, ids, cache)
    wrong_ids = (ids + 256, ids - 1, ids.float(), ids[:1], ids[0], ids[:, :0], ids.tolist(), None)
    for fault in (*wrong_ids, *unlike(ids)):
        with pytest.raises((ValueError, TypeError), match="next tokens"):
            steps.decode(model, fault, cache)


def test_a_graph_for_every_batch_says_it_too() -> None:
    """Ranks and sizes: values are not looked at where a graph is made."""
    model, given = compiled("gated").eval(), tensors(plan_of("gated"), BATCH)
    torch.compiler.reset()
    traced = torch.compile(model, fullgraph=True, dynamic=True, backend="eager")
    traced(**given)
    with pytest.raises(Exception, match="the batch of text is 3, that of image is 1"):
        traced(image=given["image"][:1], text=given["text"])
    with pytest.raises(Exception, match="text must be on cpu as the model's weights are, is"):
        traced(image=given["image"], text=given["text"].to("meta"))
    torch.compiler.reset()
    broken = torch.compile(model, backend="eager")  # a whole graph of them is refused by torch
    with pytest.raises(ValueError, match="lengths of text must be a dense tensor"):
        broken(**{**given, "lengths": {"text": given["lengths"]["text"].to_sparse()}})


@pytest.mark.parametrize("place", ["lengths", "targets"])
def test_a_program_is_not_exported_of_what_does_not_fit(place: str) -> None:
    model, given = compiled("gated").eval(), tensors(plan_of("gated"), BATCH)
    name = "text" if place == "lengths" else "label"
    given[place] = {name: given[place][name].to("meta")}
    with pytest.raises(Exception, match=f"{place} of {name} must be on cpu"):
        torch.export.export(model, (), given)


def test_transforms_are_told_the_same() -> None:
    model, given = compiled("gated").eval(), tensors(plan_of("gated"), BATCH)

    def one(image: Tensor) -> Tensor:
        output: Tensor = model(image=image[None], text=given["text"][:1]).heads.label
        return output

    assert torch.func.vmap(one)(given["image"]).shape == (BATCH, 1, 9)
    with pytest.raises(ValueError, match="image must be on cpu"):
        torch.func.vmap(one)(given["image"].to("meta"))


class Named(Tensor):
    """A subclass that changes nothing."""


def test_subclasses_that_are_dense_are_looked_at_as_others() -> None:
    model, given = compiled("gated").eval(), tensors(plan_of("gated"), BATCH)
    given.pop("targets")
    expected = model(**given).heads.label
    image, text = nn.Parameter(given["image"]), given["text"].as_subclass(Named)
    found = model(**{**given, "image": image, "text": text}).heads.label
    torch.testing.assert_close(found.as_subclass(Tensor), expected)
    with pytest.raises(ValueError, match="ids of text must be from 0 to 255"):
        model(**{**given, "text": text + 999})


def test_a_model_without_weights_gives_shapes() -> None:
    """On meta with all that it is given; numbers of a model that is elsewhere are refused."""
    given = tensors(plan_of("gated"), BATCH)
    with torch.device("meta"):
        model = type(compiled("gated"))().eval()
    there = {key: given[key].to("meta") for key in ("image", "text")}
    assert model(**there).heads.label.shape == (BATCH, 9)
    with FakeTensorMode():
        model = type(model)().eval()
        fake = {key: torch.zeros(x.shape, dtype=x.dtype) for key, x in there.items()}
        assert model(**fake).heads.label.shape == (BATCH, 9)
    with pytest.raises(ValueError, match="text must be on meta as the model's weights are"):
        type(model)().to("meta")(text=given["text"])
