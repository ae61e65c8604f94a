"""What people get wrong in a spec: each is refused at its own word, and told what to write."""

from __future__ import annotations

import time

import pytest

from mmspec.codes import CODES
from mmspec.diagnostics import Diagnostic, MmspecError
from mmspec.schema.validate import validate
from mmspec.text import parse

SPEC = """\
mmspec: 1
name: sample
dims: {d: 64}
modalities:
  image: {kind: image, size: [64, 48], patch: 8, position: sincos-2d}
  text: {kind: tokens, vocab: 97, length: {max: 40}}
  sound: {kind: audio, features: 20, rate: 100 Hz, length: {max: 50}}
streams:
  image: {from: image, depth: 2, width: d, heads: 4}
  text:
    from: text
    depth: 3
    width: 2*d
    heads: 8
    attention: window(before=8, after=7) | global(1)
    feed_forward: {kind: experts, experts: 5, choose: 2}
  sound: {from: sound, depth: 1, width: 24, heads: 2}
  joint:
    from: {fusion: gated, of: [image, text, sound]}
    depth: 1
    width: d
    heads: 4
    attention: {text -> text: causal, text -> image: full}
heads:
  label: {from: joint, kind: classifier, classes: 9}
claims:
  - params <= 2M
  - no flow from image to text
"""

