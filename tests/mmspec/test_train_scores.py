"""Figures of heads against scikit-learn and against loops; conditions; the rate of each step."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import nn
from training_job import Heads, Made, Output
from training_job import spec as toy

from mmspec import text
from mmspec.diagnostics import MmspecError
from mmspec.schema.spec import Spec
from mmspec.schema.validate import validate
from mmspec.train import schedule
from mmspec.train.evaluate import _checked as checked
from mmspec.train.evaluate import conditions, evaluate
from mmspec.train.feed import Inputs
from mmspec.train.scores import (
    Classification,
    LanguageModelling,
    Regression,
    Retrieval,
    Score,
)

HEADER = "mmspec: 1\nname: toy\n"


def inputs(
    targets: dict[str, torch.Tensor], lengths: dict[str, torch.Tensor] | None = None
) -> Inputs:
    return Inputs({}, lengths or {}, targets)


def test_classification_is_what_scikit_learn_says() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    source = torch.Generator().manual_seed(3)
    logits = torch.randn(101, 7, generator=source)
    target = torch.randint(5, (101,), generator=source)
    target[::11] = -100
    taken = Classification("label", 7)
    for part in range(0, 101, 13):
        taken.add(logits[part : part + 13], inputs({"label": target[part : part + 13]}))
    kept = target != -100
    truth, guess = target[kept].numpy(), logits.argmax(1)[kept].numpy()
    found = taken.figures()
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, guess))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(truth, guess, average="macro"))


def test_classification_of_nothing() -> None:
    taken = Classification("label", 3)
    taken.add(torch.zeros(2, 3), inputs({"label": torch.tensor([-100, -100])}))
    assert taken.figures() == {}


def test_regression() -> None:
    taken = Regression("size")
    taken.add(torch.tensor([[1.0, 2.0]]), inputs({"size": torch.tensor([[0.0, 4.0]])}))
    taken.add(torch.tensor([[3.0, 3.0]]), inputs({"size": torch.tensor([[3.0, 3.0]])}))
    assert taken.figures() == {"mse": (1 + 4) / 4}


@pytest.mark.parametrize("vocab", [11, 256])
def test_bits_of_language_modelling(vocab: int) -> None:
    source = torch.Generator().manual_seed(5)
    logits = torch.randn(3, 7, vocab, generator=source)
    tokens = torch.randint(vocab, (3, 7), generator=source)
    tokens[2, 3] = -100
    lengths = torch.tensor([7, 2, 5])
    taken = LanguageModelling("next", "words", vocab)
    taken.add(logits, inputs({"next": tokens}, {"words": lengths}))
    nats = [
        -math.log(math.exp(logits[b, t, tokens[b, t + 1]]) / sum(map(math.exp, logits[b, t])))
        for b in range(3)
        for t in range(6)
        if t + 1 < lengths[b] and tokens[b, t + 1] != -100
    ]
    assert len(nats) == 6 + 1 + 3
    unit = "bits_per_byte" if vocab == 256 else "bits_per_token"
    assert taken.figures() == {unit: pytest.approx(sum(nats) / len(nats) / math.log(2))}


def test_retrieval_counts_both_directions_and_skips_the_incomplete() -> None:
    source = torch.Generator().manual_seed(7)
    logits = torch.randn(23, 23, generator=source) + 2 * torch.eye(23)
    lengths = torch.ones(23, dtype=torch.long)
    lengths[4] = 0
    taken = Retrieval("match", (("image",), ("text", "sound")))
    given = Inputs({"image": torch.zeros(23, 1)}, {"text": lengths}, {})
    taken.add(logits, given)
    kept = [i for i in range(23) if i != 4]
    hits = {1: 0, 10: 0}
    for matrix in (logits, logits.T):
        for i in kept:
            order = sorted(kept, key=lambda j: -float(matrix[i, j]))
            for rank in hits:
                hits[rank] += i in order[:rank]
    found = taken.figures()
    assert found["gallery"] == 22
    assert found["r_at_1"] == pytest.approx(hits[1] / 44)
    assert found["r_at_10"] == pytest.approx(hits[10] / 44)
    assert 0 < hits[1] < hits[10] < 44


NOT_FINITE = (math.nan, math.inf, -math.inf)
ROWS = ("a:2", "a:3", "a:4")


def three(name: str, target: torch.Tensor, **lengths: torch.Tensor) -> Inputs:
    """Three samples whose rows have names."""
    return Inputs({"image": torch.zeros(3, 1)}, lengths, {name: target}, ROWS)


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize(
    ("taken", "given", "shape"),
    [
        (Classification("head", 5), three("head", torch.tensor([1, -100, 2])), (3, 5)),
        (Regression("head"), three("head", torch.zeros(3, 2)), (3, 2)),
        (
            LanguageModelling("head", "text", 7),
            three("head", torch.ones(3, 4, dtype=torch.long), text=torch.tensor([4, 4, 2])),
            (3, 4, 7),
        ),
        (
            Retrieval("head", (("image",), ("text",))),
            three("head", torch.zeros(3), text=torch.tensor([2, 2, 0])),
            (3, 3),
        ),
    ],
)
def test_what_is_not_finite_has_no_figure(
    taken: Score, given: Inputs, shape: tuple[int, ...], value: float
) -> None:
    output = torch.ones(shape)
    output[1] = value
    with pytest.raises(MmspecError, match=re.escape(f"`head` gives {value} for a:3")) as error:
        taken.add(output, given)
    assert error.value.diagnostics[0].code == "MM619"
    assert taken.figures() == {}


def test_a_sample_that_spoils_all_pairs_is_the_one_named() -> None:
    logits = torch.ones(3, 3)
    logits[2], logits[:, 2] = math.nan, math.nan
    with pytest.raises(MmspecError, match="for a:4"):
        Retrieval("m", (("image",), ("image",))).add(logits, three("m", torch.zeros(3)))


def test_what_does_not_count_may_be_anything() -> None:
    logits = torch.ones(3, 4, 7)
    logits[2, 1:], logits[:, -1] = math.nan, math.nan
    ids = torch.ones(3, 4, dtype=torch.long)
    taken = LanguageModelling("next", "text", 7)
    taken.add(logits, three("next", ids, text=torch.tensor([4, 4, 2])))
    assert taken.figures() == {"bits_per_token": pytest.approx(math.log2(7))}
    pairs = torch.eye(3)
    pairs[2], pairs[:, 2] = math.nan, math.nan
    found = Retrieval("m", (("image",), ("text",)))
    found.add(pairs, three("m", torch.zeros(3), text=torch.tensor([2, 2, 0])))
    assert found.figures() == {"r_at_1": 1.0, "r_at_10": 1.0, "gallery": 2}


class Gives(nn.Module):
    """Logits and a depth for 60 samples, of which the 17th has what is given."""

    def __init__(self, logit: float, depth: float) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.logit, self.depth = logit, depth

    def forward(self, sound: torch.Tensor, **_: object) -> Output:
        """What was said."""
        logits, depth = torch.ones(len(sound), 3), torch.ones(len(sound))
        logits[16, 1], depth[16] = self.logit, self.depth
        return Output(Heads(logits), None, {}, {}, {"joint.depth": depth})


@pytest.mark.parametrize("value", NOT_FINITE)
def test_an_evaluation_refuses_what_is_not_finite(value: float) -> None:
    everything = {"all present": frozenset({"sound", "row"})}
    fine = evaluate(Gives(2.0, 3.0), toy(), Made(), everything)["all present"]
    assert fine["statistics"]["joint.depth"] == pytest.approx(1 + 2 / 60)
    for logit, depth, words in ((value, 1.0, "`label`"), (1.0, value, "`joint.depth`")):
        with pytest.raises(MmspecError, match=f"{words} gives .* for sample 16") as error:
            evaluate(Gives(logit, depth), toy(), Made(), everything)
        assert error.value.diagnostics[0].code == "MM619"


def test_a_figure_that_overflows_is_refused() -> None:
    with pytest.raises(MmspecError, match="`mse` of `size` is inf"):
        checked({"size": {"mse": math.inf}})


def spec(optional: dict[str, bool]) -> Spec:
    lines = [
        f"  {n}: {{kind: table, columns: {{x: number}}, optional: {str(o).lower()}}}"
        for n, o in optional.items()
    ]
    streams = f"  joint: {{from: [{', '.join(optional)}], depth: 1, width: 8, heads: 2}}"
    head = "  label: {from: joint, kind: classifier, classes: 3}"
    parts = ["modalities:", *lines, "streams:", streams, "heads:", head]
    return validate(text.parse(HEADER + "\n".join(parts)))


@pytest.mark.parametrize(
    ("optional", "wanted"),
    [
        ({"x": False}, {"all present": "x"}),
        ({"x": False, "y": True}, {"all present": "xy", "without y": "x"}),
        ({"x": True, "y": True}, {"all present": "xy", "without x": "y", "without y": "x"}),
        ({"x": True}, {"all present": "x"}),
        (
            {"x": True, "y": True, "z": True},
            {"all present": "xyz", "without x": "yz", "without y": "xz", "without z": "xy"}
            | {"only x": "x", "only y": "y", "only z": "z"},
        ),
    ],
)
def test_conditions(optional: dict[str, bool], wanted: dict[str, str]) -> None:
    assert conditions(spec(optional)) == {k: frozenset(v) for k, v in wanted.items()}


def test_the_rate_rises_to_its_peak_and_falls_towards_zero() -> None:
    rates = [schedule.rate(step, 0.5, 10, 100) for step in range(1, 101)]
    assert rates[:10] == pytest.approx([0.05 * step for step in range(1, 11)])
    assert max(rates) == rates[9] == 0.5
    assert rates[9:] == sorted(set(rates[9:]), reverse=True)
    assert 0 < rates[-1] < 0.001


def test_no_warm_up_and_an_unknown_end() -> None:
    assert schedule.rate(1, 0.5, 0, None) == 0.5
    assert schedule.rate(3, 0.5, 4, None) == pytest.approx(0.375)


@pytest.mark.parametrize(
    ("step", "used", "wanted"),
    [(9, 0.9, None), (10, 1.0, 1000), (3, 11.0, 27), (50, 120.0, 50)],
)
def test_steps_for_a_budget(step: int, used: float, wanted: int | None) -> None:
    assert schedule.steps_for(100.0, step, used, 10) == wanted
