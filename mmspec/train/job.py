"""What is trained, by which data, and how."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from mmspec.schema.spec import Spec
from mmspec.train.feed import Feed
from mmspec.train.settings import Settings


@dataclass(frozen=True, slots=True)
class Job:
    """A model class, its spec, its data and the settings, ready to be trained."""

    model: type[nn.Module]
    spec: Spec
    feed: Feed
    settings: Settings