MISTAKES = [
    # what is written, instead of what; the code, the words under the caret, a part of the help
    ("depth: 3", "dept: 3", "MM101", "dept", "did you mean `depth`?"),
    ("modalities:", "modalites:", "MM101", "modalites", "did you mean `modalities`?"),
    ("kind: tokens", "kin: tokens", "MM101", "kin", "did you mean `kind`?"),
    ("classes: 9", "classes: 9, color: red", "MM101", "color", "remove it"),
    ("    heads: 8\n", "", "MM102", None, "add `heads: ...`"),
    ("kind: image, ", "", "MM102", None, "add `kind: image` or `video`"),
    ("classifier", "clasifier", "MM103", "clasifier", "did you mean `classifier`?"),
    ("kind: image", "kind: imagee", "MM103", "imagee", "did you mean `image`?"),
    ("fusion: gated", "fusion: gatde", "MM103", "gatde", "did you mean `gated`?"),
    ("dims:", "init: gtp2\ndims:", "MM103", "gtp2", "did you mean `gpt2`?"),
    ("dims:", "init: xavier\ndims:", "MM103", "xavier", "fan-in, gpt2, normal, truncated-normal"),
    ("dims:", "init: trunc_normal_\ndims:", "MM103", "trunc_normal_", "`truncated-normal`?"),
    ("dims:", "init: gaussian(0.1)\ndims:", "MM103", "gaussian", "did you mean `normal`?"),
    ("dims:", "init: default\ndims:", "MM103", "default", "did you mean `fan-in`?"),
    ("dims:", "init: 0.02\ndims:", "MM104", "0.02", "write `init: normal(0.02)`"),
    ("dims:", "init: [gpt2]\ndims:", "MM104", "[gpt2]", "one of: fan-in, gpt2"),
    ("dims:", "init: gpt2(0.02)\ndims:", "MM105", "0.02", "write `gpt2`"),
    ("dims:", "init: normal(0.1, 2)\ndims:", "MM105", "2", "write `normal(std)`"),
    ("dims:", "init: normal(mean=0.1)\ndims:", "MM105", "mean", "write `normal(std)`"),
    ("dims:", "init: normal(0.1\ndims:", "MM105", None, ""),
    ("dims:", "init: normal(0.1) 2\ndims:", "MM105", "2", "write `normal(0.1)`"),
    ("dims:", "init: normal(1e9)\ndims:", "MM104", "normal(1e9)", ""),
    ("dims:", "init: {kind: gpt2, std: 1}\ndims:", "MM101", "std", "goes with `kind: normal` or"),
    ("dims:", "init: {kind: normal, sigma: 1}\ndims:", "MM101", "sigma", "did you mean `std`?"),
    ("dims:", "initializer_range: 0.02\ndims:", "MM101", "initializer_range", "mean `init`?"),
    ("dims:", "weight_init: normal\ndims:", "MM101", "weight_init", "did you mean `init`?"),
    ("mmspec: 1", "mmspec: 2", "MM103", "2", "write `mmspec: 1`"),
    ("mmspec: 1", 'mmspec: "1"', "MM104", '"1"', "write `mmspec: 1`"),
    ("mmspec: 1", "mmspec: true", "MM104", "true", "write `mmspec: 1`"),
    ("classes: 9", "classes: nine", "MM202", "nine", "write 9"),
    ("classes: 9", "classes: [9]", "MM104", "[9]", ""),
    ("classes: 9", "classes: q", "MM202", "q", "dims: d"),
    ("dims: {d: 64}", "dims: 64", "MM104", "64", ""),
    ("d: 64", "d: true", "MM104", "true", ""),
    ("d: 64", "d: 6.4", "MM104", "6.4", ""),
    ("{from: image,", "{from: 3,", "MM104", "3", "write a modality, a stream"),
    ("window(before=8, after=7) | global(1)", "[full]", "MM104", "full", "{heads: ..., mask: ..."),
    ("window(before=8, after=7) | global(1)", "{mask: full}", "MM223", None, "`text -> image`"),
    ("text -> image: full", "text->text: full", "MM223", "text->text", "keep one of them"),
    ("text: {kind", "self: {kind", "MM105", "self", "choose another name"),
    ("image, text, sound]}", "image, text, sound], queries: 3}", "MM101", "queries", "remove it"),
    (
        "kind: audio, features: 20, rate: 100 Hz, length: {max: 50}",
        "kind: table, columns: {a: text}",
        "MM103",
        "text",
        "{categories: N}",
    ),
    ("{max: 40}", "40", "MM104", "40", "write {max: 40}"),
    ("size: [64, 48]", "size: 64", "MM104", "64", "write [64, 64]"),
    ("size: [64, 48]", "size: [64]", "MM104", "[64]", "one value more"),
    ("size: [64, 48]", "size: [64, 48, 3]", "MM104", "[64, 48, 3]", ""),
    ("of: [image, text, sound]", "of: [joint]", "MM104", "[joint]", ""),
    ("heads: 8", "heads: 8\n    bias: yes", "MM104", "yes", "write true"),
    ("heads: 8", "heads: 8\n    dropout: 2", "MM104", "2", ""),
    (
        "heads: 8",
        "heads: 8\n    halting: ponder",
        "MM104",
        "ponder",
        "write {kind: ponder, at_most: ",
    ),
    ("name: sample", "name: Sample", "MM105", "Sample", ""),
    ("heads: 8", "heads: 7", "MM105", "7", "8 heads fit"),
    ("heads: 8", "heads: 8\n    kv_heads: 3", "MM105", "3", "2 kv_heads fit"),
    ("patch: 8", "patch: 9", "MM105", "9", "a patch of 8 does"),
    (
        "kind: audio, features: 20, rate: 100 Hz",
        "kind: video, size: [30, 20], patch: 3, rate: 25 Hz",
        "MM105",
        "3",
        "a patch of 2 does",
    ),
    (
        "kind: audio, features: 20, rate: 100 Hz",
        "kind: video, size: [30, 20], patch: 5",
        "MM102",
        None,
        "add `rate: ...`",
    ),
    ("choose: 2", "choose: 6", "MM105", "6", "choose at most 5"),
    ("100 Hz", "100", "MM105", "100", "write `100 Hz`"),
    ("text -> image: full", "text -> image: [full]", "MM105", "[full]", ""),
    ("width: 2*d", "width: 2d", "MM201", "d", "such as 4*d"),
    ("width: 2*d", "width: 2*e", "MM202", "e", "dims: d"),
    ("depth: 3", "depth: -1", "MM203", "-1", ""),
    ("depth: 3", "depth: 1000000", "MM105", "1000000", ""),
    ("d: 64", "d: 6x4", "MM201", "x4", "such as 4*d"),
    ("100 Hz", "100 Hx", "MM210", "Hx", ""),
    ("| global(1)", "| (global(1)", "MM220", "", ""),
    ("window(", "windw(", "MM221", "windw", "did you mean `window`?"),
    ("before=8", "befor=8", "MM222", "befor", "window(before=8, after=8)"),
    ("window(before=8, after=7)", "window(8)", "MM222", "window", "window(before=7)"),
    ("text -> image: full", "text to image: full", "MM223", "to", "`text -> image`"),
    ("params <= 2M", "params ! 2M", "MM200", "!", ""),
    ("params <= 2M", "params is 2M", "MM230", "is", ""),
    ("params <= 2M", "speed <= 2M", "MM231", "speed", "claims begin with"),
    ("of: [image,", "of: [imag,", "MM301", "imag", "did you mean `image`?"),
    ("{from: image,", "{from: joint,", "MM302", "joint", ""),
    ("of: [image, text, sound]", "of: [image, text]", "MM307", "sound", "or remove it"),
    ("text -> image: full", "text -> imge: full", "MM310", "imge", "did you mean `image`?"),
    ("text -> image: full", "text -> image: full & causal", "MM311", "causal", "by pair"),
    ("from: joint", "from: joynt", "MM315", "joynt", "did you mean `joint`?"),
    (
        "claims:",
        "objectives: {labl: {weight: 2}}\nclaims:",
        "MM319",
        "labl",
        "did you mean `label`?",
    ),
    ("from image to", "from imag to", "MM321", "imag", "did you mean `image`?"),
    ("window(before=8, after=7)", "routed(blocks=4)", "MM401", "routed", "compiled today"),
    ("  label: {from", "  text: {from", "MM323", "text", "remove it from the inputs"),
    ("text -> text: causal", "text -> text: within(2 ms)", "MM311", "within", "without times"),
]


