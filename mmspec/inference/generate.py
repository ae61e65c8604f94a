"""Text from a language-model head: one token after the other, from kept keys where they do."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, Protocol, cast

import torch
from torch import Tensor, nn

from mmspec.data.encode.tokens import BYTES
from mmspec.diagnostics import Diagnostic, MmspecError, suggest
from mmspec.schema.modality import Tokens
from mmspec.schema.spec import Spec
from mmspec.train.data import supplied
from mmspec.train.feed import Inputs
from mmspec.train.scores import check_finite

if TYPE_CHECKING:
    from mmspec.inference.run import LoadedRun

End = Literal["tokens", "stop", "length"]
"""Why it ended: as many tokens as were asked for, the text to stop at, the longest input."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn from what the head says.

    temperature: the logits are divided by it; 0 takes the likeliest, and draws nothing. top_k: of
    the k likeliest. top_p: of the fewest that together have this probability (nucleus sampling,
    Holtzman et al. 2020); after `top_k`, before which the temperature counts. seed: the same seed
    draws the same on the same machine.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise MM610 where a number is out of range."""
        ranges = (
            (self.temperature >= 0, "temperature is at least 0"),
            (self.top_k is None or self.top_k >= 1, "top_k is at least 1"),
            (0 < self.top_p <= 1, "top_p is above 0 and at most 1"),
        )
        told = [Diagnostic("MM610", text) for is_in, text in ranges if not is_in]
        if told:
            raise MmspecError(told)

    def choose(self, logits_v: Tensor, source: torch.Generator) -> int:
        """The id of the next token, from logits [V] on a CPU."""
        if self.temperature == 0:
            return int(logits_v.argmax())
        scores_v = logits_v.double() / self.temperature
        if self.top_k is not None and self.top_k < len(scores_v):
            least = scores_v.topk(self.top_k).values[-1]
            scores_v = scores_v.masked_fill(scores_v < least, -torch.inf)
        if self.top_p < 1:
            share_v, order_v = scores_v.softmax(0).sort(descending=True)
            is_past_v = share_v.cumsum(0) - share_v >= self.top_p
            scores_v = scores_v.index_fill(0, order_v[is_past_v], -torch.inf)
        return int(torch.multinomial(scores_v.softmax(0), 1, generator=source))


GREEDY: Final = Sampling(temperature=0)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written after a prompt."""

    ids: tuple[int, ...]
    text: str | None
    """None where the tokens are ids that stand for nothing known."""
    ended: End


def writing(spec: Spec, name: str | None = None) -> str:
    """The head that writes: the one named, else the first; raises MM621 where there is none."""
    heads = [each for each in spec.heads if _tokens_of(spec, each) is not None]
    if name is None and heads:
        return heads[0]
    if name in heads:
        return str(name)
    what = "no language-model head" if name is None else f"no language-model head `{name}`"
    close = suggest(name or "", heads)
    advice = f"did you mean `{close}`? " if close else ""
    there = f"there is {', '.join(heads)}" if heads else "`predict` says what its heads say"
    raise MmspecError(Diagnostic("MM621", f"`{spec.name}` has {what}", help=f"{advice}{there}"))


def _tokens_of(spec: Spec, head: str) -> str | None:
    """The modality whose next tokens a head gives; None where it gives none."""
    sides = supplied(spec, head)
    return sides[0][0] if len(sides) == 1 else None


class _Steps(Protocol):
    """A head's next logits [V], token by token."""

    def begin(self) -> Tensor:
        """After the prompt."""
        ...

    def follow(self, token: int) -> Tensor:
        """After one token more."""
        ...


@dataclass(slots=True)
class _Kept:
    """From kept keys and values, by `decoding.py` of the package."""

    model: nn.Module
    decoding: Any
    """The module `decoding.py`."""
    head: str
    given: Inputs
    size: int
    cache: Any = None

    def begin(self) -> Tensor:
        given = self.given
        output, self.cache = self.decoding.prefill(
            self.model, **given.modalities, lengths=given.lengths
        )
        logits_v: Tensor = getattr(output.heads, self.head)[0, self.size - 1]
        return logits_v

    def follow(self, token: int) -> Tensor:
        device = next(self.model.parameters()).device
        next_bc = torch.tensor([[token]], device=device)
        logits_bcv, self.cache = self.decoding.decode(self.model, next_bc, self.cache)
        logits_v: Tensor = logits_bcv[0, -1]
        return logits_v


