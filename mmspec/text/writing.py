"""Plain data as YAML text that is read back to the same: text that looks like a number is quoted.

PyYAML quotes what YAML 1.1 takes for another value, and leaves `-.1` and `1e5` as they are.
"""

from __future__ import annotations

from typing import Any

import yaml

from mmspec.text.scalars import needs_quotes


class _Dumper(yaml.SafeDumper):
    """PyYAML's, with quotes by YAML 1.2."""


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "'" if needs_quotes(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


_Dumper.add_representer(str, _text)


def dump(data: Any) -> str:
    """Dicts, lists, text, numbers, booleans and None as YAML, a line for each entry."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
