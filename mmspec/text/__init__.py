"""The text of a spec: YAML read with YAML 1.2 meaning, every key and value with its place."""

from __future__ import annotations

from mmspec.text.document import Document, decode, parse, read
from mmspec.text.writing import dump

__all__ = ["Document", "decode", "dump", "parse", "read"]
