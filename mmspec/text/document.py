"""A spec's text as plain data with the place of every key and value."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mmspec.diagnostics import MOST, Diagnostic, MmspecError, Span, dotted, shortened
from mmspec.text import nodes, scalars
from mmspec.text.commas import Parentheses, rejoined_items, rejoined_pairs

MAX_BYTES: Final = 1 << 20
MAX_CHARACTERS: Final = 4 << 20
"""Of all values together, aliases expanded."""
_LONGEST_KEY: Final = 200

Keys = tuple[str | int, ...]

_FORBIDDEN = re.compile(
    "[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    "|[\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)


@dataclass(frozen=True, slots=True)
class Document:
    """The text and its data: dict, list, str, int, float, bool and None."""

    path: str
    text: str
    data: dict[str, Any] = field(compare=False, repr=False)
    _values: Mapping[Keys, Span] = field(compare=False, repr=False)
    _keys: Mapping[Keys, Span] = field(compare=False, repr=False)

    def span(self, *keys: str | int) -> Span:
        """Where the value at `keys` stands, or its nearest ancestor that exists."""
        while keys not in self._values:
            keys = keys[:-1]
        return self._values[keys]

    def key_span(self, *keys: str | int) -> Span:
        """Where the last of `keys` itself stands; of a list item, or if missing, see `span`."""
        return self._keys.get(keys) or self.span(*keys)


def read(path: str | os.PathLike[str]) -> Document:
    """Read a spec file; raises MmspecError MM001 to MM015."""
    shown = os.fspath(path)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        advice = "name the spec file in it" if os.path.isdir(path) else "check the path"
        message = f"cannot read `{shown}`: {reason.lower()}"
        raise MmspecError(Diagnostic("MM001", message, help=advice)) from None
    return decode(content, shown)


def decode(content: bytes, path: str) -> Document:
    """Read a spec's bytes; raises MmspecError MM002 to MM015."""
    if len(content) > MAX_BYTES:
        message = f"`{path}` has more than {MAX_BYTES} bytes"
        raise MmspecError(Diagnostic("MM013", message, help="a spec is a short text"))
    return parse(_as_utf8(content, path), path)


def parse(text: str, path: str = "<spec>") -> Document:
    """Read a spec's text; raises MmspecError MM003 to MM015, every problem that it can find."""
    text = text.replace("\r\n", "\n")
    _check_characters(text, path)
    root = nodes.compose(text, path)
    if root is None or (isinstance(root, nodes.ScalarNode) and root.plain and not root.text):
        span = Span(path, 1, 1, 1, 1)
        advice = "`mmspec new` writes a starter spec"
        raise MmspecError(Diagnostic("MM004", "the spec is empty", span, help=advice))
    if not isinstance(root, nodes.MappingNode):
        advice = "begin with `mmspec: 1` and `name: ...`"
        message = "the top of a spec is a mapping of keys"
        raise MmspecError(Diagnostic("MM007", message, root.span, help=advice))
    builder = _Builder(text)
    data = builder.build(root, ())
    if builder.problems:
        raise MmspecError(builder.problems)
    return Document(path, text, data, builder.values, builder.keys)


