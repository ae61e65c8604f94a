"""Signs, numbers and keys as other languages have them: what is proposed is right in its place."""

from __future__ import annotations

import itertools
import re

import pytest
from test_mistakes import SPEC, pointed_at, problems

from mmspec.diagnostics import MmspecError
from mmspec.expressions import claim, dimension, mask, quantity
from mmspec.schema.names import check_part_name
from mmspec.schema.validate import validate
from mmspec.text import parse

SIGNS = [
    # a mask as others write it, and as we do
    ("causal && global(1)", "causal & global(1)"),
    ("causal || full", "causal | full"),
    ("not causal", "~causal"),
    ("NOT causal", "~causal"),
    ("not(causal)", "~(causal)"),
    ("!causal", "~causal"),
    ("-causal", "~causal"),
    ("¬causal", "~causal"),
    ("causal and full", "causal & full"),
    ("causal AND not full", "causal & ~full"),
    ("causal && !full", "causal & ~full"),
    ("causal or full", "causal | full"),
    ("causal - global(1)", "causal & ~global(1)"),
    ("causal but not full", "causal & ~full"),
    ("causal except global(1)", "causal & ~global(1)"),
    ("causal \\ full", "causal & ~full"),
    ("causal + full", "causal | full"),
    ("causal * full", "causal & full"),
    ("causal ∩ full", "causal & full"),
    ("causal \u222a full", "causal | full"),
    ("not (causal or full) and window(before=2)", "~(causal | full) & window(before=2)"),
]


@pytest.mark.parametrize(("theirs", "ours"), SIGNS)
def test_a_mask_in_the_signs_of_others_is_told_in_ours(theirs: str, ours: str) -> None:
    with pytest.raises(MmspecError) as caught:
        mask.parse(theirs)
    assert caught.value.diagnostics[0].help == f"write `{ours}`"
    mask.parse(ours)


def test_the_place_of_a_sign_is_kept() -> None:
    text = SPEC.replace("window(before=8, after=7) | global(1)", '"not causal"')
    (found,) = problems(text)
    assert (found.code, pointed_at(text, found)) == ("MM221", "not")


@pytest.mark.parametrize(
    "text", ["and(causal, full)", "or(causal, full)", "union(causal, full)", "causal, full"]
)
def test_where_no_mask_can_be_made_of_it_the_signs_are_named(text: str) -> None:
    with pytest.raises(MmspecError) as caught:
        mask.parse(text)
    assert caught.value.diagnostics[0].help == "join patterns with ~ (not), & (and), | (or)"


def test_exclusive_or_is_written_out() -> None:
    for text in ("causal ^ full", "causal xor full"):
        with pytest.raises(MmspecError) as caught:
            mask.parse(text)
        assert "(a | b) & ~(a & b)" in caught.value.diagnostics[0].help


def test_long_rows_of_signs_take_no_time() -> None:
    for sign in ("- ", "& ", "and ", "!", "not ", "  "):
        with pytest.raises(MmspecError):
            mask.parse(f"causal {sign * (1990 // len(sign))}x")


CLAIMS = [
    ("not causal(text)", "a claim has no not"),
    ("~causal(text)", "a claim has no not"),
    ("params <= 2M and params > 1", "one claim a line"),
    ("params <= 2M && params > 1", "one claim a line"),
    ("params <= 2M or params > 1", "a claim has no or"),
    ("params <= 2M || params > 1", "a claim has no or"),
    ("params =< 3", "write <="),
    ("params => 3", "write >="),
    ("params < = 3", "write <="),
    ("params != 3", "the comparisons <= < >= > =="),
    ("no flow from image and text to joint", "a claim for each, such as `no flow from image to"),
    ("params <= 2K", "write k"),
    ("params <= 2m", "write M"),
    ("params <= 2B", "write G"),
    ("params <= 7 billion", "write G"),
    ("params <= 1,000,000", "write 1000000"),
    ("params <= d", "a bound is a number"),
]


