"""P17 and P18: token by token says what one pass says; reordered samples go on as they would."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from mmspec.compiler.emit.decodable import Decoding, decoding, refusal
from mmspec.verify.lab import lab
from mmspec.verify.lab.case import Case, cases
from mmspec.verify.lab.compare import difference
from mmspec.verify.lab.search import Vacuous, tried
from mmspec.verify.law import Law
from mmspec.verify.outcome import Broken
from mmspec.verify.subject import Subject


@dataclass(frozen=True, slots=True)
class Cut:
    """A case, tokens of each sample's prompt, sizes of the chunks that follow, and samples."""

    case: Case
    prompt: tuple[int, ...]
    chunks: tuple[int, ...]
    rows: tuple[int, ...] = ()

    def describe(self) -> str:
        """In words."""
        prompts, chunks = (", ".join(map(str, sizes)) for sizes in (self.prompt, self.chunks))
        told = f"{self.case.describe()}; prompts of {prompts} tokens, then chunks of {chunks}"
        rows = f"; samples {', '.join(map(str, self.rows))} go on" if self.rows else ""
        return told + rows


@dataclass(slots=True)
class _Text:
    """The tokens of a cut, and the steps of the package that take them."""

    subject: Subject
    cut: Cut
    steps: Any
    model: Any
    ids: Tensor

    def prefill(self) -> Any:
        """The cache of the prompts."""
        case, name = self.cut.case, self._name
        prompt = torch.tensor(self.cut.prompt)
        most = int(prompt.max())
        tensors = {**case.batch.tensors, name: self.ids[:, :most]}
        more = {
            what: {n: x[:, :most] if n.split(".")[0] == name else x for n, x in given.items()}
            for what, given in case.batch.told.items()
        }
        lengths = {**case.batch.lengths, name: prompt}
        return self.steps.prefill(self.model, **tensors, lengths=lengths, **more)[1]

    def following(self, done: int, size: int) -> Tensor:
        """Places of the next tokens of each sample, after so many behind the prompts."""
        return torch.tensor(self.cut.prompt)[:, None] + done + torch.arange(size)

    def decode(self, at: Tensor, cache: Any, rows: Sequence[int] | None = None) -> Any:
        """Logits of the tokens at these places, of some samples, and the cache after them."""
        ids, chosen = self.ids.gather(1, at), slice(None) if rows is None else list(rows)
        given = self.cut.case.batch.added.items()
        added = {n: x for n, x in given if n.split(".")[0] == self._name}
        row = torch.arange(len(at))[:, None]
        more = {"added": {n: x[row, at][chosen] for n, x in added.items()}} if added else {}
        return self.steps.decode(self.model, ids[chosen], cache, **more)

    @property
    def _name(self) -> str:
        return _found(self.subject).segment.name


def _found(subject: Subject) -> Decoding:
    found: Decoding | None = subject.kept.setdefault("decoding", decoding(subject.plan))
    assert found is not None, "the law applies"
    return found


def _text(subject: Subject, cut: Cut) -> _Text:
    """Raises Broken where the package has no decoding, Vacuous where there is nothing to decode."""
    model = lab.model(subject, cut.case)
    steps = sys.modules.get(type(model).__module__.rpartition(".")[0] + ".decoding")
    ids = cut.case.batch.tensors[_found(subject).segment.name]
    if steps is None:
        raise Broken("the package does not decode", ("heads", _found(subject).head.name))
    if ids is None or not cut.chunks:
        raise Vacuous
    return _Text(subject, cut, steps, model, ids)


@st.composite
def _cuts(draw: st.DrawFn, subject: Subject, reorder: bool = False) -> Cut:
    name = _found(subject).segment.name
    absent = not subject.spec.modalities[name].optional
    case = replace(draw(cases(subject, modes=("eval",), absent=absent)), untold=frozenset())
    lengths = [int(size) for size in case.batch.lengths[name]]
    after = draw(st.integers(1, least)) if (least := min(lengths)) else 0
    prompt = tuple(draw(st.integers(0, size - after)) for size in lengths)
    chunks: list[int] = []
    while sum(chunks) < after:
        chunks.append(draw(st.integers(1, after - sum(chunks))))
    samples = st.integers(0, len(lengths) - 1)
    rows = draw(st.lists(samples, min_size=1, max_size=4)) if reorder else []
    return Cut(case, prompt, tuple(chunks), tuple(rows))


def _as_one_pass(subject: Subject, cut: Cut) -> None:
    text, head = _text(subject, cut), _found(subject).head
    whole = lab.run(subject, cut.case, targets=False).heads[head.name]
    with torch.no_grad():
        cache, done = text.prefill(), 0
        for size in cut.chunks:
            at = text.following(done, size)
            logits, cache = text.decode(at, cache)
            expected = whole.gather(1, at[..., None].expand(-1, -1, whole.shape[2]))
            what = f"tokens {done} to {done + size - 1} after the prompts"
            _same(what, logits, expected, head.name)
            done += size


def _as_reordered(subject: Subject, cut: Cut) -> None:
    text, head = _text(subject, cut), _found(subject).head
    rows, first = list(cut.rows), cut.chunks[0]
    with torch.no_grad():
        cache = text.prefill()
        logits, after = text.decode(text.following(0, first), cache)
        chosen = cache.select(torch.tensor(rows))
        chosen, later = text.decode(text.following(0, first), chosen, rows)
        _same("the next tokens of reordered samples", chosen, logits[rows], head.name)
        for size in cut.chunks[1:]:
            at, first = text.following(first, size), first + size
            logits, after = text.decode(at, after)
            chosen, later = text.decode(at, later, rows)
            _same("later tokens of reordered samples", chosen, logits[rows], head.name)


def _same(what: str, found: Tensor, expected: Tensor, head: str) -> None:
    wrong = difference(found, expected)
    if wrong is not None:
        raise Broken(f"{what}: head `{head}` {wrong}", ("heads", head))


def _applies(subject: Subject) -> str | None:
    heads = [head for head in subject.plan.heads if head.segment is not None]
    if not heads:
        return "it has no language-model head"
    return None if decoding(subject.plan) else refusal(subject.plan, heads[0])


P17 = Law(
    "P17",
    "decoding is one pass",
    "tokens decoded after a prompt, in chunks of any sizes, give what one pass gives them",
    tried(_as_one_pass, _cuts),
    _applies,
)
P18 = Law(
    "P18",
    "a cache may be reordered",
    "samples of a cache, chosen in any order, go on as each of them would have",
    tried(_as_reordered, partial(_cuts, reorder=True)),
    _applies,
)