@dataclass(slots=True)
class _Whole:
    """From all tokens so far, each time again: of models whose tokens see what comes later."""

    model: nn.Module
    head: str
    given: Inputs
    modality: str
    size: int

    def begin(self) -> Tensor:
        output: Any = self.model(**self.given.modalities, lengths=self.given.lengths)
        logits_v: Tensor = getattr(output.heads, self.head)[0, self.size - 1]
        return logits_v

    def follow(self, token: int) -> Tensor:
        ids_bt = self.given.modalities[self.modality]
        assert ids_bt is not None, self.modality
        more_bt = torch.cat((ids_bt[:, : self.size], ids_bt.new_tensor([[token]])), 1)
        self.size += 1
        length = {self.modality: torch.tensor([self.size], device=ids_bt.device)}
        self.given = replace(
            self.given,
            modalities=self.given.modalities | {self.modality: more_bt},
            lengths=self.given.lengths | length,
        )
        return self.begin()


class Writer:
    """Writes on from prompts by one head of a run; the model is asked without gradients."""

    def __init__(
        self, run: LoadedRun, head: str, sampling: Sampling = GREEDY, stop: str | None = None
    ) -> None:
        modality = cast("str", _tokens_of(run.spec, head))
        tokens = cast("Tokens", run.spec.modalities[modality])
        self._run, self._head, self._sampling = run, head, sampling
        self._most = tokens.length.max
        self.modality, self.is_text = modality, tokens.vocab >= BYTES
        self._stop = (stop or "").encode()
        self.ended: End = "tokens"
        if stop and not self.is_text:
            what = f"`{modality}` is ids, and no text ends them"
            raise MmspecError(Diagnostic("MM621", what, help="give a number of tokens"))

    def ids(self, prompt: str | list[int], others: Mapping[str, Any], count: int) -> Iterator[int]:
        """At most so many tokens after a prompt; `ended` then says why there are no more.

        Raises MmspecError MM505 to MM507, MM621 where the prompt is empty or longer than the model
        reads.
        """
        size = len(prompt.encode()) if isinstance(prompt, str) else len(prompt)
        if not size:
            self._refuse("the prompt is empty", "give one token at least")
        if size > self._most:
            what = f"the prompt has {size:,} tokens, and the model reads {self._most:,}"
            self._refuse(what, f"give the last {self._most:,} of it")
        return self.following(self._run.one({**others, self.modality: prompt}), count)

    def following(self, given: Inputs, count: int) -> Iterator[int]:
        """At most so many tokens after those of one sample; none where it has none."""
        tokens, length = given.modalities[self.modality], given.lengths.get(self.modality)
        size = 0 if tokens is None else tokens.shape[1] if length is None else int(length[0])
        self.ended = "tokens"
        if not size or not count:
            return
        source, tail = torch.Generator().manual_seed(self._sampling.seed), b""
        steps = self._steps(given, size)
        logits_v = steps.begin()
        for place in range(size, size + count):
            known_v = logits_v[:BYTES] if self.is_text else logits_v
            check_finite(self._head, known_v[None], given)
            token = self._sampling.choose(known_v.float().cpu(), source)
            yield token
            if self._stop:
                tail = (tail + bytes((token,)))[-len(self._stop) :]
                if tail == self._stop:
                    self.ended = "stop"
                    return
            if place == self._most:
                self.ended = "length"
                return
            if place + 1 < size + count:
                logits_v = steps.follow(token)

    def text(self, tokens: Iterable[int]) -> Iterator[str]:
        """The tokens as text, as soon as they are characters; nothing of the text to stop at."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        waiting = b""
        for token in tokens:
            waiting += bytes((token,))
            safe = len(waiting) - _begun(waiting, self._stop)
            yield decoder.decode(waiting[:safe])
            waiting = waiting[safe:]
        yield decoder.decode(b"" if self.ended == "stop" else waiting, final=True)

    def written(self, tokens: Iterable[int]) -> Written:
        """All of them, at once."""
        ids = tuple(tokens)
        return Written(ids, "".join(self.text(ids)) if self.is_text else None, self.ended)

    def _steps(self, given: Inputs, size: int) -> _Steps:
        model = self._run.model
        if self._decoding is not None:
            return _Kept(model, self._decoding, self._head, given, size)
        return _Whole(model, self._head, given, self.modality, size)

    @cached_property
    def _decoding(self) -> Any:
        """The package's module that keeps keys for the head; None: it keeps none."""
        from mmspec.compiler.emit.decodable import decoding
        from mmspec.compiler.lower.lower import lower

        found = decoding(lower(self._run.spec))
        if found is None or found.head.name != self._head:
            return None
        return import_module(".decoding", type(self._run.model).__module__.rpartition(".")[0])

    def _refuse(self, what: str, advice: str) -> NoReturn:
        raise MmspecError(Diagnostic("MM621", f"`{self.modality}`: {what}", help=advice))


def _begun(text: bytes, stop: bytes) -> int:
    """How many bytes at the end of a text may be the beginning of the one to stop at."""
    most = min(len(text), len(stop))
    return next((n for n in range(most, 0, -1) if text.endswith(stop[:n])), 0)