def problems(text: str) -> tuple[Diagnostic, ...]:
    """What is wrong with a spec."""
    with pytest.raises(MmspecError) as caught:
        validate(parse(text, "sample.yaml"))
    return caught.value.diagnostics


def pointed_at(text: str, problem: Diagnostic) -> str:
    """The words under the caret."""
    span = problem.span
    assert span is not None
    assert span.line == span.end_line
    return text.split("\n")[span.line - 1][span.column - 1 : span.end_column - 1]


def test_the_sample_is_valid() -> None:
    assert validate(parse(SPEC)).name == "sample"


@pytest.mark.parametrize(
    ("right", "wrong", "code", "words", "advice"), MISTAKES, ids=[row[1][:30] for row in MISTAKES]
)
def test_a_mistake_is_one_problem_at_its_word(
    right: str, wrong: str, code: str, words: str | None, advice: str
) -> None:
    assert right in SPEC
    text = SPEC.replace(right, wrong, 1)
    found = problems(text)
    assert [problem.code for problem in found] == [code], [str(problem) for problem in found]
    assert words is None or pointed_at(text, found[0]) == words
    assert advice in found[0].help


OTHER_WORDS = [
    # what a line of the spec says, what another library calls it, a part of the help
    *[
        ("width: 24", f"{word}: 24", "did you mean `width`?")
        for word in ("d_model", "hidden_size", "n_embd", "embed_dim", "dim", "hidden_dim")
    ],
    *[
        ("depth: 1, width: 24", f"{word}: 1, width: 24", "did you mean `depth`?")
        for word in (
            "n_layer",
            "layers",
            "num_layers",
            "num_hidden_layers",
            "n_layers",
            "num_blocks",
        )
    ],
    *[
        ("24, heads: 2}", f"24, {word}: 2}}", "did you mean `heads`?")
        for word in ("num_heads", "n_head", "num_attention_heads", "nhead", "n_heads")
    ],
    *[
        ("24, heads: 2}", f"24, heads: 2, {word}: 1}}", f"did you mean `{meant}`?")
        for word, meant in (
            ("num_key_value_heads", "kv_heads"),
            ("n_kv_heads", "kv_heads"),
            ("head_dim", "head_width"),
            ("dropout_rate", "dropout"),
            ("attn_pdrop", "dropout"),
            ("use_bias", "bias"),
            ("mlp", "feed_forward"),
            ("attn_mask", "attention"),
            ("norm_type", "norm"),
        )
    ],
    *[
        ("24, heads: 2}", f"24, heads: 2, {word}: 96}}", f"write `{meant}`")
        for word, meant in (
            ("d_ff", "feed_forward: {kind: mlp, width: ...}"),
            ("intermediate_size", "feed_forward: {kind: mlp, width: ...}"),
            ("dim_feedforward", "feed_forward: {kind: mlp, width: ...}"),
            ("act_fn", "feed_forward: {kind: mlp, activation: ...}"),
            ("num_experts", "feed_forward: {kind: experts, experts: ...}"),
            ("top_k", "feed_forward: {kind: experts, choose: ...}"),
            ("layer_norm_eps", "norm: {eps: ...}"),
        )
    ],
    ("experts: 5, choose", "num_experts: 5, choose", "did you mean `experts`?"),
    ("choose: 2", "top_k: 2", "did you mean `choose`?"),
    ("choose: 2", "choose: 2, d_ff: 4", "did you mean `width`?"),
    ("vocab: 97", "vocab_size: 97", "did you mean `vocab`?"),
    *[
        ("length: {max: 40}", f"{word}: {{max: 40}}", "did you mean `length`?")
        for word in (
            "max_position_embeddings",
            "n_positions",
            "block_size",
            "max_seq_len",
            "context_length",
        )
    ],
    *[("{max: 40}", f"{{{word}: 40}}", "did you mean `max`?") for word in ("maximum", "max_len")],
    *[
        ("size: [64, 48]", f"{word}: [64, 48]", "did you mean `size`?")
        for word in ("img_size", "image_size", "resolution")
    ],
    ("patch: 8", "patch_size: 8", "did you mean `patch`?"),
    ("patch: 8", "patch: 8, in_chans: 3", "did you mean `channels`?"),
    ("rate: 100 Hz", "sample_rate: 100 Hz", "did you mean `rate`?"),
    ("features: 20", "n_mels: 20", "did you mean `features`?"),
    ("position: sincos-2d", "pos_embed: sincos-2d", "did you mean `position`?"),
    ("classes: 9", "num_classes: 9", "did you mean `classes`?"),
    ("classes: 9", "num_labels: 9", "did you mean `classes`?"),
    ("classes: 9", "classes: 9, class_token: true", "did you mean `pool`?"),
    ("kind: classifier", "type: classifier", "did you mean `kind`?"),
    ("fusion: gated", "type: gated", "did you mean `fusion`?"),
    ("of: [image,", "inputs: [image,", "did you mean `of`?"),
    ("{from: sound,", "{input: sound,", "did you mean `from`?"),
    ("\nstreams:", "\ntowers:", "did you mean `streams`?"),
    ("\nname:", "\nmodel_name:", "did you mean `name`?"),
    # values
    ("kind: classifier", "kind: classification", "did you mean `classifier`?"),
    ("kind: audio", "kind: speech", "did you mean `audio`?"),
    ("kind: tokens", "kind: text", "did you mean `tokens`?"),
    ("kind: image", "kind: picture", "did you mean `image`?"),
    ("kind: experts", "kind: moe", "did you mean `experts`?"),
    ("fusion: gated", "fusion: cross_attention", "did you mean `cross-attention`?"),
    ("position: sincos-2d", "position: rope", "did you mean `rotary`?"),
    ("position: sincos-2d", "position: sincos2d", "did you mean `sincos-2d`?"),
    ("vocab: 97,", "vocab: 97, position: sincos2d,", "did you mean `sincos`?"),
    ("vocab: 97,", "vocab: 97, position: alibi,", "one of: none, learned, sincos, rotary"),
    ("classes: 9", "classes: 9, pool: class_token", "did you mean `first`?"),
    ("classes: 9", "classes: 9, pool: gap", "did you mean `mean`?"),
    ("choose: 2", "choose: 2, activation: swish", "did you mean `silu`?"),
    ("choose: 2", "choose: 2, activation: gelu_new", "did you mean `gelu-tanh`?"),
    (
        "choose: 2",
        "choose: 2, activation: swiglu",
        "write `feed_forward: {kind: glu, activation: silu}`",
    ),
    ("kind: experts, experts: 5, choose: 2", "kind: swiglu", "{kind: glu, activation: silu}"),
    ("{kind: experts, experts: 5, choose: 2}", "swiglu", "write {kind: glu, activation: silu}"),
    (
        "{kind: experts, experts: 5, choose: 2}",
        "moe",
        "write {kind: experts, experts: ..., choose: ...}",
    ),
    *[
        ("window(before=8, after=7)", word, f"did you mean `{meant}`?")
        for word, meant in (
            ("sliding_window(8)", "window"),
            ("local(8)", "window"),
            ("bidirectional", "full"),
            ("full_attention", "full"),
            ("autoregressive", "causal"),
            ("Causal", "causal"),
            ("swin(8)", "shifted_window"),
            ("neighborhood(8)", "window2d"),
            ("chunked(8)", "block"),
            ("prefix_lm(8)", "prefix"),
        )
    ],
    ("100 Hz", "100 fps", "did you mean `Hz`?"),
    ("heads: 8\n", "heads: 8\n    norm: rmsnorm\n", "did you mean `rms`?"),
    ("heads: 8\n", "heads: 8\n    norm: LayerNorm\n", "did you mean `layer`?"),
    ("heads: 8\n", "heads: 8\n    norm: groupnorm(4)\n", "did you mean `group`?"),
    ("heads: 8\n", "heads: 8\n    norm: group_norm\n", "did you mean `group`?"),
    ("heads: 8\n", "heads: 8\n    scores: alibi\n", "write `scores: {relative: alibi}`"),
    ("heads: 8\n", "heads: 8\n    scores: {relative: linear_bias}\n", "did you mean `alibi`?"),
    ("heads: 8\n", "heads: 8\n    scores: {position_bias: alibi}\n", "mean `relative`?"),
    ("heads: 8\n", "heads: 8\n    scores: {qk_layernorm: rms}\n", "mean `qk_norm`?"),
    ("heads: 8\n", "heads: 8\n    scores: {qk_norm: group}\n", "one of: rms, layer"),
    ("heads: 8\n", "heads: 8\n    scores: {softmax_scale: 0.1}\n", "mean `scale`?"),
    ("heads: 8\n", "heads: 8\n    norm: group\n", "write `norm: group(4)`"),
    ("heads: 8\n", "heads: 8\n    norm: 1e-6\n", "one of: layer, rms, group, none"),
    ("heads: 8\n", "heads: 8\n    norm: rms(1e-6, 2)\n", "one of: pre, post, sandwich, branch"),
    ("heads: 8\n", "heads: 8\n    norm: rms(epsilon=1)\n", "write `rms(eps, placement, offset)`"),
    ("heads: 8\n", "heads: 8\n    norm: {offset: 2}\n", "one of: 1"),
    ("heads: 8\n", "heads: 8\n    final_norm: {epsilon: 1e-6}\n", "did you mean `eps`?"),
    ("heads: 8\n", "heads: 8\n    final_norm: rsm\n", "did you mean `rms`?"),
    ("heads: 8\n", "heads: 8\n    final_norm: yes\n", "write true"),
    ("heads: 8\n", "heads: 8\n    norm: none\n    final_norm: true\n", "`final_norm: layer`"),
    ("heads: 8\n", "heads: 8\n    rotary: {theta: 500000}\n", "did you mean `base`?"),
    ("heads: 8\n", "heads: 8\n    rotary: {scaling: llama(8, 8192)}\n", "did you mean `llama3`?"),
    (
        "heads: 8\n",
        "heads: 8\n    rotary: {scaling: llama3(8)}\n",
        "write `scaling: llama3(8, 8192)`",
    ),
    ("heads: 8\n", "heads: 8\n    rotary: {scaling: 'llama3(8, 9, 4, 1)'}\n", "low=1, high=4"),
    ("heads: 8\n", "heads: 8\n    rotary: off\n", "did you mean `none`?"),
    ("heads: 8\n", "heads: 8\n    bias: {keys: false}\n", "did you mean `key`?"),
    ("heads: 8\n", "heads: 8\n    bias: {key: 0}\n", "write false"),
    ("heads: 8\n", "heads: 8\n    bias: 1\n", "write true"),
    ("heads: 8\n", "heads: 8\n    norm: {kind: group}\n", "add `groups: ...`"),
    ("heads: 8\n", "heads: 8\n    norm: {groups: 4}\n", "add `kind: group`"),
    ("heads: 8\n", "heads: 8\n    norm: {kind: group, num_groups: 4}\n", "mean `groups`?"),
    ("heads: 8\n", "heads: 8\n    norm: group(7)\n", "write `norm: group(8)`"),
    *[
        ("heads: 8\n", f"heads: 8\n    norm: {norm}\n", "none is over samples or tokens")
        for norm in ("batch", "BatchNorm", "{kind: batch_norm}", "instance")
    ],
    # keys of other kinds and places
    ("classes: 9", "classes: 9, smoothing: 0.1", "`smoothing` is a key of an objective"),
    ("classes: 9", "classes: 9, tied: true", "`tied` goes with `kind: language-model`"),
    (
        "of: [image, text, sound]",
        "of: [image, text, sound], queries: 3",
        "`queries` goes with `fusion: attention`",
    ),
    ("patch: 8", "patch: 8, tubelet: 2", "`tubelet` goes with `kind: video`"),
    ("24, heads: 2}", "24, heads: 2, depth_: 2}", "remove it; keys here: kv_heads, head_width"),
    ("24, heads: 2}", "24, heads: 2, hidden_size: 24}", "`width` says it already; remove it"),
    ("24, heads: 2}", "24, heads: 2, n_layer: 2}", "`depth` says it already; remove it"),
    ("24, heads: 2}", "24, heads: 2, num_heads: 2}", "`heads` says it already; remove it"),
    (
        "patch: 8",
        "patch: 8, class_token: true",
        "is called `pool`, a key of a head of kind classifier",
    ),
    ("name: sample", "name: sample\nd_model: 64", "`d_model` is called `width`, a key of a stream"),
    # values of another form
    ("depth: 3", "depth: four", "write 4"),
    ("depth: 3", "depth: 3.0", "write 3"),
    ("vocab: 97", "vocab: bert-base-uncased", "bert-base-uncased has 30522"),
    ("vocab: 97", "vocab: google/byt5-small", "write 256 for bytes"),
    ("vocab: 97", "vocab: 50k", "write 50000"),
    ("size: [64, 48]", "size: 32", "write [32, 32]"),
    ("size: [64, 48]", "size: 32x24", "write [32, 24]"),
    ("patch: 8", "patch: [8, 8]", "write 8"),
    ("[image, text, sound]", "image", "write [image]"),
    ("window(before=8, after=7) | global(1)", "[causal, full]", "write `causal | full`"),
    (
        "{fusion: gated, of: [image, text, sound]}",
        "gated(image, text, sound)",
        "write {fusion: gated, of: [image, text, sound]}",
    ),
    (
        "{fusion: gated, of: [image, text, sound]}",
        "gatde(image, text)",
        "write {fusion: gated, of: [image, text]}",
    ),
    ("{fusion: gated, of: [image, text, sound]}", "image, text", "write [image, text]"),
    ("sound: {kind", "sound {kind", "write `sound:`, with a colon"),
    (
        "{from: joint, kind: classifier, classes: 9}",
        "classifier",
        "write {kind: classifier, from: ..., ",
    ),
    ("24, heads: 2}", "24, heads: 2, bias: 1}", "write true"),
]


