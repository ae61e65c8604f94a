"""Published architectures made small, as transformers has them: settings, and names of weights."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

import torch
from torch import Tensor, nn

HEADS: Final = 4
WIDTH: Final = 24
"""Of the small ones."""

Names = Mapping[str, tuple[str, ...]]
"""Of a weight here, those there whose rows follow one another in it; `#` is a layer's number."""


@dataclass(frozen=True, slots=True)
class Family:
    """What stands in `specs/published/`, and its class and settings in transformers.

    edits: what makes the spec small, in the settings' sizes; by_head: queries, keys and values of a
    head are neighbours there; outputs: what is there called what our heads say.
    """

    model: str
    settings: Mapping[str, Any]
    edits: tuple[tuple[str, str], ...]
    names: Names
    by_head: bool = False
    outputs: tuple[str, ...] = ("logits",)

    def made(self) -> nn.Module:
        """A model of transformers, with random weights."""
        import transformers  # takes seconds, in each process that collects tests

        kind = getattr(transformers, self.model)
        found: nn.Module = kind(kind.config_class(**self.settings, attn_implementation="eager"))
        with torch.no_grad():
            for weight in found.parameters():
                weight.normal_(std=0.3)
        return found.eval()

    def weights(self, model: nn.Module, names: list[str]) -> dict[str, Tensor]:
        """A model's weights by the names here. Raises KeyError where one is nowhere there."""
        there = dict(model.named_parameters())
        return {name: self._weight(there, name) for name in names}

    def _weight(self, there: Mapping[str, Tensor], name: str) -> Tensor:
        found, *more = (there[each] for each in self.of(name))
        found = torch.cat([found, *more]) if more else found
        if self.by_head and ".qkv." in name:
            found = found.unflatten(0, (HEADS, 3, -1)).transpose(0, 1).flatten(0, 2)
        if found.dim() == 5:  # frames stand behind channels there
            found = found.transpose(1, 2)
        return found.flatten(1) if name.endswith("patch.weight") else found

    def of(self, name: str) -> tuple[str, ...]:
        """What a weight is called there."""
        parts = name.split(".")
        number = next((part for part in parts if part.isdigit()), "")
        plain = ".".join("#" if part.isdigit() else part for part in parts)
        if plain in self.names:
            return self.names[plain]
        module, _, kind = plain.rpartition(".")
        return tuple(f"{each.replace('#', number)}.{kind}" for each in self.names[module])


@contextmanager
def in_float64() -> Generator[None]:
    """What transformers computes in float32 whatever the weights, in float64."""
    patches: list[Any] = [patch.object(torch, name, torch.float64) for name in ("float32", "float")]
    patches.append(patch.object(Tensor, "float", Tensor.double))
    torch.set_default_dtype(torch.float64)
    try:
        for each in patches:
            each.start()
        yield
    finally:
        for each in patches:
            each.stop()
        torch.set_default_dtype(torch.float32)


def _turning(base: float, **more: float) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": base, **more}}


def _gated(layer: str) -> dict[str, tuple[str, ...]]:
    return {
        f"text_stream.blocks.#.feed_forward.{name}": (f"{layer}.mlp.{name}_proj",)
        for name in ("gate", "up", "down")
    }


_BLOCK: Final = "text_stream.blocks.#"
_LAYER: Final = "model.layers.#"
_BERT: Final = "bert.encoder.layer.#"
_JOINED: Final = {
    f"{_BLOCK}.attention.qkv": tuple(f"{_LAYER}.self_attn.{x}_proj" for x in "qkv"),
    f"{_BLOCK}.attention.output": (f"{_LAYER}.self_attn.o_proj",),
    "text_embedding.table": ("model.embed_tokens",),
    "text_stream.norm": ("model.norm",),
    "next_head.output": ("lm_head",),
}
_PRE: Final = {
    f"{_BLOCK}.attention_norm": (f"{_LAYER}.input_layernorm",),
    f"{_BLOCK}.feed_forward_norm": (f"{_LAYER}.post_attention_layernorm",),
}
_NORMED: Final = {
    f"{_BLOCK}.attention.query_norm": (f"{_LAYER}.self_attn.q_norm",),
    f"{_BLOCK}.attention.key_norm": (f"{_LAYER}.self_attn.k_norm",),
}
_LLAMA: Final = {**_JOINED, **_PRE, **_gated(_LAYER)}


