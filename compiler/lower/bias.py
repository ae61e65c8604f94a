"""Biases by role -> whether the maps of a part have one."""

from __future__ import annotations

from typing import TypedDict

from mmspec.schema.bias import Bias, Role, has_bias


class Biased(TypedDict):
    """Whether maps have a bias, and those of which the opposite holds."""

    bias: bool
    excepted: tuple[str, ...]


def biased(bias: Bias, *roles: Role) -> Biased:
    """Maps by their roles; it is the last of them that others are exceptions to."""
    last = has_bias(bias, roles[-1])
    return Biased(bias=last, excepted=tuple(one for one in roles if has_bias(bias, one) != last))