@pytest.mark.parametrize(
    ("right", "other", "advice"), OTHER_WORDS, ids=[row[1] for row in OTHER_WORDS]
)
def test_other_words_of_the_field_are_known(right: str, other: str, advice: str) -> None:
    assert right in SPEC
    found = problems(SPEC.replace(right, other, 1))
    assert any(advice in problem.help for problem in found), [str(problem) for problem in found]


OBJECTIVES = [
    ("kind: classifier, classes: 9", "smothing: 0.1", "did you mean `smoothing`?"),
    ("kind: classifier, classes: 9", "loss: crossentropy", "did you mean `cross-entropy`?"),
    ("kind: regressor, outputs: 2", "smothing: 0.1", "keys here: loss, weight"),
    ("kind: regressor, outputs: 2", "loss: crossentropy", "one of: mse"),
    ("kind: regressor, outputs: 2", "loss: l2", "did you mean `mse`?"),
]


@pytest.mark.parametrize(("head", "objective", "advice"), OBJECTIVES)
def test_an_objective_is_told_only_what_its_head_takes(
    head: str, objective: str, advice: str
) -> None:
    text = SPEC.replace("kind: classifier, classes: 9", head)
    text = text.replace("claims:", f"objectives: {{label: {{{objective}}}}}\nclaims:")
    (found,) = problems(text)
    assert advice in found.help


