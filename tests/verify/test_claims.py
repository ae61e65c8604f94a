"""Claims: those of shipped specs hold; each kind, broken, is refuted at its line and in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmspec.verify.claims import check_claims
from mmspec.verify.outcome import Outcome
from mmspec.verify.subject import Subject

SHIPPED = sorted((Path(__file__).parents[2] / "specs").glob("*.yaml"))

SMALL = """\
mmspec: 1
name: small
modalities:
  text: {kind: tokens, vocab: 9, length: {max: 12}}
  image: {kind: image, size: [4, 4], channels: 1, patch: 2, optional: true}
  sound: {kind: audio, features: 3, rate: 10 Hz, length: {max: 9}, patch: 2, optional: true}
streams:
  text: {from: text, depth: 2, width: 8, heads: 2, attention: causal}
  ahead: {from: text, depth: 1, width: 8, heads: 2, attention: "window(before=3, after=2)"}
  ponders:
    from: text
    depth: 1
    width: 8
    heads: 2
    attention: causal
    halting: {kind: ponder, at_most: 3, prior: 0.5}
  leaves:
    from: text
    depth: 3
    width: 8
    heads: 2
    attention: causal
    halting: {kind: exit, head: label, threshold: 0.7, every: 2}
  joint: {from: {fusion: gated, of: [ahead, image, sound]}, depth: 1, width: 8, heads: 2}
  latents: {from: {fusion: attention, of: [ponders], queries: 3}, depth: 1, width: 8, heads: 2}
  split:
    from: [text, image]
    depth: 2
    width: 8
    heads: 2
    attention: {text -> text: causal, text -> image: "~global(1)", image -> text: full}
heads:
  label: {from: leaves, kind: classifier, classes: 3}
  out: {from: joint, kind: classifier, classes: 3}
  other: {from: latents, kind: classifier, classes: 3}
  last: {from: split, kind: classifier, classes: 3}
claims:
  - CLAIM
"""
LINE = SMALL.splitlines().index("  - CLAIM") + 1


def outcome(claim: str) -> Outcome:
    (found,) = check_claims(Subject.of_text(SMALL.replace("CLAIM", claim)))
    assert found.name == claim
    assert found.span is not None
    assert (found.span.line, found.span.column) == (LINE, 5)
    assert found.span.end_column == 5 + len(claim)
    return found


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_claims_of_shipped_specs_are_proved(path: Path) -> None:
    found = list(check_claims(Subject.of(path)))
    assert [o.name for o in found if o.status != "proved"] == []
    assert all(o.detail for o in found)


# width 8: a block has 8*24+24 + 8*8+8 + 8*32+32 + 32*8+8 + 4*8 = 872, a final norm 16
TEXT = 9 * 8 + 2 * 872 + 16


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (f"params(text) == {TEXT}", f"{TEXT:,}"),
        ("params >= 1k", "params = "),
        ("active_params(text) <= 2k", f"{TEXT:,}"),
        ("flops(text=0, image=0, sound=0) < 1e6", "closed form"),
        ("useful_flops(text=12) < 1e9", "closed form"),
        ("pairs(text) in O(text^2)", "text**2/2 + text/2"),
        ("pairs(ahead) in O(text)", "O(text)"),
        ("pairs(latents) in O(1)", "closed form 9"),
        ("causal(text)", "no token of text in `text` depends on a later one, for every length"),
        ("no flow from image to text", "no path leads from image to text in `text`"),
        ("no flow from joint to latents", "no path"),
        ("expected_depth(ponders) <= 3", "1 to 3 steps of `ponders`"),
        ("expected_depth(leaves) >= 2", "2 to 3 blocks of `leaves`"),
        ("expected_depth(text) == 2", "2 blocks of `text`"),
        ("expected_depth <= 3", "1 to 3 steps of `ponders`; a sample runs 2 to 3 blocks"),
    ],
)
def test_true_claims_are_proved_with_the_closed_form(claim: str, words: str) -> None:
    found = outcome(claim)
    assert found.status == "proved", found
    assert words in found.detail


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (f"params(text) < {TEXT}", f"params(text) = {TEXT:,}"),
        ("params <= 1k", "not <= 1,000"),
        ("active_params(text) > 1M", f"{TEXT:,}"),
        ("flops(text=12) <= 1.5", "not <= 1.5"),
        ("useful_flops(text=3) == 7", "not == 7"),
        ("pairs(text) in O(text)", "which is not in O(text)"),
        ("pairs(joint) in O(text^2)", "sound"),
        ("expected_depth(ponders) <= 2", "3 is not <= 2"),
        ("expected_depth(leaves) > 2", "2 is not > 2"),
        ("expected_depth == 3", "not == 3"),
    ],
)
def test_false_figures_are_refuted_with_what_was_found(claim: str, words: str) -> None:
    found = outcome(claim)
    assert found.status == "refuted", found
    assert words in found.detail


@pytest.mark.parametrize(
    ("claim", "path", "example"),
    [
        (
            "causal(ahead)",
            "in stream `ahead`, text sees text (`window(before=3, after=2)`)",
            "text of 2 tokens, no image, no sound; token 1 of text changed from",
        ),
        ("causal(ponders)", "the halting of stream `ponders` pools text", "text of 2 tokens"),
        ("causal(leaves)", "head `label` decides from text when stream `leaves`", "text of 2"),
        ("causal(joint)", "in stream `ahead`, text sees text", "in stream `joint` moves by"),
        (
            "causal(split)",
            "in stream `split`, image sees text (`full`); in stream `split`, text sees image",
            "text of 3 tokens, image of 4 tokens, no sound; token 2 of text changed from",
        ),
        (
            "no flow from text to joint",
            "stream `joint` reads text",
            "text of 1 token, no image, no sound; token 0 of text changed from",
        ),
        (
            "no flow from image to joint",
            "the gates of stream `joint` pool image",
            "image of 4 tokens",
        ),
        ("no flow from sound to image", "the gates of stream `joint` pool sound", "sound of 1 t"),
        (
            "no flow from ponders to latents",
            "the queries of stream `latents` see text",
            "token 0 of the output of stream `ponders` changed: token 0 of latents",
        ),
    ],
)
def test_leaks_are_refuted_with_the_path_and_the_smallest_input(
    claim: str, path: str, example: str
) -> None:
    found = outcome(claim)
    assert found.status == "refuted", found
    assert path in found.detail
    assert found.counterexample is not None
    assert example in found.counterexample


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ("params(image) <= 1", "params is about streams (text, ahead, ponders"),
        ("expected_depth(image) <= 1", "`image` is none"),
        ("pairs(image) in O(1)", "`image` is none"),
        ("pairs(text) in O(ahead)", "in lengths of modalities; `ahead` is none"),
        ("flops(joint=3) <= 1", "lengths are of modalities; `joint` is none"),
        ("flops(text=13) <= 1", "`text` is at most 12 long"),
        ("flops(sound=10) <= 1", "`sound` is at most 9 long"),
        ("flops(image=4) <= 1", "there (1) or absent (0)"),
        ("causal(latents)", "latents only"),
    ],
)
def test_claims_that_say_nothing_are_not_checked(claim: str, why: str) -> None:
    found = outcome(claim)
    assert found.status == "not checked", found
    assert why in found.detail


def test_a_path_that_no_model_shows_is_not_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmspec.verify.flow.witness._MOVED", 1e9)
    found = outcome("causal(ahead)")
    assert found.status == "not checked"
    assert "none of 6 models showed it" in found.detail


MASKED = """
mmspec: 1
name: masked
modalities:
  text: {kind: tokens, vocab: 9, length: {max: 200}}
  sound: {kind: audio, features: 3, rate: 25 Hz, length: {max: 50}}
  motion: {kind: series, features: 3, rate: 10 Hz, length: {max: 20}}
