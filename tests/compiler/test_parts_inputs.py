"""What is said of what does not fit a model, and what is let pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.masked import masked_tensor
from torch.nested import nested_tensor

from mmspec.compiler.parts import inputs
from mmspec.compiler.parts.inputs import (
    INTEGERS,
    NUMBERS,
    batch_size,
    expect,
    known,
    patches,
    tubelets,
)

CPU = torch.device("cpu")
ONES = torch.ones(2, 3, 5)
IDS = torch.tensor([[0, 4, 2], [1, 1, 3]])


def test_names_are_known() -> None:
    given = {"text": torch.ones(2)}
    assert known("lengths", given, ("text", "image"), CPU) is given
    assert known("lengths", None, ("text",), CPU) == {}
    with pytest.raises(ValueError, match="lengths has no 'txt'; names: text, image"):
        known("lengths", {"txt": torch.ones(2)}, ("text", "image"), CPU)


@pytest.mark.parametrize(("given", "kind"), [(torch.ones(2), "Tensor"), ([1], "list")])
def test_names_come_with_a_dict(given: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"targets must be a dict of tensors by name, is a {kind}"):
        known("targets", given, ("label",), CPU)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (None, TypeError, r"x must be a tensor \[any, 3, 5\], is None"),
        ([[1.0]], TypeError, r"x must be a tensor \[any, 3, 5\], is a list"),
        (torch.zeros(2, 3, 5).byte(), ValueError, "x must be float32, .* or float16, is uint8"),
        (torch.zeros(2, 3, 5).bool(), ValueError, "is bool"),
        (torch.zeros(3, 5), ValueError, r"x must be \[any, 3, 5\], is \[3, 5\]"),
        (torch.zeros(2, 5, 3), ValueError, r"x must be \[any, 3, 5\], is \[2, 5, 3\]"),
        (torch.tensor(1.0), ValueError, r"x must be \[any, 3, 5\], is \[\]"),
    ],
)
def test_kind_type_and_shape(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        expect("x", x, NUMBERS, (None, 3, 5))


UNLIKE: list[tuple[Callable[[], Tensor], str]] = [
    (lambda: ONES.to_sparse(), "is sparse_coo: give its to_dense"),
    (lambda: ONES[0].to_sparse_csr(), "is sparse_csr: give its to_dense"),
    (lambda: ONES[0].to_sparse_bsc((1, 1)), "is sparse_bsc: give its to_dense"),
    (lambda: ONES.to_mkldnn(), "is _mkldnn: give its to_dense"),
    (lambda: masked_tensor(ONES, ONES > 0), "is masked: give its get_data"),
    (lambda: nn.UninitializedParameter(), "is not initialised"),
    (lambda: nested_tensor([*ONES], layout=torch.strided), "is nested: pad it, and say by lengths"),
    (lambda: nested_tensor([*ONES], layout=torch.jagged), "is nested: pad it, and say by lengths"),
]


@pytest.mark.parametrize(("make", "message"), UNLIKE)
@pytest.mark.filterwarnings("ignore:.*(prototype|beta) (stage|state)")
def test_what_is_no_dense_tensor(make: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=rf"x must be a dense tensor \[any, 3, 5\], {message}"):
        expect("x", make(), NUMBERS, (None, 3, 5))


def test_what_is_given_is_where_the_weights_are() -> None:
    inputs.expect_device("x", IDS, CPU)
    inputs.expect_device("x", None, CPU)
    with pytest.raises(ValueError, match="x must be on cpu as the model's weights are, is on m"):
        inputs.expect_device("x", IDS.to("meta"), CPU)
    with pytest.raises(ValueError, match=r"lengths of text must be on meta .* is on cpu"):
        known("lengths", {"text": IDS}, ("text",), torch.device("meta"))


def test_a_target_that_need_only_be_there_is_a_tensor() -> None:
    inputs.expect_any("pair", {"pair": IDS})
    inputs.expect_any("pair", {})
    for wrong, kind in ((None, "None"), ([1], "a list"), (True, "a bool")):
        with pytest.raises(TypeError, match=f"targets of pair must be a tensor, is {kind}"):
            inputs.expect_any("pair", {"pair": wrong})  # type: ignore[dict-item]


def test_what_fits_passes() -> None:
    for dtype in NUMBERS:
        expect("x", torch.zeros(2, 3, dtype=dtype), NUMBERS, (None, 3))
    for dtype in INTEGERS:
        expect("x", torch.zeros(2, 3, dtype=dtype), INTEGERS, (2, None))
    expect("x", torch.zeros(0, 3), NUMBERS, (None, 3))


def test_a_batch_is_that_of_every_input_there_is() -> None:
    assert batch_size(image=None, text=torch.zeros(3, 2), sound=torch.zeros(3)) == 3
    with pytest.raises(ValueError, match="the batch of text is 3, that of image is 1"):
        batch_size(image=torch.zeros(1, 2), sound=None, text=torch.zeros(3, 2))
    with pytest.raises(ValueError, match="give at least one of: image, text"):
        batch_size(image=None, text=None)


def test_ids_are_below_the_vocabulary() -> None:
    inputs.expect_ids("text", IDS, 5, 3)
    for wrong in (IDS - 1, IDS + 1):
        with pytest.raises(ValueError, match=r"ids of text must be from 0 to 4, has (-1|5)"):
            inputs.expect_ids("text", wrong, 5, 3)
    with pytest.raises(ValueError, match="text has 3 positions, at most 2 are allowed"):
        inputs.expect_ids("text", IDS, 5, 2)
    with pytest.raises(ValueError, match="text must be int64 or int32, is float32"):
        inputs.expect_ids("text", IDS.float(), 5, 3)


def test_codes_of_a_row_are_below_their_categories() -> None:
    inputs.expect_row("row", torch.tensor([[-7.5, 2.0], [9.0, 0.0]]), (0, 3))
    inputs.expect_row("row", torch.tensor([[1, 2]]), (2, 3))
    for wrong in (3.0, -1.0, float("nan"), 1.5):
        with pytest.raises(
            ValueError, match=r"codes in column 1 of row must be .*from 0 to 2, has"
        ):
            inputs.expect_row("row", torch.tensor([[0.0, wrong]]), (0, 3))


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ([4, 3, 0], None),
        ([5, 4, 4], "lengths of text must be from 0 to 4, has 5"),
        ([-1, 4, 4], "lengths of text must be from 0 to 4, has -1"),
        ([4], r"lengths of text must be \[3\], is \[1\]"),
        ([[4], [4], [4]], r"lengths of text must be \[3\], is \[3, 1\]"),
        ([2.5, 4, 4], "lengths of text must be int64 or int32, is float32"),
        ([True, True, True], "lengths of text must be int64 or int32, is bool"),
    ],
)
def test_lengths_are_those_of_the_batch(length: list[Any], message: str | None) -> None:
    given = {"text": torch.tensor(length)}
    if message is None:
        inputs.expect_lengths("text", given, 3, 4)
        return
    with pytest.raises(ValueError, match=message):
        inputs.expect_lengths("text", given, 3, 4)


def test_lengths_need_not_be_given() -> None:
    inputs.expect_lengths("text", {}, 3, 4)
    with pytest.raises(TypeError, match=r"lengths of text must be a tensor \[3\], is a list"):
        inputs.expect_lengths("text", {"text": [1, 2, 3]}, 3, 4)  # type: ignore[dict-item]


def test_documents_are_of_each_token() -> None:
    inputs.expect_documents("text", {"text": IDS}, (2, 3), None)
    with pytest.raises(ValueError, match=r"documents of text must be \[2, 4\], is \[2, 3\]"):
        inputs.expect_documents("text", {"text": IDS}, (2, 4), None)
    apart = {"text": torch.tensor([[3, 3, 3], [4, 2, 4]])}
    inputs.expect_documents("text", apart, (2, 3), torch.tensor([3, 2]))
    with pytest.raises(ValueError, match="documents of text: in sample 1 a document goes on"):
        inputs.expect_documents("text", apart, (2, 3), None)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([0, 4, -100], None),
        ([0, 5, -100], r"targets of label must be from 0 to 4, has 5"),
        ([0, -1, 1], r"targets of label must be from 0 to 4, has -1"),
        ([[0, 1], [1, 0], [0, 1]], r"\(class ids\) must be \[3\], is \[3, 2\]"),
        ([0.0, 1.0, 0.0], r"\(class ids\) must be int64, is float32"),
    ],
)
def test_classes(target: list[Any], message: str | None) -> None:
    given = {"label": torch.tensor(target)}
    if message is None:
        inputs.expect_classes("label", given, 3, 5)
        return
    with pytest.raises(ValueError, match=message):
        inputs.expect_classes("label", given, 3, 5)


def test_ids_to_predict() -> None:
    """What no position predicts may be anything: the first id, and those past the length."""
    length_b = torch.tensor([3, 2])

    def look(target_bt: Tensor, told: Tensor | None = length_b) -> None:
        inputs.expect_next("next", {"next": target_bt}, (2, 3), told, 5)

    look(IDS)
    look(torch.tensor([[-1, 4, -100], [9, 1, -1]]))
    for wrong in ([[0, 5, 1], [0, 1, 1]], [[0, 4, -1], [0, 1, 1]]):
        with pytest.raises(ValueError, match=r"targets of next must be from 0 to 4, has"):
            look(torch.tensor(wrong))
    with pytest.raises(ValueError, match="from 0 to 4, has -1"):
        look(torch.tensor([[0, 1, 1], [0, 1, -1]]), None)
    with pytest.raises(ValueError, match=r"must be \[2, 3\], is \[2, 2\]"):
        look(IDS[:, :2])


def test_values_are_not_looked_at_where_that_would_wait_or_is_not_possible() -> None:
    def looked(ids_bt: Tensor) -> Tensor:
        inputs.expect_ids("text", ids_bt, 5, 3)
        return ids_bt * 1

    wrong = IDS + 9
    assert looked(wrong.to("meta")).shape == wrong.shape
    assert torch.func.vmap(lambda ids_t: looked(ids_t[None])[0])(wrong).shape == wrong.shape
    traced = torch.compile(looked, backend="eager", fullgraph=True)
    assert torch.equal(traced(wrong), wrong)
    with pytest.raises(ValueError, match="from 0 to 4, has 9"):
        looked(wrong)


def test_numbers_are_of_the_type_of_their_weight() -> None:
    weight, x = nn.Parameter(torch.zeros(2)), torch.zeros(3, dtype=torch.float64)
    with pytest.raises(ValueError, match="x must be float32 as the model's weights are, is float6"):
        inputs.expect_type("x", x, weight)
    inputs.expect_type("x", x.float(), weight)
    inputs.expect_type("x", x, weight.detach())
    with torch.autocast("cpu", torch.bfloat16):
        inputs.expect_type("x", x.bfloat16(), weight)


def test_patches_round_up() -> None:
    found = patches(torch.tensor([0, 1, 4, 5, 8]), 4)
    assert found is not None and found.tolist() == [0, 1, 1, 2, 2]
    assert patches(None, 4) is None


def test_tubelets_round_up() -> None:
    found = tubelets(torch.tensor([0, 1, 2, 3]), 2, 6)
    assert found is not None and found.tolist() == [0, 6, 6, 12]
    assert tubelets(None, 2, 6) is None
