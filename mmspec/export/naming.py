"""What a model's inputs are called where transformers calls it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mmspec.compiler import ir
from mmspec.export.program import has_length

_IDS: Final = ir.Ids.foreign


@dataclass(frozen=True, slots=True)
class Given:
    """An input as a parameter of `forward`."""

    item: ir.Input
    parameter: str
    length: str | None
    """The parameter that says how much is there; None where nothing has to."""

    @property
    def is_masked(self) -> bool:
        """Whether a mask of its tokens says how much is there, not a number."""
        return self.length == "attention_mask"


def writes(plan: ir.Plan) -> ir.Head | None:
    """The head that `generate` writes with: the only one, a language model's that predicts."""
    (head, *others) = plan.heads
    return head if isinstance(head.loss, ir.NextToken) and not others else None


def given(plan: ir.Plan) -> list[Given]:
    """Each input: tokens are `input_ids` with an `attention_mask`, an image is `pixel_values`.

    So they are where there is one of the kind; tokens too where a head writes them. Others keep
    their name, and have their lengths as `NAME_length`.
    """
    head = writes(plan)
    written = head.segment if head else None
    found: list[Given] = []
    for item in plan.inputs:
        name = item.raw.foreign
        alike = [each.name for each in plan.inputs if each.raw.foreign == name]
        chosen = written if written in alike else alike[0] if len(alike) == 1 else None
        parameter = name if name and item.name == chosen else item.name
        length = f"{item.name}_length" if has_length(item) else None
        found.append(Given(item, parameter, "attention_mask" if parameter == _IDS else length))
    return found


def labels(plan: ir.Plan) -> dict[str, str]:
    """The parameter of each head's targets: `labels` where there is one head."""
    if len(plan.heads) == 1:
        return {plan.heads[0].name: "labels"}
    return {head.name: f"{head.name}_labels" for head in plan.heads}