def _fused(layer: str, inner: Mapping[str, str], outer: Mapping[str, str]) -> Names:
    """Of a model whose layers hold one map to queries, keys and values."""
    found = {f"{_BLOCK}.{name}": (f"{layer}.{other}",) for name, other in inner.items()}
    return found | {name: (other,) for name, other in outer.items()}


_FALCON: Final = {
    "attention.qkv": "self_attention.query_key_value",
    "attention.output": "self_attention.dense",
    "feed_forward.up": "mlp.dense_h_to_4h",
    "feed_forward.down": "mlp.dense_4h_to_h",
}
_NEOX: Final = {
    **_FALCON,
    "attention.qkv": "attention.query_key_value",
    "attention.output": "attention.dense",
}
_TWO: Final = {
    "attention_norm": "input_layernorm",
    "feed_forward_norm": "post_attention_layernorm",
}
_ENDS: Final = {
    "text_embedding.table": "transformer.word_embeddings",
    "text_embedding.norm": "transformer.word_embeddings_layernorm",
    "text_stream.norm": "transformer.ln_f",
}

_SMALL: Final = {
    "vocab_size": 31,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
}
_PICTURES: Final = {
    **{key: value for key, value in _SMALL.items() if key != "vocab_size"},
    **{"intermediate_size": 96, "patch_size": 4, "image_size": 8, "num_labels": 5},
}
_BASE: Final = (("d: 768", "d: 24"), ("depth: 12", "depth: 2"), ("heads: 12", "heads: 4"))


def _seen(patch: int) -> tuple[tuple[str, str], ...]:
    """What makes pictures small, of patches of so many pixels."""
    cut = ("224, 224", "8, 8"), (f"patch: {patch}", "patch: 4")
    return *cut, ("classes: 1000", "classes: 5")


def _vit(stream: str, model: str) -> Names:
    """Of a transformer of patches."""
    block, layer = f"{stream}_stream.blocks.#", f"{model}.layers.#"
    return {
        f"{stream}_embedding.position": (f"{model}.embeddings.position_embeddings",),
        f"{stream}_embedding.patch": (f"{model}.embeddings.patch_embeddings.projection",),
        f"{stream}_stream.norm": (f"{model}.layernorm",),
        "label_head.output": ("classifier",),
        f"{block}.attention.qkv": tuple(f"{layer}.attention.{x}_proj" for x in "qkv"),
        f"{block}.attention.output": (f"{layer}.attention.o_proj",),
        f"{block}.attention_norm": (f"{layer}.layernorm_before",),
        f"{block}.feed_forward_norm": (f"{layer}.layernorm_after",),
        f"{block}.feed_forward.up": (f"{layer}.mlp.fc1",),
        f"{block}.feed_forward.down": (f"{layer}.mlp.fc2",),
    }


_TWO_TOWERS: Final = {"num_hidden_layers": 2, "num_attention_heads": HEADS}


def _tower(stream: str, model: str) -> Names:
    """Of one side of CLIP."""
    block, layer = f"{stream}_stream.blocks.#", f"{model}.encoder.layers.#"
    return {
        f"{block}.attention.qkv": tuple(f"{layer}.self_attn.{x}_proj" for x in "qkv"),
        f"{block}.attention.output": (f"{layer}.self_attn.out_proj",),
        f"{block}.attention_norm": (f"{layer}.layer_norm1",),
        f"{block}.feed_forward_norm": (f"{layer}.layer_norm2",),
        f"{block}.feed_forward.up": (f"{layer}.mlp.fc1",),
        f"{block}.feed_forward.down": (f"{layer}.mlp.fc2",),
    }


_SHARED: Final = {**_SMALL, "num_key_value_heads": 2, "intermediate_size": 40}


def _both(inner: Mapping[str, tuple[str, ...]], outer: Mapping[str, tuple[str, ...]]) -> Names:
    """Of an encoder and a decoder.

    inner: of a layer of either, with `SIDE` for what it is, and `LAST` for its last sub-layer.
    """
    found: dict[str, tuple[str, ...]] = {**outer}
    for ours, side, last in (("source", "encoder", "1"), ("target", "decoder", "2")):
        for name, others in inner.items():
            made = tuple(each.replace("SIDE", side).replace("LAST", last) for each in others)
            if not name.startswith("cross") or side == "decoder":
                found[f"{ours}_stream.blocks.#.{name}"] = made
    return found


