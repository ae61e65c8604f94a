"""N-grams in a spec: what is refused, what hangs on earlier bytes."""

from __future__ import annotations

import pytest

from mmspec.compiler.emit.decodable import decoding
from mmspec.compiler.lower.lower import lower
from mmspec.diagnostics import MmspecError
from mmspec.schema.validate import validate
from mmspec.text.document import parse
from mmspec.verify.reference.packing import separate

SPEC = """\
mmspec: 1
name: small
modalities:
  text: {{kind: tokens, vocab: {vocab}, length: {{max: 9}}, ngrams: {ngrams}}}
streams:
  text: {{from: text, depth: 1, width: 6, heads: 2, attention: causal{more}}}
heads:
  next: {{from: text, kind: language-model}}
"""


def text(ngrams: str, vocab: int = 256, more: str = "") -> str:
    return SPEC.format(ngrams=ngrams, vocab=vocab, more=more)


@pytest.mark.parametrize(
    ("ngrams", "vocab", "code", "advice"),
    [
        ("{sizes: 2..5}", 256, "MM102", ""),
        ("{buckets: 64, sizes: 1..5}", 256, "MM105", "write `sizes: 2..5`"),
        ("{buckets: 64, sizes: 5..2}", 256, "MM105", "write `sizes: 2..5`"),
        ("{buckets: 64, sizes: some}", 256, "MM104", "write `sizes: 2..5`"),
        ("{buckets: 64, dropout: 1}", 256, "MM104", ""),
        ("{buckets: 64, bukets: 64}", 256, "MM101", ""),
        ("{buckets: 64}", 97, "MM105", "write `vocab: 256`"),
    ],
)
def test_what_is_no_ngram_is_told(ngrams: str, vocab: int, code: str, advice: str) -> None:
    with pytest.raises(MmspecError) as raised:
        validate(parse(text(ngrams, vocab), "small.yaml"))
    (found,) = raised.value.diagnostics
    assert found.code == code
    assert advice in (found.help or "")
    assert found.span is not None
    assert found.span.line == 4


def test_tokens_are_made_of_earlier_bytes() -> None:
    """So no next token is decoded alone, and packed documents are not separate."""
    spec = validate(parse(text("{buckets: 64}", more=" & document"), "small.yaml"))
    plan = lower(spec)
    assert decoding(plan) is None
    assert plan.separate == () == tuple(separate(spec))
