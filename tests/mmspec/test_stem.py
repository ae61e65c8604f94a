"""Stems in a spec: what is refused, at its step."""

from __future__ import annotations

import pytest

from mmspec.diagnostics import MmspecError
from mmspec.schema.validate import validate
from mmspec.text.document import parse

SPEC = """\
mmspec: 1
name: small
modalities:
  image: {{kind: image, size: [12, 8], {given}}}
streams:
  image: {{from: image, depth: 1, width: 6, heads: 2}}
heads:
  label: {{from: image, kind: classifier, classes: 2}}
"""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("channels: 3", "neither `patch` nor `stem`"),
        ("patch: 2, stem: [linear(6)]", "both `patch` and `stem`"),
        ("stem: [linear(5)]", "the stem gives 5 features; stream `image`"),
        ("stem: [convolution(6, kernel=5, stride=2, pad=4)]", "12 x 8 pixels come 8 x 6 tokens"),
        ("stem: [convolution(6, kernel=4)]", "an even kernel, 4, has no middle"),
        ("stem: [convolution(6, kernel=3, groups=2)]", "3 and 6 features are not both multiples"),
        ("stem: [max(kernel=3, pad=2), linear(6)]", "`pad` 2 is more than half of the kernel"),
        ("stem: [convolution(6, kernel=3, pad=3)]", "squares would lie beyond the edge"),
        ("stem: [convolution(6, kernel=9, pad=0)]", "nothing is left of 12 x 8"),
        ("stem: [convolution(kernel=3)]", "`convolution` does not say its features"),
        ("stem: [convolve(6, 3)]", "`convolve` is not one of the choices here"),
        ("stem: [convolution(6, kernal=3)]", "has no argument `kernal`"),
        ("stem: [batch-norm(momentum=2), linear(6)]", "must be less than or equal to 1"),
        ("stem: []", ""),
    ],
)
def test_a_step_that_does_not_fit_is_told(given: str, message: str) -> None:
    with pytest.raises(MmspecError) as raised:
        validate(parse(SPEC.format(given=given), "small.yaml"))
    (found,) = raised.value.diagnostics
    assert message in found.message
    assert found.span is not None
    assert found.span.line == 4


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("through: [batch-norm]}", "and `batch-norm` reads several"),
        ("through: [norm]}", ""),
    ],
)
def test_a_head_has_no_batch_norm(head: str, message: str) -> None:
    text = SPEC.format(given="patch: 4").replace("classes: 2}", f"classes: 2, {head}")
    if not message:
        validate(parse(text, "small.yaml"))
        return
    with pytest.raises(MmspecError, match=message):
        validate(parse(text, "small.yaml"))


@pytest.mark.parametrize(
    ("key", "said"),
    [("repeat: 2", "repeat"), ("attention: causal", "attention")],
)
def test_a_stream_of_no_layers_says_nothing_of_them(key: str, said: str) -> None:
    text = SPEC.format(given="patch: 4").replace("depth: 1", "depth: 0")
    assert validate(parse(text, "small.yaml")).streams["image"].depth == 0
    with pytest.raises(MmspecError, match=f"`{said}` is of layers, and the stream has none"):
        validate(parse(text.replace("depth: 0", f"depth: 0, {key}"), "small.yaml"))


def test_over_time_there_is_no_batch_norm() -> None:
    given = "kind: series, features: 2, rate: 5 Hz, length: {max: 8}, stem: [batch-norm, linear(6)]"
    text = SPEC.format(given="patch: 4").replace("kind: image, size: [12, 8], patch: 4", given)
    with pytest.raises(MmspecError, match="over time a `batch-norm` would make tokens of what"):
        validate(parse(text, "small.yaml"))