@pytest.mark.parametrize(("text", "advice"), CLAIMS)
def test_claims(text: str, advice: str) -> None:
    with pytest.raises(MmspecError) as caught:
        claim.parse(text)
    assert advice in caught.value.diagnostics[0].help


SIZES = [
    ("not d", "a size uses + - * / // and parentheses"),
    ("d and 3", "a size uses + - * / // and parentheses"),
    ("d % 3", "a size uses + - * / // and parentheses"),
    ("2**d", "a size has no powers"),
    ("d^2", "a size has no powers"),
    ("mean(d, 3)", "the functions of a size: max, min"),
    ("inf", "a size is finite"),
]


@pytest.mark.parametrize(("text", "advice"), SIZES)
def test_sizes(text: str, advice: str) -> None:
    with pytest.raises(MmspecError) as caught:
        dimension.evaluate(text, {"d": 64})
    assert advice in caught.value.diagnostics[0].help


NUMBERS = {"0x1F": "write 31", "0b101": "write 5", "0o17": "write 15", "1_000": "write 1000"}


@pytest.mark.parametrize("written", NUMBERS)
def test_numbers_of_another_base_are_told_in_each_language(written: str) -> None:
    for read in (
        lambda: mask.parse(f"window(before={written})"),
        lambda: mask.parse(f"within({written} ms)"),
        lambda: claim.parse(f"params <= {written}"),
        lambda: claim.parse(f"flops(text={written}) <= 2M"),
        lambda: dimension.evaluate(f"2*{written}", {}),
        lambda: quantity.parse(f"{written} Hz"),
    ):
        with pytest.raises(MmspecError) as caught:
            read()
        assert NUMBERS[written] in caught.value.diagnostics[0].help


@pytest.mark.parametrize("written", ["inf", "Infinity", "NaN"])
def test_infinity_is_told_in_each_language(written: str) -> None:
    for read in (
        lambda: mask.parse(f"window(before={written})"),
        lambda: mask.parse(f"within({written} ms)"),
        lambda: claim.parse(f"params <= {written}"),
        lambda: claim.parse(f"flops(text={written}) <= 2M"),
        lambda: dimension.evaluate(written, {"d": 1}),
        lambda: quantity.parse(f"{written} Hz"),
    ):
        with pytest.raises(MmspecError) as caught:
            read()
        assert "finite" in caught.value.diagnostics[0].help


PONDER = "heads: 8\n    halting: {kind: ponder, at_most: 3"
FIELDS = {
    # a number of a spec: the largest and the smallest that its rule allows, and 0 if it does
    "heads: 8\n    norm: {kind: rms, eps: N}": (3.4e38, 1.2e-38, False),
    "heads: 8\n    dropout: N": (1, 1.2e-38, True),
    f"{PONDER}, prior: N}}": (0.999, 1.2e-38, False),
    f"{PONDER}, prior: 0.1, weight: N}}": (
        3.4e38,
        1.2e-38,
        True,
    ),
    f"{PONDER}, prior: 0.1, threshold: N}}": (
        1,
        1.2e-38,
        False,
    ),
    "heads: 8\n    feed_forward: {kind: switch, experts: 3, balance: N}": (3.4e38, 1.2e-38, True),
}
BEYOND = ["1e39", "3.5e38", "1e400", "-1e39", "1e-39", "1e-50", "1e-400", "-1e-50"]


def told(field: str, number: str) -> list[str]:
    """What is said of a field with a number."""
    text = SPEC.replace("    feed_forward: {kind: experts, experts: 5, choose: 2}\n", "")
    text = text.replace("heads: 8", field.replace("N", number), 1)
    try:
        validate(parse(text, "s.yaml"))
    except MmspecError as error:
        return [str(problem) for problem in error.diagnostics]
    return []


