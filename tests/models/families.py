"""Published architectures made small: their settings in transformers, and what makes specs so."""

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


@dataclass(frozen=True, slots=True)
class Small:
    """What stands in `specs/published/`, and its class and settings in transformers.

    edits: what makes the spec small, in the settings' sizes; outputs: what is there called what our
    heads say.
    """

    model: str
    settings: Mapping[str, Any]
    edits: tuple[tuple[str, str], ...]
    outputs: tuple[str, ...] = ("logits",)

    def made(self) -> Any:
        """A model of transformers, with random weights."""
        import transformers  # takes seconds, in each process that collects tests

        kind = getattr(transformers, self.model)
        found: nn.Module = kind(kind.config_class(**self.settings, attn_implementation="eager"))
        with torch.no_grad():
            for weight in found.parameters():
                weight.normal_(std=0.3)
        return found.eval()


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


_TWO_TOWERS: Final = {"num_hidden_layers": 2, "num_attention_heads": HEADS}


_SOUND: Final = {
    "d_model": WIDTH,
    **{f"{side}_layers": 2 for side in ("encoder", "decoder")},
    **{f"{side}_attention_heads": HEADS for side in ("encoder", "decoder")},
    **{f"{side}_ffn_dim": 4 * WIDTH for side in ("encoder", "decoder")},
    **{"num_mel_bins": 6, "max_source_positions": 8},
}
_SOUND_CUT: Final = (
    *(("d: 384", "d: 24"), ("depth: 4", "depth: 2"), ("heads: 6", "heads: 4")),
    *(("features: 80", "features: 6"), ("max: 3000", "max: 16")),
)


_SHARED: Final = {**_SMALL, "num_key_value_heads": 2, "intermediate_size": 40}


