"""Plan -> Package: parts specialised, wiring written, files put together."""

from __future__ import annotations

import inspect
import re

from mmspec.compiler import ir
from mmspec.compiler.emit import model
from mmspec.compiler.emit.package import Package, manifest
from mmspec.compiler.emit.requests import Requests
from mmspec.compiler.emit.specialise import Specialiser
from mmspec.compiler.emit.tidy import tidy
from mmspec.compiler.emit.wiring import Lines
from mmspec.schema.resolved import dump
from mmspec.schema.spec import Spec
