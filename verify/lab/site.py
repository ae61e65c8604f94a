"""Where attention happens in a model: its projections by name, and who sees whom there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmspec.verify.lab import lab
from mmspec.verify.lab.case import Case
from mmspec.verify.outcome import Broken
from mmspec.verify.reference import context_pairs_by_head, pairs_by_head
from mmspec.verify.subject import Subject


@dataclass(frozen=True, slots=True)
class Site:
    """One attention: `projection` gives q, k, v (of a context: k, v), `output` takes what is read.

    kind: "own" (a stream's blocks), "cross" (a stream's blocks, of another stream), "all" (a
    transformer fusion's), "context" (a cross-attention fusion's) or "latents" (an attention
    fusion's).
    """

    projection: str
    output: str
    kind: str
    stream: str
    heads: int
    kv_heads: int
    width: int
    sunk: bool = False
    """Whether a sink has a share of what each query reads."""
    layer: int = 0
    """Of a stream's blocks, which."""
    place: int = 0
    """Of the attention of that block, or of what it reads of others, which."""
    other: str = ""
    """The stream that is read, of a "cross"."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Where in the spec is said what it sees."""
        said = {"own": ("attention",), "cross": ()}
        return ("streams", self.stream, *said.get(self.kind, ("from",)))

    def values(self, projected: Tensor) -> Tensor:
        """The part of the projection's output that holds the values [..., kv_heads * width]."""
        return projected[..., projected.shape[-1] - self.kv_heads * self.width :]

    def key_head(self, head: int) -> int:
        """The key head that a query head reads."""
        return head // (self.heads // self.kv_heads)


def sites(subject: Subject) -> list[Site]:
    """Every attention of the model, in the order of the streams."""
    return [site for name in lab.wiring(subject).order for site in _of_stream(subject, name)]


def _of_stream(subject: Subject, name: str) -> Iterator[Site]:
    config = subject.spec.streams[name]
    fusion, heads = config.source, config.source.attending(config.heads)
    if heads is not None:
        sizes = heads, heads, config.width // heads
        for i in range(fusion.depth_of_blocks):
            yield _block(f"{name}_fusion.blocks.{i}.attention", "all", name, sizes)
        if not fusion.depth_of_blocks:
            kind = "context" if fusion.context is not None else "latents"
            inner = f"{name}_fusion.attention"
            yield Site(f"{inner}.key_value", f"{inner}.output", kind, name, *sizes)
    for i in range(config.depth):
        for place, one in enumerate(config.layer(i).attentions):
            sizes = one.of.heads, one.of.kv_heads, one.of.head_width
            made = _block(f"{name}_stream.blocks.{i}.{one.name}", "own", name, sizes)
            sunk = one.of.scores is not None and one.of.scores.sink
            yield replace(made, layer=i, place=place, sunk=sunk)
        for place, one in enumerate(config.layer(i).crosses):
            sizes = one.of.heads, one.of.kv_heads, one.of.head_width
            inner = f"{name}_stream.blocks.{i}.{one.name}"
            made = Site(f"{inner}.key_value", f"{inner}.output", "cross", name, *sizes)
            sunk = one.of.scores is not None and one.of.scores.sink
            yield replace(made, layer=i, place=place, sunk=sunk, other=one.cross)


def _block(inner: str, kind: str, stream: str, sizes: tuple[int, int, int]) -> Site:
    return Site(f"{inner}.qkv", f"{inner}.output", kind, stream, *sizes)


@dataclass(slots=True)
class Read:
    """What passed at a site, by call: values [B, Tk, KV, w], and what was read [B, Tq, H, w]."""

    values: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)


def watch(
    subject: Subject, case: Case, change: Callable[[Site, Tensor], Tensor], equal: bool = False
) -> list[tuple[Site, Read]]:
    """What passes at every site when a case is run in training.

    change: what becomes of a projection's output; equal: norms of queries give 0, so that all
    products of queries and keys are equal, and sinks are 0. Raises Broken where a site is not run.
    """
    case = replace(case, mode="train")
    made = lab.model(subject, case)
    found = [(site, Read()) for site in sites(subject)]
    with ExitStack() as stack, torch.no_grad():
        stack.enter_context(lab.dry(made))
        for site, read in found:
            for hook in _hooks(made, site, read, change):
                stack.callback(hook.remove)
            norm = f"{site.projection.rpartition('.')[0]}.query_norm"
            if equal and site.sunk:
                sink = f"{site.projection.rpartition('.')[0]}.sink.weight"
                weight = made.get_parameter(sink).data
                stack.callback(weight.copy_, weight.clone())
                weight.zero_()
            if equal and norm in dict(made.named_modules()):
                hook = lab.part(made, norm).register_forward_hook(lambda *given: 0 * given[-1])
                stack.callback(hook.remove)
        lab.call(made, case, targets=False)
    for site, read in found:
        if not read.outputs or len(read.values) != len(read.outputs):
            raise Broken(f"`{site.output}` is not run with `{site.projection}`")
    return found


def _hooks(
    made: nn.Module, site: Site, read: Read, change: Callable[[Site, Tensor], Tensor]
) -> Iterator[RemovableHandle]:
    def projected(_module: Any, _given: Any, out: Tensor) -> Tensor:
        out = change(site, out)
        read.values.append(site.values(out).unflatten(-1, (site.kv_heads, site.width)))
        return out

    def entering(_module: Any, given: tuple[Tensor, ...]) -> None:
        read.outputs.append(given[0].unflatten(-1, (site.heads, site.width)))

    yield lab.part(made, site.projection).register_forward_hook(projected)
    yield lab.part(made, site.output).register_forward_pre_hook(entering)


@dataclass(frozen=True, slots=True)
class View:
    """At a site, for one sample: valid queries [Tq] and keys [Tk], who sees whom [H, n, m]."""

    queries: Tensor
    keys: Tensor
    seen: Tensor


def view(subject: Subject, case: Case, site: Site, sample: int) -> View:
    """Who sees whom at a site of a case, as the reference has it."""
    raw, spec = case.batch.raw(sample), subject.spec
    documents = {name: ids[sample].tolist() for name, ids in case.batch.documents.items()}
    if site.kind == "own":
        own = lab.valid(subject, case.batch, site.stream)[sample]
        seen = pairs_by_head(spec, site.stream, raw, documents, site.layer, site.place)
        return View(own, own, seen)
    if site.kind == "cross":
        queries, keys = (
            lab.valid(subject, case.batch, name)[sample] for name in (site.stream, site.other)
        )
        return View(queries, keys, _everything(site, queries, keys))
    graph = lab.wiring(subject)
    places = [
        lab.valid_source(subject, case.batch, source)[sample]
        for source in graph.sources[site.stream]
    ]
    if site.kind == "context":
        queries, keys = places[0], torch.cat(places[1:])
        seen = context_pairs_by_head(spec, site.stream, raw, documents)
        return View(queries, keys, seen)
    keys = torch.cat(places)
    queries = keys
    if site.kind == "latents":
        queries = lab.valid(subject, case.batch, site.stream)[sample]
    return View(queries, keys, _everything(site, queries, keys))


def _everything(site: Site, queries: Tensor, keys: Tensor) -> Tensor:
    """Every valid query sees every valid key."""
    return torch.ones(site.heads, int(queries.sum()), int(keys.sum()), dtype=torch.bool)
