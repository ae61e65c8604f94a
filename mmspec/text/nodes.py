"""YAML events to a tree of nodes with spans; what a spec has no use for is refused here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import yaml

from mmspec.diagnostics import Diagnostic, MmspecError, Span

MAX_DEPTH: Final = 64
MAX_NODES: Final = 100_000
_MOST_DIRECTIVES: Final = 100

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ADVICE: Final = {
    "found a tab character": "indent with spaces",
    "that cannot start any token": "indent with spaces, and quote text that begins with this",
    "mapping values are not allowed": "check the indentation, and quote a value that holds `: `",
    "could not find expected ':'": "write `key: value`",
    "did not find expected key": "check the indentation and the quotes of this line and the last",
    "expected <block end>": "check the indentation of this line and the last",
    "expected ',' or": "close the bracket{opened}, and quote values that hold commas",
    "expected node content": "write a value here, or close the bracket",
    "unexpected end of stream": "close the quote",
}


_NO_COLON: Final = re.compile(r"[ -]*([a-z][a-z0-9_]{0,39}) +[{\[]", re.ASCII)
"""A key before the value's bracket, with no colon between them."""


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """One scalar as written; `plain` when it stands without quotes."""

    text: str
    plain: bool
    span: Span


@dataclass(slots=True)
class SequenceNode:
    """A list; open (`closed` False) while its items are still being read."""

    span: Span
    flow: bool
    items: list[Node] = field(default_factory=list)
    closed: bool = False


@dataclass(slots=True)
class MappingNode:
    """A mapping as (key, value) pairs in order, duplicates included."""

    span: Span
    flow: bool
    items: list[tuple[Node, Node]] = field(default_factory=list)
    closed: bool = False


Node = ScalarNode | SequenceNode | MappingNode


def compose(text: str, path: str) -> Node | None:
    """The root node of the one document in `text`, None if it is empty; raises MmspecError."""
    if text.count("\n%") > _MOST_DIRECTIVES:  # libyaml compares each with all before it
        message = "lines that begin with % are directives, and a spec needs none"
        raise MmspecError(Diagnostic("MM006", message, help="remove them"))
    return _Composer(text, path).root()


class _Composer:
    def __init__(self, text: str, path: str) -> None:
        self.path = path
        self.lines = text.split("\n")
        self.last = (len(self.lines) - 1, len(self.lines[-1]))
        self.events = self._events(text)
        self.anchors: dict[str, Node] = {}
        self.count = 0

    def _events(self, text: str) -> Iterator[Any]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise MmspecError(Diagnostic("MM006", f"this is not YAML: {error}")) from None

    def _syntax(self, error: yaml.MarkedYAMLError) -> NoReturn:
        mark = error.problem_mark or error.context_mark
        if mark and error.context_mark and not "".join(self.lines[mark.line :]).strip():
            mark = error.context_mark
        span = self._at(mark, mark) if mark else None
        problem = error.problem or error.context or "this is not YAML"
        opened = f" of line {error.context_mark.line + 1}" if error.context_mark else ""
        advice = next((text for key, text in _ADVICE.items() if key in problem), "")
        advice = advice.replace("{opened}", opened)
        key = (
            _NO_COLON.match(self.lines[mark.line]) if mark and "mapping values" in problem else None
        )
        if key:
            advice = f"write `{key[1]}:`, with a colon"
        raise MmspecError(Diagnostic("MM006", problem, span, help=advice)) from None

    def _at(self, start: Any, end: Any) -> Span:
        """A span between two marks, which count from 0, kept within the text."""
        first = min((start.line, start.column), self.last)
        last = min((end.line, end.column), self.last)
        if last[1] == 0 and last[0] > first[0]:
            last = (last[0] - 1, len(self.lines[last[0] - 1]))
        (line, column), (end_line, end_column) = first, max(first, last)
        return Span(self.path, line + 1, column + 1, end_line + 1, end_column + 1)

    def _span(self, event: Any) -> Span:
        return self._at(event.start_mark, event.end_mark)

    def _refuse(self, event: Any, code: str, message: str, advice: str = "") -> NoReturn:
        raise MmspecError(Diagnostic(code, message, self._span(event), help=advice))

    def root(self) -> Node | None:
        found: Node | None = None
        for event in self.events:
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            if found is not None:
                advice = "put each spec in a file of its own, and remove this `---`"
                self._refuse(event, "MM005", "a second document begins here", advice)
            if event.version not in (None, (1, 2)):
                self._refuse(event, "MM006", "a spec is YAML 1.2", "remove the %YAML line")
            found = self._node(next(self.events), 0)
        return found

    def _node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.tag is not None:
            advice = "remove the tag; quote a value that is text; in a mask, not is written ~"
            self._refuse(event, "MM010", f"a spec has no tags such as `{event.tag}`", advice)
        if depth > MAX_DEPTH:
            self._refuse(event, "MM013", f"nested more than {MAX_DEPTH} deep")
        self.count += 1
        if self.count > MAX_NODES:
            self._refuse(
                event, "MM013", f"more than {MAX_NODES:,} values", "a spec is a short text"
            )
        if isinstance(event, yaml.ScalarEvent):
            node: Node = ScalarNode(event.value, not event.style, self._span(event))
            return self._anchor(event, node)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, depth)
        return self._mapping(event, depth)

    def _anchor(self, event: Any, node: Node) -> Node:
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            advice = "anchors are written before their aliases: `&name`"
            self._refuse(event, "MM011", f"no anchor `{event.anchor}` before this alias", advice)
        if not isinstance(node, ScalarNode) and not node.closed:
            self._refuse(event, "MM011", f"`{event.anchor}` would contain itself")
        return node

    def _sequence(self, event: Any, depth: int) -> Node:
        node = SequenceNode(self._span(event), event.flow_style)
        self._anchor(event, node)
        node.items, end = self._until(yaml.SequenceEndEvent, depth)
        node.span = self._whole(event, end, node.items)
        node.closed = True
        return node

    def _mapping(self, event: Any, depth: int) -> Node:
        node = MappingNode(self._span(event), event.flow_style)
        self._anchor(event, node)
        flat, end = self._until(yaml.MappingEndEvent, depth)
        node.items = list(zip(flat[::2], flat[1::2], strict=True))
        node.span = self._whole(event, end, flat)
        node.closed = True
        return node

    def _until(self, kind: type[Any], depth: int) -> tuple[list[Node], Any]:
        """Nodes up to the event of this kind, and that event."""
        found: list[Node] = []
        while not isinstance(event := next(self.events), kind):
            found.append(self._node(event, depth + 1))
        return found, event

    def _whole(self, start: Any, end: Any, inner: list[Node]) -> Span:
        """The span of a collection; a block one ends with what it holds, not the blank after."""
        span = self._at(start.start_mark, end.end_mark)
        if start.flow_style or not inner:
            return span
        first = (span.line, span.column)
        last = max((node.span.end_line, node.span.end_column) for node in inner)
        return Span(self.path, *first, *max(first, last))
