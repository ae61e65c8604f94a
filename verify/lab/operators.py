"""What torch runs, operator by operator."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Operators(TorchDispatchMode):
    """Notes, while it is entered, every operator that runs."""

    def __init__(self) -> None:
        super().__init__()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to wrap each operator, and import torch's compiler for that, costs seconds."""
        return False

    @abstractmethod
    def ran(self, name: str, given: tuple[Any, ...], out: Any) -> None:
        """Note one operator, such as `mm`: what it was given, and what it made of it."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run one operator, and note it."""
        out = func(*args, **(kwargs or {}))
        self.ran(func._schema.name.split("::")[1], args, out)
        return out