def _as_utf8(content: bytes, path: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        span = Span(path, line, column, line, column + 1)
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        advice = "save the file as UTF-8"
        raise MmspecError(Diagnostic("MM002", message, span, help=advice)) from None


def _check_characters(text: str, path: str) -> None:
    match = _FORBIDDEN.search(text)
    if match is None:
        return
    line = text.count("\n", 0, match.start()) + 1
    column = match.start() - text.rfind("\n", 0, match.start())
    span = Span(path, line, column, line, column + 1)
    if match[0] == "\ufeff" and match.start() == 0:
        message, advice = "the file begins with a byte order mark", "save it as UTF-8 without one"
        raise MmspecError(Diagnostic("MM002", message, span, help=advice))
    message = _not_allowed(match[0])
    advice = "end lines with a line feed" if match[0] == "\r" else "remove it"
    raise MmspecError(Diagnostic("MM003", message, span, help=advice))


def _not_allowed(character: str) -> str:
    return f"the character U+{ord(character):04X} is not allowed"


class _Builder:
    """Nodes to data; aliases are expanded, so that each use has its own keys."""

    def __init__(self, text: str) -> None:
        self.parentheses = Parentheses(text.split("\n"))
        self.values: dict[Keys, Span] = {}
        self.keys: dict[Keys, Span] = {}
        self.problems: list[Diagnostic] = []
        self.count = self.characters = 0

    def build(self, node: nodes.Node, keys: Keys) -> Any:
        self.count += 1
        if self.count > nodes.MAX_NODES or len(keys) > nodes.MAX_DEPTH:
            message = (
                f"aliases expand to more than {nodes.MAX_NODES:,} values "
                f"or {nodes.MAX_DEPTH} levels"
            )
            raise MmspecError(Diagnostic("MM013", message, node.span, help="write fewer aliases"))
        self.values[keys] = node.span
        if isinstance(node, nodes.ScalarNode):
            return self._scalar(node, keys)
        if isinstance(node, nodes.SequenceNode):
            items = rejoined_items(node.items, self.parentheses) if node.flow else node.items
            if node.flow and self._cut(items, keys):
                return []
            return [self.build(item, (*keys, i)) for i, item in enumerate(items)]
        return self._mapping(node, keys)

    def _scalar(self, node: nodes.ScalarNode, keys: Keys) -> scalars.Scalar:
        self.characters += len(node.text)
        if self.characters > MAX_CHARACTERS:
            message = f"aliases expand to more than {MAX_CHARACTERS:,} characters"
            raise MmspecError(Diagnostic("MM013", message, node.span, help="write fewer aliases"))
        if not node.plain:
            if match := _FORBIDDEN.search(node.text):
                self._problem("MM003", _not_allowed(match[0]), node.span, keys, "remove it")
            return node.text
        try:
            return scalars.resolve(node.text)
        except ValueError as error:
            self._problem("MM014", f"`{shortened(node.text)}`: {error}", node.span, keys)
            return None

    def _mapping(self, node: nodes.MappingNode, keys: Keys) -> dict[str, Any]:
        found: dict[str, Any] = {}
        pairs = rejoined_pairs(node.items, self.parentheses) if node.flow else node.items
        if node.flow and self._cut([value for _, value in pairs], keys):
            return found
        for key_node, value in pairs:
            key = self._key(key_node, keys)
            if key is None:
                continue
            if key in found:
                self._duplicate(key, key_node.span, keys)
                continue
            self.keys[*keys, key] = key_node.span
            found[key] = self.build(value, (*keys, key))
        return found

    def _key(self, node: nodes.Node, keys: Keys) -> str | None:
        """The text of a key, None after noting what is wrong with it."""
        if isinstance(node, nodes.ScalarNode) and len(node.text) > _LONGEST_KEY:
            message = f"a key of {len(node.text):,} characters; the longest have {_LONGEST_KEY}"
            self._problem("MM013", message, node.span, keys, "shorten it")
            return None
        if not isinstance(node, nodes.ScalarNode):
            self._problem("MM009", "a key is text, not a list or mapping", node.span, keys)
            return None
        if node.plain and node.text == "<<":
            advice = "write the keys out, or alias a whole value: `key: *name`"
            self._problem("MM012", "merge keys are not part of a spec", node.span, keys, advice)
            return None
        value = self._scalar(node, keys)
        if isinstance(value, str):
            return value
        shown = node.text or "(empty)"
        advice = f'quote it if it is a name: "{node.text}"' if node.text else "write a name"
        self._problem("MM009", f"the key `{shown}` is not text", node.span, keys, advice)
        return None

    def _duplicate(self, key: str, span: Span, keys: Keys) -> None:
        first = self.keys[*keys, key]
        message = f"`{key}` stands twice: on line {first.line} and on line {span.line}"
        self._problem("MM008", message, span, (*keys, key), "keep one of them")

    def _problem(self, code: str, message: str, span: Span, keys: Keys, advice: str = "") -> None:
        """Note a problem; the last of too many ends the reading."""
        self.problems.append(Diagnostic(code, message, span, dotted(keys), advice))
        if len(self.problems) == MOST:
            raise MmspecError(self.problems)

    def _cut(self, values: list[nodes.Node], keys: Keys) -> bool:
        """Note a value that lost what follows its comma, such as `window(before=7, after=7)`."""
        for value in values:
            if not isinstance(value, nodes.ScalarNode) or not value.plain:
                continue
            if self.parentheses.opened(value.span):
                message = f"a comma ends `{shortened(value.text)}` here, inside brackets"
                advice = f'quote the value: "{self.parentheses.until_closed(value.span)}"'
                self._problem("MM015", message, value.span, keys, advice)
                return True
        return False