FAMILIES: Final = {
    "bart_base": Small(
        "BartForConditionalGeneration",
        {
            "dropout": 0.0,
            "vocab_size": 31,
            "d_model": WIDTH,
            **{f"{side}_layers": 2 for side in ("encoder", "decoder")},
            **{f"{side}_attention_heads": HEADS for side in ("encoder", "decoder")},
            **{f"{side}_ffn_dim": 4 * WIDTH for side in ("encoder", "decoder")},
        },
        (("d: 768", "d: 24"), ("50265", "31"), ("depth: 6", "depth: 2"), ("heads: 12", "heads: 4")),
    ),
    "t5_small": Small(
        "T5ForConditionalGeneration",
        {
            "dropout_rate": 0.0,
            "vocab_size": 31,
            "d_model": WIDTH,
            "d_kv": 6,
            "d_ff": 4 * WIDTH,
            "num_layers": 2,
            "num_heads": HEADS,
        },
        (("d: 512", "d: 24"), ("32128", "31"), ("depth: 6", "depth: 2"), ("heads: 8", "heads: 4")),
    ),
    "llama3_8b": Small(
        "LlamaForCausalLM",
        {"max_position_embeddings": 8192, **_SHARED, "rms_norm_eps": 1e-5, **_turning(500000.0)},
        (
            ("d: 4096", "d: 24"),
            ("128256", "31"),
            ("depth: 32", "depth: 2"),
            ("heads: 32", "heads: 4"),
            ("kv_heads: 8", "kv_heads: 2"),
            ("width: 14336", "width: 40"),
        ),
    ),
    "mistral_7b": Small(
        "MistralForCausalLM",
        {"max_position_embeddings": 32768, **_SHARED, "sliding_window": 6},
        (
            ("d: 4096", "d: 24"),
            ("32000", "31"),
            ("depth: 32", "depth: 2"),
            ("heads: 32", "heads: 4"),
            ("kv_heads: 8", "kv_heads: 2"),
            ("width: 14336", "width: 40"),
            ("4095", "5"),
        ),
    ),
    "qwen2_05b": Small(
        "Qwen2ForCausalLM",
        {**_SHARED, "tie_word_embeddings": True, **_turning(1000000.0)},
        (
            ("d: 896", "d: 24"),
            ("151936", "31"),
            ("depth: 24", "depth: 2"),
            ("heads: 14", "heads: 4"),
            ("width: 4864", "width: 40"),
        ),
    ),
    "qwen3_06b": Small(
        "Qwen3ForCausalLM",
        {
            "max_position_embeddings": 40960,
            **_SHARED,
            "head_dim": 8,
            "tie_word_embeddings": True,
            **_turning(1000000.0),
        },
        (
            ("d: 1024", "d: 24"),
            ("151936", "31"),
            ("depth: 28", "depth: 2"),
            ("heads: 16", "heads: 4"),
            ("kv_heads: 8", "kv_heads: 2"),
            ("head_width: 128", "head_width: 8"),
            ("3*d", "40"),
        ),
    ),
    "gemma_2b": Small(
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
    ),
    "gemma3_1b": Small(
        "Gemma3ForCausalLM",
        {
            "max_position_embeddings": 32768,
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
    ),
    "smollm3_3b": Small(
        "SmolLM3ForCausalLM",
        {
            "max_position_embeddings": 65536,
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
    ),
    "olmo2_1b": Small(
        "Olmo2ForCausalLM",
        {
            "max_position_embeddings": 4096,
            **_SMALL,
            "intermediate_size": 40,
            "rms_norm_eps": 1e-6,
            **_turning(500000.0),
        },
        (
            ("d: 2048", "d: 24"),
            ("100352", "31"),
            ("depth: 16", "depth: 2"),
            ("heads: 16", "heads: 4"),
            ("4*d", "40"),
        ),
    ),
    "starcoder2_3b": Small(
        "Starcoder2ForCausalLM",
        {
            "max_position_embeddings": 16384,
            **_SHARED,
            "intermediate_size": 96,
            "sliding_window": 6,
            **_turning(999999.4420358813),
        },
        (
            ("d: 3072", "d: 24"),
            ("49152", "31"),
            ("depth: 30", "depth: 2"),
            ("heads: 24", "heads: 4"),
            ("4095", "5"),
        ),
    ),
    "pythia_160m": Small(
        "GPTNeoXForCausalLM",
        {**_SMALL, "hidden_size": 32, "intermediate_size": 128},
        (
            ("d: 768", "d: 32"),
            ("50304", "31"),
            ("depth: 12", "depth: 2"),
            ("heads: 12", "heads: 4"),
        ),
    ),
    "falcon_7b": Small(
        "FalconForCausalLM",
        _SMALL,
        (
            ("d: 4544", "d: 24"),
            ("65024", "31"),
            ("depth: 32", "depth: 2"),
            ("heads: 71", "heads: 4"),
        ),
    ),
    "bloom_560m": Small(
        "BloomForCausalLM",
        {"vocab_size": 31, "hidden_size": WIDTH, "n_layer": 2, "n_head": HEADS},
        (
            ("d: 1024", "d: 24"),
            ("250880", "31"),
            ("depth: 24", "depth: 2"),
            ("heads: 16", "heads: 4"),
        ),
    ),
    "mpt_7b": Small(
        "MptForCausalLM",
        {"vocab_size": 31, "d_model": WIDTH, "n_layers": 2, "n_heads": HEADS},
        (
            ("d: 4096", "d: 24"),
            ("50432", "31"),
            ("depth: 32", "depth: 2"),
            ("heads: 32", "heads: 4"),
        ),
    ),
    "opt_125m": Small(
        "OPTForCausalLM",
        {"dropout": 0.0, **_SMALL, "ffn_dim": 96, "word_embed_proj_dim": WIDTH},
        (
            ("d: 768", "d: 24"),
            ("50272", "31"),
            ("depth: 12", "depth: 2"),
            ("heads: 12", "heads: 4"),
        ),
    ),
    "ijepa_huge": Small(
        "IJepaForImageClassification",
        _PICTURES,
        (("d: 1280", "d: 24"), ("depth: 32", "depth: 2"), ("heads: 16", "heads: 4"), *_seen(14)),
    ),
    "vit_base": Small(
        "ViTForImageClassification",
        _PICTURES,
        (*_BASE, *_seen(16)),
    ),
    "ast_base": Small(
        "ASTForAudioClassification",
        {
            **{key: value for key, value in _PICTURES.items() if key != "image_size"},
            **{"frequency_stride": 3, "time_stride": 3, "num_mel_bins": 8, "max_length": 12},
        },
        (
            *_BASE,
            *(("128, 1024", "8, 12"), ("kernel=16", "kernel=4"), ("stride=10", "stride=3")),
            ("classes: 527", "classes: 5"),
        ),
    ),
    "vit_msn": Small("ViTMSNForImageClassification", _PICTURES, (*_BASE, *_seen(16))),
    "deit_base": Small(
        "DeiTForImageClassification",
        _PICTURES,
        (*_BASE, *_seen(16)),
    ),
    "vivit_base": Small(
        "VivitForVideoClassification",
        {**_PICTURES, "tubelet_size": [2, 4, 4], "num_frames": 6},
        (
            *_BASE,
            *_seen(16)[:2],
            ("classes: 400", "classes: 5"),
            ("max: 32", "max: 6"),
        ),
    ),
    "whisper_tiny": Small(
        "WhisperForConditionalGeneration",
        {**_SOUND, "vocab_size": 31, "max_target_positions": 16, "pad_token_id": 0},
        (*_SOUND_CUT, ("vocab: 51865", "vocab: 31"), ("max: 448", "max: 16")),
    ),
    "whisper_classifier": Small(
        "WhisperForAudioClassification",
        {**_SOUND, "classifier_proj_size": 10},
        (*_SOUND_CUT, ("linear(256)", "linear(10)")),
    ),
    "speech2text_small": Small(
        "Speech2TextForConditionalGeneration",
        {
            **{key: value for key, value in _SOUND.items() if key != "num_mel_bins"},
            **{"vocab_size": 31, "dropout": 0.0, "input_feat_per_channel": 6, "conv_channels": 20},
            **{"max_source_positions": 16, "max_target_positions": 16, "pad_token_id": 1},
        },
        (
            *(("d: 256", "d: 24"), ("depth: 12", "depth: 2"), ("depth: 6", "depth: 2")),
            *(("features: 80", "features: 6"), ("max: 6000", "max: 16"), ("max: 1024", "max: 16")),
            *(("convolution(1024", "convolution(20"), ("vocab: 10000", "vocab: 31")),
            ("width: 8*d", "width: 4*d"),
        ),
    ),
    "videomae_base": Small(
        "VideoMAEForVideoClassification",
        {**_PICTURES, "tubelet_size": 2, "num_frames": 6},
        (*_BASE, *_seen(16)[:2], ("classes: 400", "classes: 5"), ("max: 16", "max: 6")),
    ),
    "blip_base": Small(
        "BlipForConditionalGeneration",
        {
            "text_config": {**_SMALL, "intermediate_size": 96, "max_position_embeddings": 16}
            | {"bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 2, "pad_token_id": 0}
            | {"hidden_dropout_prob": 0.0},
            "vision_config": {**_TWO_TOWERS, "hidden_size": WIDTH, "intermediate_size": 96}
            | {"patch_size": 4, "image_size": 8},
        },
        (
            *_BASE,
            *(("384, 384", "8, 8"), ("patch: 16", "patch: 4"), ("vocab: 30524", "vocab: 31")),
            ("max: 512", "max: 16"),
        ),
    ),
    "git_base": Small(
        "GitForCausalLM",
        {
            **_SMALL,
            **{"hidden_dropout_prob": 0.0, "intermediate_size": 96, "max_position_embeddings": 16},
            **{"bos_token_id": 1, "eos_token_id": 2},
            "vision_config": {**_TWO_TOWERS, "hidden_size": WIDTH, "intermediate_size": 96}
            | {"patch_size": 4, "image_size": 8},
        },
        (
            *(("d: 768", "d: 24"), ("depth: 12", "depth: 2"), ("depth: 6", "depth: 2")),
            *(("heads: 12", "heads: 4"), ("vocab: 30522", "vocab: 31"), ("max: 1024", "max: 16")),
            *_seen(16)[:2],
        ),
    ),
    "bert_base": Small(
        "BertForSequenceClassification",
        {
            "hidden_dropout_prob": 0.0,
            **_SMALL,
            "intermediate_size": 96,
            "max_position_embeddings": 16,
            "num_labels": 2,
        },
        (*_BASE, ("vocab: 30522", "vocab: 31"), ("max: 512", "max: 16")),
    ),
    "bert_pretraining": Small(
        "BertForPreTraining",
        {
            "hidden_dropout_prob": 0.0,
            **_SMALL,
            "intermediate_size": 96,
            "max_position_embeddings": 16,
        },
        (*_BASE, ("vocab: 30522", "vocab: 31"), ("max: 512", "max: 16")),
        outputs=("prediction_logits", "seq_relationship_logits"),
    ),
    "clip_vit_b32": Small(
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
        outputs=("logits_per_text",),
    ),
    "chinese_clip": Small(
        "ChineseCLIPModel",
        {
            "projection_dim": 20,
            "text_config": {**_SMALL, "intermediate_size": 96, "max_position_embeddings": 16}
            | {"hidden_dropout_prob": 0.0},
            "vision_config": {**_TWO_TOWERS, "hidden_size": WIDTH, "intermediate_size": 96}
            | {"patch_size": 4, "image_size": 8},
        },
        (
            *_BASE,
            *(("224, 224", "8, 8"), ("patch: 16", "patch: 4"), ("vocab: 21128", "vocab: 31")),
            *(("max: 512", "max: 16"), ("width: 512", "width: 20")),
        ),
        outputs=("logits_per_text",),
    ),
    "visual_bert": Small(
        "VisualBertForVisualReasoning",
        {
            **_SMALL,
            **{"hidden_dropout_prob": 0.0, "intermediate_size": 96, "max_position_embeddings": 16},
            **{"visual_embedding_dim": 20, "num_labels": 2},
        },
        (
            *_BASE,
            *(
                ("vocab: 30522", "vocab: 31"),
                ("max: 512", "max: 16"),
                ("features: 1024", "features: 20"),
            ),
            ("place: {categories: 512}", "place: {categories: 16}"),
        ),
    ),
    "pix2struct_base": Small(
        "Pix2StructForConditionalGeneration",
        {
            "text_config": {
                "hidden_size": WIDTH,
                "vocab_size": 31,
                "num_layers": 2,
                "num_heads": HEADS,
            }
            | {"d_kv": 6, "d_ff": 40, "dropout_rate": 0.0},
            "vision_config": {**_TWO_TOWERS, "hidden_size": WIDTH, "patch_embed_hidden_size": 12}
            | {"d_kv": 6, "d_ff": 40, "seq_len": 64},
        },
        (
            *_BASE,
            *(("features: 768", "features: 12"), ("4096", "64"), ("vocab: 50244", "vocab: 31")),
            ("width: 2048", "width: 40"),
        ),
    ),
    "bark_coarse": Small(
        "BarkCoarseModel",
        {
            **{"input_vocab_size": 31, "output_vocab_size": 31, "hidden_size": WIDTH},
            **{"num_layers": 2, "num_heads": HEADS, "block_size": 16, "bias": False},
        },
        (*_BASE, ("vocab: 12096", "vocab: 31"), ("max: 1024", "max: 16")),
    ),
    "gpt2_small": Small(
        "GPT2LMHeadModel",
        {"vocab_size": 31, "n_embd": WIDTH, "n_layer": 2, "n_head": HEADS, "n_positions": 16},
        (*_BASE, ("50257", "31"), ("max: 1024", "max: 16")),
    ),
}
"""By the name of the spec."""