_BART: Final = {
    f"{name}_embedding.{ours}": (f"model.{side}.{theirs}",)
    for name, side in (("source", "encoder"), ("target", "decoder"))
    for ours, theirs in (("position", "embed_positions.weight"), ("norm", "layernorm_embedding"))
}
_BART_LAYER: Final = "model.SIDE.layers.#"
_T5_LAYER: Final = "SIDE.block.#.layer"

_BERT_LAYERS: Final = {
    "text_embedding.table": ("bert.embeddings.word_embeddings",),
    "text_embedding.position": ("bert.embeddings.position_embeddings.weight",),
    "text_embedding.added_segment": ("bert.embeddings.token_type_embeddings",),
    "text_embedding.norm": ("bert.embeddings.LayerNorm",),
    f"{_BLOCK}.attention.qkv": tuple(
        f"{_BERT}.attention.self.{x}" for x in ("query", "key", "value")
    ),
    f"{_BLOCK}.attention.output": (f"{_BERT}.attention.output.dense",),
    f"{_BLOCK}.attention_norm": (f"{_BERT}.attention.output.LayerNorm",),
    f"{_BLOCK}.feed_forward.up": (f"{_BERT}.intermediate.dense",),
    f"{_BLOCK}.feed_forward.down": (f"{_BERT}.output.dense",),
    f"{_BLOCK}.feed_forward_norm": (f"{_BERT}.output.LayerNorm",),
}

