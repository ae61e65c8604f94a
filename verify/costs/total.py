"""The costs of a plan: its parts, and their sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from mmspec.compiler import ir
from mmspec.verify.costs import attention, fusion, head, modality, stream
from mmspec.verify.costs.orders import Order
from mmspec.verify.costs.part import NOTHING, Part, Sizes
from mmspec.verify.costs.polynomial import Polynomial, total


@dataclass(frozen=True, slots=True)
class Costs:
    """What a model costs, part by part in execution order.

    Polynomials are in "B" and the tokens of each modality of variable length, by its name.
    FLOPs count matrix products of a forward in training without targets; dense: masks save
    nothing; useful: attention counts visible pairs only.
    """

    parts: tuple[Part, ...]

    @property
    def parameters(self) -> int:
        """All parameters, tied ones once."""
        return sum(part.parameters for part in self.parts)

    @property
    def active(self) -> int:
        """Parameters that one token can use: the experts it chooses, the mlp of its modality."""
        return sum(part.active for part in self.parts)

    @property
    def flops_dense(self) -> Polynomial:
        """FLOPs as executed without any use of masks."""
        return total(part.flops_dense for part in self.parts)

    @property
    def flops_useful(self) -> Polynomial:
        """FLOPs of which the result depends."""
        return total(part.flops_useful for part in self.parts)

    @property
    def flops_expected(self) -> Polynomial:
        """Dense FLOPs when pondering streams stop as their prior says; exits are all run."""
        return total(part.flops_dense * part.share for part in self.parts)

    @property
    def activation_bytes(self) -> Polynomial:
        """Bytes kept for the backward, as `verify/costs/part.py` defines them."""
        return total(part.activation_bytes for part in self.parts)

    def groups(self) -> dict[str, dict[str, tuple[Part, ...]]]:
        """The parts by stream (with its embeddings and fusion), fusion, experts and head."""
        keys: dict[str, Callable[[Part], str | None]] = {
            "streams": lambda part: part.owner or None,
            "fusions": _fusion,
            "experts": lambda part: part.owner if part.kind.endswith(" experts") else None,
            "heads": lambda part: part.name if part.concern == "head" else None,
        }
        found: dict[str, dict[str, tuple[Part, ...]]] = {}
        for group, key in keys.items():
            found[group] = {}
            for part in self.parts:
                name = key(part)
                if name is not None:
                    found[group][name] = (*found[group].get(name, ()), part)
        return found


def _fusion(part: Part) -> str | None:
    """The fusion a part belongs to: by module, for the blocks of a transformer are its own."""
    return part.owner if part.name.split(".")[0] == f"{part.owner}_fusion" else None


def costs(plan: ir.Plan, absent: frozenset[str] = frozenset()) -> Costs:
    """The costs of a plan; `absent`: modalities that are not there."""
    sizes = Sizes(plan, absent)
    return Costs(tuple(_parts(sizes, plan)))


def weighed(plan: ir.Plan) -> Costs:
    """What a model costs that reads nothing: its parameters, without a look at any mask."""
    return costs(plan, frozenset(given.name for given in plan.inputs))


def _parts(sizes: Sizes, plan: ir.Plan) -> Iterator[Part]:
    for node in plan.nodes:
        if isinstance(node, ir.Embed):
            yield modality.costs(sizes, node)
        elif isinstance(node, ir.Project):
            yield stream.project(sizes, node)
        elif isinstance(node, ir.Fuse):
            yield from fusion.costs(sizes, node)
        else:
            yield from stream.stack(sizes, node)
    yield from (head.costs(sizes, node) for node in plan.heads)


def parameters(plan: ir.Plan, scope: str | None = None) -> int:
    """Parameters of the model, or of a stream with its embeddings, projections and fusion."""
    return sum(part.parameters for part in weighed(plan).parts if scope in (None, part.owner))


def active_parameters(plan: ir.Plan, scope: str | None = None) -> int:
    """Of `parameters`, those one token can use."""
    return sum(part.active for part in weighed(plan).parts if scope in (None, part.owner))


def tokens(plan: ir.Plan, lengths: Mapping[str, int]) -> dict[str, int]:
    """Tokens of each modality of variable length; `lengths` in frames or tokens, else the most."""
    found = {"B": 1}
    for given in plan.inputs:
        if given.tokens.symbol is None:
            continue
        found[given.name] = given.tokens.max
        if given.name in lengths:
            found[given.name] = given.count(lengths[given.name])
    return found


def flops(plan: ir.Plan, lengths: Mapping[str, int], useful: bool = False) -> int:
    """Forward FLOPs of one sample; a modality that `lengths` does not name is at its longest.

    Lengths are in tokens or frames; of an image or a table: 0 where it is absent.
    """
    fixed = {given.name for given in plan.inputs if given.tokens.symbol is None}
    absent = frozenset(name for name in fixed if lengths.get(name) == 0)
    found = costs(plan, absent)
    polynomial = found.flops_useful if useful else found.flops_dense
    value = polynomial.evaluate(tokens(plan, lengths))
    assert isinstance(value, int), value
    return value


def stack_of(plan: ir.Plan, stream_name: str) -> ir.Stack:
    """The stack of a stream; KeyError when there is no such stream."""
    for stack in plan.stacks():
        if stack.stream == stream_name:
            return stack
    raise KeyError(stream_name)


def visible_pairs(plan: ir.Plan, stream_name: str) -> Polynomial:
    """Pairs of itself visible in a layer of a stream, the mean over layers and heads, in a sample.

    What its layers read of other streams is none of it.
    """
    stack, sizes = stack_of(plan, stream_name), Sizes(plan)
    parts = [
        attention.visible_pairs(sizes, site) * Fraction(count, site.heads * stack.depth)
        for block, count in stack.runs()
        for site in block.attentions
        if site.own
    ]
    return sum(parts, NOTHING)


def pairs_growth(plan: ir.Plan, stream_name: str) -> frozenset[Order]:
    """What the visible pairs of a stream grow like: power products of the lengths."""
    return visible_pairs(plan, stream_name).orders()


def expected_depth_bounds(plan: ir.Plan, stream_name: str) -> tuple[int, int]:
    """The fewest and the most steps (of a ponder) or blocks (otherwise) a sample can run."""
    stack = stack_of(plan, stream_name)
    ends = stack.halting.leaves(stack.depth) if stack.halting else (stack.depth,)
    return ends[0], ends[-1]


def expected_depth_bound(plan: ir.Plan, stream_name: str) -> int:
    """The most steps or blocks a sample of a stream can run."""
    return expected_depth_bounds(plan, stream_name)[1]