streams:
  text: {from: text, depth: 2, width: 8, heads: 2, attention: "MASK"}
  both:
    from: [sound, motion]
    depth: 1
    width: 8
    heads: 2
    attention: {sound -> motion: within(200 ms)}
heads:
  label: {from: text, kind: classifier, classes: 3}
  other: {from: both, kind: classifier, classes: 3}
claims:
  - CLAIM
"""


@pytest.mark.parametrize(
    ("mask", "claim", "status", "words"),
    [
        ("causal", "pairs(both) in O(sound)", "proved", "pairs(both) grows like"),
        ("causal", "pairs(both) in O(motion)", "proved", "pairs(both) grows like"),
        ("causal", "pairs(both) in O(1)", "refuted", "which is not in O(1)"),
        ("strided(4) & causal", "pairs(text) in O(text)", "refuted", "O(text^2)"),
        ("strided(4) & window(before=9)", "pairs(text) in O(text)", "proved", "3*text - 12"),
        ("random(2) | window(before=1)", "pairs(text) in O(text)", "proved", "O(text)"),
        ("random(2) | window(before=1)", "pairs(text) in O(1)", "not checked", "at most"),
        ("random(2) | causal", "pairs(text) in O(text)", "refuted", "O(text^2)"),
    ],
)
def test_growth_of_any_mask(mask: str, claim: str, status: str, words: str) -> None:
    """Keys within a time are bounded by either side; of random blocks only a bound is known."""
    text = MASKED.replace("MASK", mask).replace("CLAIM", claim)
    (found,) = check_claims(Subject.of_text(text))
    assert found.status == status, found.detail
    assert words in found.detail


def test_an_order_that_only_latents_read_is_said_to_be_none() -> None:
    """The claim names the modality; no stream is called so, and none holds its tokens."""
    source = "{from: {fusion: attention, of: [text], queries: 3}, depth: 1, width: 8, heads: 2}"
    text = f"""
mmspec: 1
name: pooled
modalities:
  text: {{kind: tokens, vocab: 9, length: {{max: 12}}}}
streams:
  latents: {source}
heads:
  label: {{from: latents, kind: classifier, classes: 3}}
claims:
  - causal(text)
"""
    (found,) = check_claims(Subject.of_text(text))
    assert found.status == "not checked"
    assert "only latents read `text`, and they have no order" in found.detail


@pytest.mark.parametrize(
    ("claim", "status"),
    [
        ("useful_flops <= 1e40", "proved"),
        ("useful_flops > 1e40", "refuted"),
        ("useful_flops == 1e40", "refuted"),
        ("useful_flops <= 1e9", "not checked"),
        ("useful_flops >= 1", "not checked"),
        ("flops >= 1", "proved"),
        ("pairs(s) in O(text)", "proved"),
    ],
)
def test_useful_flops_that_are_not_counted_have_a_bound(claim: str, status: str) -> None:
    """Each block of 64 of 2^31 - 1 tokens draws two; dense, all pairs are no more than 2^62."""
    text = (
        "mmspec: 1\nname: long\n"
        "modalities: {text: {kind: tokens, vocab: 9, length: {max: 2147483647}}}\n"
        "streams: {s: {from: text, depth: 1, width: 8, heads: 2, attention: random(2)}}\n"
        "heads: {y: {from: s, kind: classifier, classes: 3}}\n"
        f"claims: ['{claim}']\n"
    )
    (found,) = check_claims(Subject.of_text(text))
    assert found.status == status, found
    assert ("too many to count" in found.detail) == claim.startswith("useful")