FAMILIES: Final = {
    "bart_base": Family(
        "BartForConditionalGeneration",
        {
            "vocab_size": 31,
            "d_model": WIDTH,
            **{f"{side}_layers": 2 for side in ("encoder", "decoder")},
            **{f"{side}_attention_heads": HEADS for side in ("encoder", "decoder")},
            **{f"{side}_ffn_dim": 4 * WIDTH for side in ("encoder", "decoder")},
        },
        (("d: 768", "d: 24"), ("50265", "31"), ("depth: 6", "depth: 2"), ("heads: 12", "heads: 4")),
        _both(
            {
                "attention.qkv": tuple(f"{_BART_LAYER}.self_attn.{x}_proj" for x in "qkv"),
                "attention.output": (f"{_BART_LAYER}.self_attn.out_proj",),
                "attention_norm": (f"{_BART_LAYER}.self_attn_layer_norm",),
                "cross.query": (f"{_BART_LAYER}.encoder_attn.q_proj",),
                "cross.key_value": tuple(f"{_BART_LAYER}.encoder_attn.{x}_proj" for x in "kv"),
                "cross.output": (f"{_BART_LAYER}.encoder_attn.out_proj",),
                "cross_norm": (f"{_BART_LAYER}.encoder_attn_layer_norm",),
                "feed_forward.up": (f"{_BART_LAYER}.fc1",),
                "feed_forward.down": (f"{_BART_LAYER}.fc2",),
                "feed_forward_norm": (f"{_BART_LAYER}.final_layer_norm",),
            },
            {**_BART, "source_embedding.table": ("model.shared",)},
        ),
    ),
    "t5_small": Family(
        "T5ForConditionalGeneration",
        {
            "vocab_size": 31,
            "d_model": WIDTH,
            "d_kv": 6,
            "d_ff": 4 * WIDTH,
            "num_layers": 2,
            "num_heads": HEADS,
        },
        (("d: 512", "d: 24"), ("32128", "31"), ("depth: 6", "depth: 2"), ("heads: 8", "heads: 4")),
        _both(
            {
                "attention.qkv": tuple(f"{_T5_LAYER}.0.SelfAttention.{x}" for x in "qkv"),
                "attention.output": (f"{_T5_LAYER}.0.SelfAttention.o",),
                "attention_norm": (f"{_T5_LAYER}.0.layer_norm",),
                "cross.query": (f"{_T5_LAYER}.1.EncDecAttention.q",),
                "cross.key_value": tuple(f"{_T5_LAYER}.1.EncDecAttention.{x}" for x in "kv"),
                "cross.output": (f"{_T5_LAYER}.1.EncDecAttention.o",),
                "cross_norm": (f"{_T5_LAYER}.1.layer_norm",),
                "feed_forward.up": (f"{_T5_LAYER}.LAST.DenseReluDense.wi",),
                "feed_forward.down": (f"{_T5_LAYER}.LAST.DenseReluDense.wo",),
                "feed_forward_norm": (f"{_T5_LAYER}.LAST.layer_norm",),
            },
            {
                "source_embedding.table": ("shared",),
                "source_stream.norm": ("encoder.final_layer_norm",),
                "target_stream.norm": ("decoder.final_layer_norm",),
                **{
                    f"{name}_stream.relative.weight": (
                        f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                    )
                    for name, side in (("source", "encoder"), ("target", "decoder"))
                },
            },
        ),
    ),
    "llama3_8b": Family(
        "LlamaForCausalLM",
        {**_SHARED, "rms_norm_eps": 1e-5, **_turning(500000.0)},
        (
            ("d: 4096", "d: 24"),
            ("128256", "31"),
            ("depth: 32", "depth: 2"),
            ("heads: 32", "heads: 4"),
            ("kv_heads: 8", "kv_heads: 2"),
            ("width: 14336", "width: 40"),
        ),
        _LLAMA,
    ),
    "mistral_7b": Family(
        "MistralForCausalLM",
        {**_SHARED, "sliding_window": 6},
        (
            ("d: 4096", "d: 24"),
            ("32000", "31"),
            ("depth: 32", "depth: 2"),
            ("heads: 32", "heads: 4"),
            ("kv_heads: 8", "kv_heads: 2"),
            ("width: 14336", "width: 40"),
            ("4095", "5"),
        ),
        _LLAMA,
    ),
    "qwen2_05b": Family(
        "Qwen2ForCausalLM",
        {**_SHARED, "tie_word_embeddings": True, **_turning(1000000.0)},
        (
            ("d: 896", "d: 24"),
            ("151936", "31"),
            ("depth: 24", "depth: 2"),
            ("heads: 14", "heads: 4"),
            ("width: 4864", "width: 40"),
        ),
        _LLAMA,
    ),
    "qwen3_06b": Family(
        "Qwen3ForCausalLM",
        {**_SHARED, "head_dim": 8, "tie_word_embeddings": True, **_turning(1000000.0)},
        (
            ("d: 1024", "d: 24"),
            ("151936", "31"),
            ("depth: 28", "depth: 2"),
            ("heads: 16", "heads: 4"),
            ("kv_heads: 8", "kv_heads: 2"),
            ("head_width: 128", "head_width: 8"),
            ("3*d", "40"),
        ),
        {**_LLAMA, **_NORMED},
    ),
    "gemma_2b": Family(
        "GemmaForCausalLM",
        {**_SHARED, "num_key_value_heads": 1, "head_dim": 10},
        (
            ("d: 2048", "d: 24"),
            ("256000", "31"),
            ("depth: 18", "depth: 2"),
            ("heads: 8", "heads: 4"),
            ("head_width: 256", "head_width: 10"),
            ("8*d", "40"),
        ),
        _LLAMA,
    ),
    "gemma3_1b": Family(
        "Gemma3ForCausalLM",
        {
            **_SHARED,
            "num_key_value_heads": 1,
            "head_dim": 10,
            "query_pre_attn_scalar": 10,
            "sliding_window": 6,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        (
            ("d: 1152", "d: 24"),
            ("262144", "31"),
            ("depth: 26", "depth: 2"),
            ("head_width: 256", "head_width: 10"),
            ("6*d", "40"),
            ("511", "5"),
            ("local*5", "local"),
        ),
        {
            **_JOINED,
            **_NORMED,
            **_gated(_LAYER),
            f"{_BLOCK}.attention_norm": (f"{_LAYER}.input_layernorm",),
            f"{_BLOCK}.attention_norm_after": (f"{_LAYER}.post_attention_layernorm",),
            f"{_BLOCK}.feed_forward_norm": (f"{_LAYER}.pre_feedforward_layernorm",),
            f"{_BLOCK}.feed_forward_norm_after": (f"{_LAYER}.post_feedforward_layernorm",),
        },
    ),
    "smollm3_3b": Family(
        "SmolLM3ForCausalLM",
        {
            **_SHARED,
            "tie_word_embeddings": True,
            "no_rope_layers": [1, 0],
            "pad_token_id": None,
            **_turning(5000000.0),
        },
        (
            ("d: 2048", "d: 24"),
            ("128256", "31"),
            ("depth: 36", "depth: 2"),
            ("heads: 16", "heads: 4"),
            ("kv_heads: 4", "kv_heads: 2"),
            ("11008", "40"),
            ("turned*3", "turned"),
        ),
        _LLAMA,
    ),
    "olmo2_1b": Family(
        "Olmo2ForCausalLM",
        {**_SMALL, "intermediate_size": 40, "rms_norm_eps": 1e-6, **_turning(500000.0)},
        (
            ("d: 2048", "d: 24"),
            ("100352", "31"),
            ("depth: 16", "depth: 2"),
            ("heads: 16", "heads: 4"),
            ("4*d", "40"),
        ),
        {
            **_JOINED,
            **_NORMED,
            **_gated(_LAYER),
            f"{_BLOCK}.attention_norm_after": (f"{_LAYER}.post_attention_layernorm",),
            f"{_BLOCK}.feed_forward_norm_after": (f"{_LAYER}.post_feedforward_layernorm",),
        },
    ),
    "starcoder2_3b": Family(
        "Starcoder2ForCausalLM",
        {**_SHARED, "intermediate_size": 96, "sliding_window": 6, **_turning(999999.4420358813)},
        (
            ("d: 3072", "d: 24"),
            ("49152", "31"),
            ("depth: 30", "depth: 2"),
            ("heads: 24", "heads: 4"),
            ("4095", "5"),
        ),
        {
            **_JOINED,
            **_PRE,
            f"{_BLOCK}.feed_forward.up": (f"{_LAYER}.mlp.c_fc",),
            f"{_BLOCK}.feed_forward.down": (f"{_LAYER}.mlp.c_proj",),
        },
    ),
    "pythia_160m": Family(
        "GPTNeoXForCausalLM",
        {**_SMALL, "hidden_size": 32, "intermediate_size": 128},
        (
            ("d: 768", "d: 32"),
            ("50304", "31"),
            ("depth: 12", "depth: 2"),
            ("heads: 12", "heads: 4"),
        ),
        _fused(
            "gpt_neox.layers.#",
            {**_NEOX, **_TWO},
            {
                "text_embedding.table": "gpt_neox.embed_in",
                "text_stream.norm": "gpt_neox.final_layer_norm",
                "next_head.output": "lm_head",
            },
        ),
        by_head=True,
    ),
    "falcon_7b": Family(
        "FalconForCausalLM",
        _SMALL,
        (
            ("d: 4544", "d: 24"),
            ("65024", "31"),
            ("depth: 32", "depth: 2"),
            ("heads: 71", "heads: 4"),
        ),
        _fused("transformer.h.#", {**_FALCON, "parallel_norm": "input_layernorm"}, _ENDS),
    ),
    "bloom_560m": Family(
        "BloomForCausalLM",
        {"vocab_size": 31, "hidden_size": WIDTH, "n_layer": 2, "n_head": HEADS},
        (
            ("d: 1024", "d: 24"),
            ("250880", "31"),
            ("depth: 24", "depth: 2"),
            ("heads: 16", "heads: 4"),
        ),
        _fused("transformer.h.#", {**_FALCON, **_TWO}, _ENDS),
        by_head=True,
    ),
    "mpt_7b": Family(
        "MptForCausalLM",
        {"vocab_size": 31, "d_model": WIDTH, "n_layers": 2, "n_heads": HEADS},
        (
            ("d: 4096", "d: 24"),
            ("50432", "31"),
            ("depth: 32", "depth: 2"),
            ("heads: 32", "heads: 4"),
        ),
        _fused(
            "transformer.blocks.#",
            {
                "attention_norm": "norm_1",
                "attention.qkv": "attn.Wqkv",
                "attention.output": "attn.out_proj",
                "feed_forward_norm": "norm_2",
                "feed_forward.up": "ffn.up_proj",
                "feed_forward.down": "ffn.down_proj",
            },
            {"text_embedding.table": "transformer.wte", "text_stream.norm": "transformer.norm_f"},
        ),
    ),
    "opt_125m": Family(
        "OPTForCausalLM",
        {**_SMALL, "ffn_dim": 96, "word_embed_proj_dim": WIDTH},
        (
            ("d: 768", "d: 24"),
            ("50272", "31"),
            ("depth: 12", "depth: 2"),
            ("heads: 12", "heads: 4"),
        ),
        {
            "text_embedding.table": ("model.decoder.embed_tokens",),
            "text_embedding.position": ("model.decoder.embed_positions.weight",),
            "text_stream.norm": ("model.decoder.final_layer_norm",),
            f"{_BLOCK}.attention.qkv": tuple(
                f"model.decoder.layers.#.self_attn.{x}_proj" for x in "qkv"
            ),
            **_fused(
                "model.decoder.layers.#",
                {
                    "attention_norm": "self_attn_layer_norm",
                    "attention.output": "self_attn.out_proj",
                    "feed_forward_norm": "final_layer_norm",
                    "feed_forward.up": "fc1",
                    "feed_forward.down": "fc2",
                },
                {},
            ),
        },
    ),
    "ijepa_huge": Family(
        "IJepaForImageClassification",
        _PICTURES,
        (("d: 1280", "d: 24"), ("depth: 32", "depth: 2"), ("heads: 16", "heads: 4"), *_seen(14)),
        _vit("image", "ijepa"),
    ),
    "vit_base": Family(
        "ViTForImageClassification",
        _PICTURES,
        (*_BASE, *_seen(16)),
        {**_vit("image", "vit"), "image_embedding.lead": ("vit.embeddings.cls_token",)},
    ),
    "deit_base": Family(
        "DeiTForImageClassification",
        _PICTURES,
        (*_BASE, *_seen(16)),
        {
            **_vit("image", "deit"),
            "image_embedding.lead": (
                "deit.embeddings.cls_token",
                "deit.embeddings.distillation_token",
            ),
        },
    ),
    "vivit_base": Family(
        "VivitForVideoClassification",
        {**_PICTURES, "tubelet_size": [2, 4, 4], "num_frames": 6},
        (
            *_BASE,
            *_seen(16)[:2],
            ("classes: 400", "classes: 5"),
            ("max: 32", "max: 6"),
        ),
        {**_vit("video", "vivit"), "video_embedding.lead": ("vivit.embeddings.cls_token",)},
    ),
    "bert_base": Family(
        "BertForSequenceClassification",
        {**_SMALL, "intermediate_size": 96, "max_position_embeddings": 16, "num_labels": 2},
        (*_BASE, ("vocab: 30522", "vocab: 31"), ("max: 512", "max: 16")),
        {
            **_BERT_LAYERS,
            "label_head.through.linear": ("bert.pooler.dense",),
            "label_head.output": ("classifier",),
        },
    ),
    "bert_pretraining": Family(
        "BertForPreTraining",
        {**_SMALL, "intermediate_size": 96, "max_position_embeddings": 16},
        (*_BASE, ("vocab: 30522", "vocab: 31"), ("max: 512", "max: 16")),
        {
            **_BERT_LAYERS,
            "word_head.through.linear": ("cls.predictions.transform.dense",),
            "word_head.through.norm": ("cls.predictions.transform.LayerNorm",),
            "word_head.bias": ("cls.predictions.bias",),
            "follows_head.through.linear": ("bert.pooler.dense",),
            "follows_head.output": ("cls.seq_relationship",),
        },
        outputs=("prediction_logits", "seq_relationship_logits"),
    ),
    "clip_vit_b32": Family(
        "CLIPModel",
        {
            "projection_dim": WIDTH,
            "text_config": {**_TWO_TOWERS, **_SMALL, "intermediate_size": 96, "eos_token_id": 30}
            | {"max_position_embeddings": 13},
            "vision_config": {**_TWO_TOWERS, "hidden_size": 32, "intermediate_size": 128}
            | {"patch_size": 4, "image_size": 8},
        },
        (
            ("d: 512, v: 768", "d: 24, v: 32"),
            *(("depth: 12", "depth: 2"), ("heads: 12", "heads: 4"), ("heads: 8", "heads: 4")),
            *(("224, 224", "8, 8"), ("patch: 32", "patch: 4"), ("vocab: 49408", "vocab: 31")),
            *(("max: 77", "max: 13"), ("marked(49407)", "marked(30)")),
        ),
        {
            "image_embedding.lead": ("vision_model.embeddings.class_embedding",),
            "image_embedding.position": ("vision_model.embeddings.position_embedding.weight",),
            "image_embedding.patch": ("vision_model.embeddings.patch_embedding",),
            "image_embedding.norm": ("vision_model.pre_layrnorm",),
            "image_stream.norm": ("vision_model.post_layernorm",),
            "text_embedding.table": ("text_model.embeddings.token_embedding",),
            "text_embedding.position": ("text_model.embeddings.position_embedding.weight",),
            "text_stream.norm": ("text_model.final_layer_norm",),
            "match_head.text_projection": ("text_projection",),
            "match_head.image_projection": ("visual_projection",),
            "match_head.scale": ("logit_scale",),
            **_tower("image", "vision_model"),
            **_tower("text", "text_model"),
        },
        outputs=("logits_per_text",),
    ),
}
"""By the name of the spec. GPT-2 has a test of its own."""
