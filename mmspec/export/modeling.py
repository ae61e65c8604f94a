"""The source of `modeling_NAME.py`: a package's model as transformers calls it."""

from __future__ import annotations

from collections.abc import Iterator

from mmspec.compiler import ir
from mmspec.export import naming
from mmspec.version import __version__

_HEAD = '''"""{name} for transformers: its configuration, its output and its model.

Written by mmspec {version} from the spec `{spec}`; the model itself is in model.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import {imports}
from transformers.utils import ModelOutput

from .model import {name}


class {name}Config(PretrainedConfig):
    """Sizes are in model.py; this names the classes, and what generation asks for."""

    model_type = "mmspec_{spec}"


@dataclass
class {name}ModelOutput(ModelOutput):
    """The loss where there are labels, and what each head says."""

    loss: Tensor | None = None
{fields}


class {name}Model({bases}):
    """{about}"""

    config_class = {name}Config
    base_model_prefix = "inner"
    main_input_name = "{main}"

    def __init__(self, config: {name}Config) -> None:
        super().__init__(config)
        self.inner = {name}()
        if next(self.inner.parameters()).device.type != "meta":
            for module in self.modules():
                module._is_hf_initialized = True  # as the spec says
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """What a checkpoint does not hold, as a new model has it."""
        if not hasattr(self, "_fresh"):
            object.__setattr__(self, "_fresh", {name}())
        names = {{id(each): name for name, each in self.inner.named_modules()}}
        if id(module) not in names:
            return
        new = self._fresh.get_submodule(names[id(module)])
        held = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, tensor in held:
            if not getattr(tensor, "_is_hf_initialized", False):
                tensor.copy_(getattr(new, name))
'''

_ROLLED = '''
    def _turned(self, ids_bt: Tensor, mask_bt: Tensor) -> Tensor:
        """Where each sample's tokens are, those that the mask leaves out last: int64 [B, T]."""
        start_b = mask_bt.to(torch.int64).argmax(dim=1)
        place_t = torch.arange(ids_bt.shape[1], device=ids_bt.device)
        return (place_t + start_b[:, None]) % max(ids_bt.shape[1], 1)
'''

_GENERATES = '''
    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
{taken}
        **_: object,
    ) -> dict[str, Tensor | None]:
        """All tokens so far, and what the model reads besides."""
        return {{
            "input_ids": input_ids,
{passed}
        }}
'''


def source(plan: ir.Plan, spec: str) -> str:
    """The file, which imports the package's model beside it.

    spec: its name.
    """
    given, head = naming.given(plan), naming.writes(plan)
    logits = {each.name: "logits" if len(plan.heads) == 1 else each.name for each in plan.heads}
    bases = ["PreTrainedModel", *(["GenerationMixin"] if head else [])]
    text = _HEAD.format(
        name=plan.class_name,
        spec=spec,
        version=__version__,
        about=f"{plan.about or plan.name}.".replace('"', "'").replace("\\", "/"),
        imports=", ".join(sorted((*bases, "PretrainedConfig"))),
        bases=", ".join(bases),
        main=next((g.parameter for g in given if g.is_masked), given[0].parameter),
        fields="\n".join(f"    {name}: Tensor | None = None" for name in logits.values()),
    )
    masked = next((each for each in given if each.is_masked), None)
    if masked:
        text += _ROLLED
    text += "\n" + "\n".join(_forward(plan, given, logits, masked)) + "\n"
    if head:
        others = [g for g in given if not g.is_masked]
        names = ["attention_mask", *(n for g in others for n in (g.parameter, g.length) if n)]
        text += _GENERATES.format(
            taken="\n".join(f"        {name}: Tensor | None = None," for name in names),
            passed="\n".join(f'            "{name}": {name},' for name in names),
        )
    return text


def _forward(
    plan: ir.Plan, given: list[naming.Given], logits: dict[str, str], masked: naming.Given | None
) -> Iterator[str]:
    """The method, line by line."""
    labels = naming.labels(plan)
    yield "    def forward("
    yield "        self,"
    for name in (*(n for g in given for n in (g.parameter, g.length) if n), *labels.values()):
        yield f"        {name}: Tensor | None = None,"
    yield "        return_dict: bool | None = None,"
    yield f"    ) -> {plan.class_name}ModelOutput | tuple[Tensor, ...]:"
    yield '        """Lengths are int64 [B], as the model\'s; a mask [B, T] leaves out one end."""'
    yield "        lengths: dict[str, Tensor] = {}"
    if masked:
        yield "        turned_bt = None"
        yield "        if attention_mask is not None and input_ids is not None:"
        yield f'            lengths["{masked.item.name}"] = attention_mask.sum(dim=1)'
        yield "            if bool((attention_mask[:, :1] == 0).any()):"
        yield "                turned_bt = self._turned(input_ids, attention_mask)"
        yield "                input_ids = input_ids.gather(1, turned_bt)"
    for each in given:
        if each.length and not each.is_masked:
            yield f"        if {each.length} is not None:"
            yield f'            lengths["{each.item.name}"] = {each.length}'
    yield "        targets: dict[str, Tensor] = {}"
    for head in plan.heads:
        yield from _target(head, labels[head.name], masked)
    yield "        output = self.inner("
    yield from (f"            {each.item.name}={each.parameter}," for each in given)
    yield "            lengths=lengths,"
    yield "            targets=targets,"
    yield "        )"
    for head in plan.heads:
        name = f"{logits[head.name]}_of"
        yield f"        {name} = output.heads.{head.name}"
        if _is_by_token(head, masked):
            yield "        if turned_bt is not None:"
            yield f"            {name} = torch.empty_like({name}).scatter_("
            yield f"                1, turned_bt[..., None].expand_as({name}), {name}"
            yield "            )"
    yield f"        found = {plan.class_name}ModelOutput("
    yield "            loss=output.loss,"
    yield from (f"            {name}={name}_of," for name in logits.values())
    yield "        )"
    yield "        return found.to_tuple() if return_dict is False else found"


def _target(head: ir.Head, label: str, masked: naming.Given | None) -> Iterator[str]:
    """Labels as the model takes targets."""
    yield f"        if {label} is not None:"
    if head.answer.measures:
        yield f"            {label} = {label}.reshape(-1, {head.size}).to(self.dtype)"
    elif _is_by_token(head, masked):
        yield f"            if turned_bt is not None and {label}.dim() == 2:"
        yield f"                {label} = {label}.gather(1, turned_bt)"
    yield f'            targets["{head.name}"] = {label}'


def _is_by_token(head: ir.Head, masked: naming.Given | None) -> bool:
    """Whether a head says something of each token of `input_ids`."""
    return masked is not None and head.segment == masked.item.name
