"""How every weight starts, by name: the table of docs/language.md."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, Literal

from mmspec.schema.columns import Categories
from mmspec.schema.fusion import Transformer
from mmspec.schema.init import FanIn, Gpt2, TruncatedNormal
from mmspec.schema.modality import Modality, Table
from mmspec.schema.norm import Norm
from mmspec.schema.scale import LayerScale
from mmspec.schema.spec import Spec
from mmspec.schema.stream import Stream
from mmspec.verify.reference.arithmetic import Shapes
from mmspec.verify.reference.head import first_scale
from mmspec.verify.reference.layers import setting, steps
from mmspec.verify.reference.shapes import expected_state

_NORM: Final = re.compile(r"(?P<stream>\w+)_(?P<where>stream|fusion)\.([\w.]+[._])?norm(_\w+)?")
_SCALED: Final = re.compile(r"(?P<stream>\w+)_stream\.blocks\.(?P<block>\d+)\.(?P<name>\w+)_scale")
_SMALL: Final = 0.02
_CUT: Final = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))
"""The deviation of N(0, 1) within two of it: 1 - 4 φ(2) / (2 Φ(2) - 1) is its square."""
_ADDED: Final = re.compile(
    r"(?P<stream>\w+)_(?P<where>stream|fusion)\.blocks\.\d+\."
    r"\w+\.(output\.weight|(\w+_mlp\.)?down(\.weight)?)"
)
"""What a block adds to its tokens."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a weight is drawn from: N(0, scale), the same within two scales, or U(-scale, scale).

    `constant`: it is `scale`.
    """

    law: Literal["constant", "normal", "truncated", "uniform"]
    scale: float

    @property
    def deviation(self) -> float:
        """The standard deviation of what is drawn."""
        if self.law == "uniform":
            return self.scale / math.sqrt(3)
        return self.scale * (_CUT if self.law == "truncated" else 1.0)

    @property
    def most(self) -> float:
        """What nothing drawn is beyond."""
        return {"normal": math.inf, "truncated": 2 * self.scale}.get(self.law, self.scale)

    def beyond(self, share: float) -> float:
        """From what size on a share of what is drawn lies."""
        if self.law == "uniform":
            return self.scale * (1 - share)
        lost = math.erfc(math.sqrt(2)) if self.law == "truncated" else 0.0
        tail = (lost + share * (1 - lost)) / 2
        return self.scale * NormalDist().inv_cdf(1 - tail)

    @property
    def inside(self) -> float:
        """The share of what is drawn that lies within half a scale of 0."""
        if self.law == "uniform":
            return 0.5
        half = math.erf(0.5 / math.sqrt(2))
        return half / math.erf(math.sqrt(2)) if self.law == "truncated" else half


def starts(spec: Spec) -> dict[str, Start]:
    """The start of every weight, and of what norms keep of training."""
    shapes = expected_state(spec)
    return {name: _fixed(spec, name) or _drawn(spec, name, shapes) for name in shapes}


def _fixed(spec: Spec, name: str) -> Start | None:
    """The start of what no `init` changes: norms, and the scale of a contrastive head."""
    module, _, last = name.rpartition(".")
    if module.endswith(".sink"):
        return Start("constant", 0.0)
    if (modality := _embedded(spec, module.removesuffix(".norm"))) and module.endswith(".norm"):
        return _first(modality.norm, last)
    if re.search(r"(\.(stem|through)|^\w+_to_\w+)\.(batch_)?norm(_\d+)?$", module):
        return Start("constant", float(last in ("weight", "running_var")))
    if scaled := _SCALED.fullmatch(module):
        every = steps(setting(spec.streams[scaled["stream"]], int(scaled["block"])))
        factor = next(x.scale for step in every for x in step if x.name == scaled["name"])
        return Start("constant", factor.start if isinstance(factor, LayerScale) else 0.0)
    if found := _NORM.fullmatch(module):
        is_own = found["where"] == "stream"
        return _first(_norm(spec.streams[found["stream"]], module) if is_own else None, last)
    head = spec.heads.get(module.removesuffix("_head"))
    scale = None if head is None else first_scale(head)
    return Start("constant", scale) if last == "scale" and scale is not None else None


def _first(norm: Norm | None, last: str) -> Start:
    """Of a norm: its weight is 1 at first, as what is more than 1 of it 0; its bias is 0."""
    offset = getattr(norm, "offset", None)
    return Start("constant", float(last == "weight" and offset is None))


def _norm(stream: Stream, module: str) -> Norm:
    """What the spec says of a norm of a stream, by its module's name."""
    place = re.search(r"_stream\.blocks\.(\d+)\.(\w+)(\.(query|key|context)_norm)?$", module)
    if place is None:
        return stream.last_norm or stream.norm
    known = {part.name: part for step in steps(setting(stream, int(place[1]))) for part in step}
    shared = {part.norm: part.normed for part in known.values()}
    own = re.sub(r"_norm(_after)?$", "", place[2])
    if (whole := shared.get(place[2])) is not None:
        return whole.norm
    of = known[own].of
    inside = of.scores.qk_norm if of.scores and place[4] in ("query", "key") else None
    return of.norm if inside is None else inside.norm