REFERENCES = [
    # what is written instead, and a part of the help of one of the problems
    ("{from: sound,", "{from: sond,", "did you mean `sound`?"),
    ("{from: image,", "{from: joynt,", "known: image, text, sound"),
    ("of: [image, text, sound]", "of: [image, text, txt]", "known: sound"),
    ("from image to text", "from image to imag", "did you mean `image`?"),
    ("no flow from image to text", "causal(txt)", "did you mean `text`?"),
    ("params <= 2M", "flops(joint2=3) <= 2M", "known: image, sound, text"),
    (
        "depth: 3",
        "depth: 3\n    halting: {kind: exit, head: labl, threshold: 1}",
        "there are no heads",
    ),
    (
        "kind: classifier, classes: 9",
        "kind: language-model, modality: texd",
        "did you mean `text`?",
    ),
    (
        "kind: classifier, classes: 9",
        "kind: language-model, modality: image",
        "`modality` of: text",
    ),
    (
        "from: joint, kind: classifier, classes: 9",
        "from: [text, texd], kind: contrastive, width: 4",
        "streams: image, sound, joint",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "advice"), REFERENCES, ids=[r[1] for r in REFERENCES])
def test_names_are_proposed_where_they_mean_something(right: str, wrong: str, advice: str) -> None:
    """No stream that would make a circle, none that is read already, no modality for a stream."""
    assert right in SPEC
    found = problems(SPEC.replace(right, wrong, 1))
    assert any(advice in problem.help for problem in found), [str(problem) for problem in found]


