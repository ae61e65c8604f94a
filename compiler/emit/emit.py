"""Plan -> Package: parts specialised, wiring written, files put together."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable

from mmspec.compiler import ir
from mmspec.compiler.emit import model
from mmspec.compiler.emit.package import Package, manifest
from mmspec.compiler.emit.requests import Requests
from mmspec.compiler.emit.specialise import Specialiser
from mmspec.compiler.emit.tidy import tidy
from mmspec.compiler.emit.wiring import Lines
from mmspec.schema.resolved import dump
from mmspec.schema.spec import Spec

ATTENTION = ("visible", "rotation", "rotate", "Attention", "CrossAttention")
"""What goes to the package's attention.py, beside the masks (classes by the end of their name)."""


def emit(plan: ir.Plan, spec: Spec) -> Package:
    """Emit the package of a plan; the same spec and version give the same bytes."""
    file = f"{plan.name}.yaml"
    specialiser = Specialiser(model.part_modules(), reserved=_reserved(plan))
    requests = Requests(plan, specialiser)
    fragment = specialiser.finish()
    lines = Lines(requests)
    model.forward(plan, lines)
    return fragment, lines, file