def _drawn(spec: Spec, name: str, shapes: Shapes) -> Start:
    init = spec.init
    if isinstance(init, FanIn):
        return _by_inputs(spec, name, shapes)
    if name.endswith(".bias"):
        return Start("constant", 0.0)
    if isinstance(init, Gpt2):
        return Start("normal", 0.02 / _shrunk(spec, name))
    return Start("truncated" if isinstance(init, TruncatedNormal) else "normal", init.std)


def _embedded(spec: Spec, module: str) -> Modality | None:
    """The modality that a module embeds."""
    for name, modality in spec.modalities.items():
        if module == f"{name}_embedding" or module.startswith(f"{name}_embedding_"):
            return modality
    return None


def _is_code(spec: Spec, module: str) -> bool:
    """Whether a module makes vectors of codes that are given of a modality's tokens."""
    embedding, _, what = module.rpartition(".added_")
    modality = _embedded(spec, embedding)
    return modality is not None and isinstance(modality.add.get(what), Categories)


def _by_inputs(spec: Spec, name: str, shapes: Shapes) -> Start:
    """fan-in: linears by their inputs, tables and what is added to tokens small."""
    module, _, last = name.rpartition(".")
    is_table = isinstance(_embedded(spec, module), Table)
    if last in ("position", "lead", "queries", "source") or module.endswith(".table"):
        return Start("normal", _SMALL)
    if _is_code(spec, module):
        return Start("normal", _SMALL)
    if module.endswith(".categories") or (last == "weight" and is_table):
        return Start("normal", 1.0)
    if last == "bias" and (is_table or f"{module}.weight" not in shapes):
        return Start("constant", 0.0)
    if module.endswith(".relative"):
        return Start("constant", 0.0)
    if last in ("up", "down"):
        return Start("normal", shapes[name][1] ** -0.5)
    return Start("uniform", math.prod(shapes[f"{module}.weight"][1:]) ** -0.5)


def _shrunk(spec: Spec, name: str) -> float:
    """gpt2: by what a weight is divided, the root of how often blocks add to a token."""
    found = _ADDED.fullmatch(name)
    if found is None:
        return 1.0
    stream = spec.streams[found["stream"]]
    if found["where"] == "fusion":
        assert isinstance(stream.source, Transformer)
        return math.sqrt(2 * stream.source.depth)
    times = stream.halting.most_steps if stream.halting else stream.repeat or 1
    every = (step for i in range(stream.depth) for step in steps(setting(stream, i)))
    return math.sqrt(times * sum(map(len, every)))