@pytest.mark.parametrize("field", FIELDS)
def test_a_number_is_one_that_float32_holds(field: str) -> None:
    most, least, zero = FIELDS[field]
    for right in (most, least, *([0] if zero else [])):
        assert told(field, f"{right}") == []
    for wrong in BEYOND:
        assert len(told(field, wrong)) == 1, wrong
    assert "write at least 1.2e-38" in told(field, "1e-50")[0]
    if most > 1:
        assert "`1e+39` is infinite in float32" in told(field, "1e39")[0]


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        ("inf", "write one in digits"),
        ("-Infinity", "write one in digits"),
        ("1/4", "write 0.25"),
        ("0,25", "write 0.25"),
        ("25%", "write 0.25"),
        ("0x1", "write 1"),
    ],
)
def test_a_number_written_otherwise(number: str, advice: str) -> None:
    assert advice in told("heads: 8\n    dropout: N", number)[0]


@pytest.mark.parametrize("number", ["none", "off", "yes"])
def test_no_number_is_told_to_be_a_constant(number: str) -> None:
    assert "write" not in told("heads: 8\n    dropout: N", number)[0]


@pytest.mark.parametrize("number", ["1e39", "1e10", "-4.0", "2147483648.0"])
def test_a_size_is_not_told_to_be_what_no_size_is(number: str) -> None:
    for right, wrong in (("d: 64}", f"d: {number}}}"), ("depth: 3", f"depth: {number}")):
        found = problems(SPEC.replace(right, wrong, 1))
        assert "from 1 to below 2**31" in found[0].help


KEYS = [
    # what stands instead of what, and a part of the help of one of the problems
    ("\nstreams:", "\nencoders:", "did you mean `streams`?"),
    ("\nstreams:", "\nencoder:", "did you mean `streams`?"),
    ("\nmodalities:", "\nencoders:", "did you mean `modalities`?"),
    ("name: sample", "name: sample\nencoders: {}", "`modalities` and `streams` say it already"),
    ("\nheads:", "\nlm_head:", "did you mean `heads`?"),
    ("\nheads:", "\noutput_heads:", "did you mean `heads`?"),
    *[
        ("kind: classifier", f"kind: {word}", "did you mean `language-model`?")
        for word in ("lm_head", "lm-head", "LMHead", "ForCausalLM")
    ],
    ("kind: classifier", "kind: cls_head", "did you mean `classifier`?"),
    ("  label: {from: joint", "  lm_head: {from: joint", "write `lmhead`"),
    ("  label: {from: joint", "  lm-head: {from: joint", "write `lmhead`"),
    ("  label: {from: joint", "  LM: {from: joint", "write `lm`"),
    *[
        ("24, heads: 2}", f"24, heads: 2, {word}: 0.1}}", "remove it: there is no stochastic depth")
        for word in ("drop_path", "droppath", "drop_path_rate", "stochastic_depth", "layerdrop")
    ],
    ("24, heads: 2}", "24, heads: 2, token_dropout: 0.1}", "remove it: dropout is of attention"),
    ("24, heads: 2}", "24, heads: 2, attn_drop: 0.1}", "did you mean `dropout`?"),
    ("window(before=8, after=7) | global(1)", "!causal", "in a mask, not is written ~"),
]


@pytest.mark.parametrize(("right", "wrong", "advice"), KEYS, ids=[row[1].strip() for row in KEYS])
def test_keys_and_kinds(right: str, wrong: str, advice: str) -> None:
    assert right in SPEC
    found = problems(SPEC.replace(right, wrong, 1))
    assert any(advice in problem.help for problem in found), [str(problem) for problem in found]


def test_a_name_that_is_proposed_is_free() -> None:
    ends = ("head", "tokens", "logits", "mask", "b", "btd", "to_x", "sees")
    for start, end in itertools.product(("lm", "q_row", "a_to"), ends):
        try:
            check_part_name(f"{start}_{end}")
        except ValueError as error:
            proposed = re.search(r"; write `(.+)`", str(error))
            assert proposed is not None, (start, end)
            assert check_part_name(proposed[1]) == proposed[1]
