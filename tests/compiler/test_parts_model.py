"""What every model's forward asks of its inputs, and says when they are wrong."""

from __future__ import annotations

import pytest
import torch

from mmspec.compiler.parts.model import batch_size, expect, known, patches


def test_names_are_known() -> None:
    given = {"text": torch.ones(2)}
    assert known("lengths", given, ("text", "image")) is given
    assert known("lengths", None, ("text",)) == {}
    with pytest.raises(ValueError, match="lengths has no 'txt'; names: text, image"):
        known("lengths", {"txt": torch.ones(2)}, ("text", "image"))


@pytest.mark.parametrize(
    ("shape", "longest", "message"),
    [
        ((2, 3, 5, 7), None, None),
        ((2, 3, 5), None, r"x must be \[any, 3, 5, 7\], is \[2, 3, 5\]"),
        ((2, 5, 3, 7), None, r"x must be \[any, 3, 5, 7\], is \[2, 5, 3, 7\]"),
        ((2, 3, 5, 7), 3, None),
        ((2, 3, 5, 7), 2, "x has 3 positions, at most 2 are allowed"),
    ],
)
def test_shapes_are_as_expected(
    shape: tuple[int, ...], longest: int | None, message: str | None
) -> None:
    x = torch.zeros(shape)
    if message is None:
        expect("x", x, (None, 3, 5, 7), longest)
        return
    with pytest.raises(ValueError, match=message):
        expect("x", x, (None, 3, 5, 7), longest)


def test_the_batch_is_that_of_the_first_input_there_is() -> None:
    assert batch_size(None, torch.zeros(3, 2), None, torch.zeros(3)) == 3


def test_patches_round_up() -> None:
    found = patches(torch.tensor([0, 1, 4, 5, 8]), 4)
    assert found is not None and found.tolist() == [0, 1, 1, 2, 2]
    assert patches(None, 4) is None