TARGETS = [
    # a head by name and kind, and whether what it is trained on is an input
    *[("text", "kind: classifier, classes: 9", True), ("row", "kind: regressor, outputs: 2", True)],
    *[
        ("age", "kind: classifier, classes: 9", True),
        ("size_of", "kind: regressor, outputs: 1", True),
    ],
    *[
        ("other", "kind: regressor, outputs: 1", False),
        ("joint", "kind: classifier, classes: 2", False),
    ],
    *[
        ("text", "kind: language-model, modality: text", False),
        ("age", "kind: language-model", False),
    ],
    *[
        ("row", "kind: contrastive, width: 4", False),
        ("size_of", "kind: contrastive, width: 4", False),
    ],
]


@pytest.mark.parametrize(("name", "head", "is_input"), TARGETS)
@pytest.mark.parametrize("reader", ["joint", "apart"])
def test_no_column_is_an_input_and_a_target(
    name: str, head: str, is_input: bool, reader: str
) -> None:
    """Whether the head's stream reads it or another does; masked losses take no column."""
    source = "[joint, apart]" if "contrastive" in head else reader
    text = f"""\
mmspec: 1
name: sample
modalities:
  text: {{kind: tokens, vocab: 97, length: {{max: 40}}}}
  row: {{kind: table, columns: {{age: number, size_of: {{categories: 3}}}}}}
streams:
  joint: {{from: [text, row], depth: 1, width: 8, heads: 2}}
  apart: {{from: text, depth: 1, width: 8, heads: 2}}
heads:
  always: {{from: [joint, apart], kind: contrastive, width: 4}}
  {name}: {{from: {source}, {head}{", tied: false" if "language" in head else ""}}}
"""
    if not is_input:
        assert name in validate(parse(text)).heads
        return
    (found,) = problems(text)
    assert found.code == "MM323" and pointed_at(text, found) == name
    assert f"head `{name}` is trained on the column `{name}`" in found.message
    assert "rename one of them" in found.help


