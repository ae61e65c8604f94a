"""What a model costs, in exact closed forms: parameters, FLOPs, bytes kept, visible pairs."""

from mmspec.verify.costs.executed import TILE, executed_pairs
from mmspec.verify.costs.halting import expected_steps
from mmspec.verify.costs.orders import bounded
from mmspec.verify.costs.part import Part
from mmspec.verify.costs.polynomial import Polynomial
from mmspec.verify.costs.total import (
    Costs,
    active_parameters,
    costs,
    expected_depth_bound,
    expected_depth_bounds,
    flops,
    pairs_growth,
    parameters,
    tokens,
    visible_pairs,
    weighed,
)

__all__ = [
    "TILE",
    "Costs",
    "Part",
    "Polynomial",
    "active_parameters",
    "bounded",
    "costs",
    "executed_pairs",
    "expected_depth_bound",
    "expected_depth_bounds",
    "expected_steps",
    "flops",
    "pairs_growth",
    "parameters",
    "tokens",
    "visible_pairs",
    "weighed",
]