def test_several_mistakes_come_in_the_order_of_the_text() -> None:
    text = SPEC.replace("classes: 9", "classes: x").replace("depth: 3", "dept: 3")
    text = text.replace("patch: 8", "patch: 9")
    assert [problem.code for problem in problems(text)] == ["MM105", "MM101", "MM202"]


def test_an_unknown_key_does_not_hide_a_missing_one() -> None:
    found = problems(SPEC.replace("depth: 3", "colour: 3"))
    assert [problem.code for problem in found] == ["MM102", "MM101"]


def test_words_are_found_in_values_of_several_lines() -> None:
    text = SPEC.replace(
        "[image, text, sound]", "\n      - image\n      - texd\n      - sound\n    "
    ).replace("{fusion: gated, of:", "\n      fusion: gated\n      of:")
    text = text.replace("    }\n", "\n")
    found = problems(text)
    assert [problem.code for problem in found] == ["MM301"]
    assert pointed_at(text, found[0]) == "texd"


def test_a_spec_of_nothing_but_mistakes_is_answered_soon() -> None:
    text = SPEC + "".join(f"k{number}: 1\n" for number in range(20_000))
    start = time.process_time()
    assert len(problems(text)) == 200
    assert time.process_time() - start < 5


def test_any_name_may_be_a_dim_for_no_python_is_made_of_it() -> None:
    text = SPEC.replace("dims: {d: 64}", "dims: {d: 64, heads: 8, class: 9, q: 2*heads}")
    text = text.replace("heads: 8\n", "heads: heads\n").replace("classes: 9", "classes: class")
    spec = validate(parse(text))
    assert spec.streams["text"].heads == 8
    assert spec.dims["q"] == 16


def test_quoted_expressions_keep_their_columns() -> None:
    text = SPEC.replace("window(before=8, after=7) | global(1)", '"causal & windw(before=8)"')
    assert pointed_at(text, problems(text)[0]) == "windw"


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("classes: 9}", "classes: 9", "close the bracket of line 25"),
        ("    depth: 3", "\tdepth: 3", "indent with spaces"),
        ("name: sample", "name: a: b", "quote a value that holds"),
        ("name: sample", 'name: "sample', "close the quote"),
    ],
)
def test_what_is_not_yaml_says_how_to_mend_it(right: str, wrong: str, words: str) -> None:
    (found,) = problems(SPEC.replace(right, wrong, 1))
    assert found.code == "MM006"
    assert words in found.help


def test_every_code_of_the_schema_and_of_expressions_is_met() -> None:
    met = {code for _, _, code, _, _ in MISTAKES}
    assert {code for code in CODES if code.startswith(("MM1", "MM2"))} <= met
