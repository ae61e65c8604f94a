"""Other words for what a spec says: those of transformers, timm, fairseq and of papers.

Each line of a table begins with our word. A key that stands one level deeper here is written
with its way, `feed_forward.width`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

_KEYS: Final = """
width: d_model hidden_size hidden_dim hidden embed_dim embedding_dim emb_dim n_embd n_embed dim
width: model_dim d d_embed encoder_embed_dim decoder_embed_dim num_channels channels proj_dim
width: projection_dim intermediate_size d_ff d_inner dim_feedforward ffn_dim ffn_hidden_size n_inner
width: mlp_dim mlp_ratio encoder_ffn_embed_dim decoder_ffn_embed_dim ff_dim d_hidden
depth: n_layer n_layers num_layers num_hidden_layers layers num_blocks n_blocks blocks
depth: encoder_layers decoder_layers num_encoder_layers num_decoder_layers
heads: num_heads n_head n_heads num_attention_heads attention_heads nhead encoder_attention_heads
heads: decoder_attention_heads head outputs tasks lm_head output_heads prediction_heads task_heads
heads: classification_head classifier_head cls_head regression_head output_head prediction_head
kv_heads: num_key_value_heads num_kv_heads n_kv_heads kv_head n_kv_head
head_width: head_dim d_head d_kv head_size dim_head
attention: attn mask masks attn_mask attention_mask self_attention attn_type sparsity
feed_forward: ffn mlp ff feedforward ffw moe feed_forward_network ffn_type
feed_forward.width: intermediate_size d_ff d_inner dim_feedforward ffn_dim ffn_hidden_size n_inner
feed_forward.width: mlp_dim mlp_ratio encoder_ffn_embed_dim decoder_ffn_embed_dim ff_dim ff_width
feed_forward.activation: hidden_act act_fn activation_function act act_layer activation_fn
feed_forward.activation: activation nonlinearity mlp_act
feed_forward.experts: num_experts n_experts num_local_experts n_routed_experts experts
feed_forward.choose: top_k topk num_experts_per_tok moe_top_k experts_per_token
activation: hidden_act act_fn activation_function act act_layer activation_fn nonlinearity
experts: num_experts n_experts num_local_experts n_routed_experts expert_count
choose: top_k topk k num_experts_per_tok moe_top_k experts_per_token
balance: router_aux_loss_coef aux_loss_coef load_balance balance_loss load_balancing
renormalise: normalize norm_topk_prob renormalize normalise
norm: groupnorm group_norm
scores: attention_bias score_mod score_function attn_bias
qk_norm: use_qk_norm qk_layernorm qk_layer_norm query_key_norm q_norm k_norm
scale: attention_scale softmax_scale attention_multiplier query_pre_attn_scalar logit_scale
scale: logits_scaling
buckets: t5 relative_buckets bucketed
count: num_buckets relative_attention_num_buckets buckets
reach: max_distance relative_attention_max_distance max_relative_position
relative: relative_position position_bias relative_attention_bias relative_bias
norm: norm_type normalization normalisation layernorm layer_norm norm_layer normalization_type
norm.eps: layer_norm_eps norm_eps rms_norm_eps layer_norm_epsilon layernorm_epsilon epsilon
norm.placement: norm_first pre_norm prenorm post_norm normalize_before
placement: norm_first position where
offset: unit_offset add_unit_offset plus_one zero_centered
rotary.base: rope_theta rotary_base rope_base rotary_emb_base
rotary.partial: partial_rotary_factor rotary_pct rotary_percent rotary_dim
rotary.scaling: rope_scaling rope_parameters
base: theta rope_theta frequency
partial: partial_rotary_factor rotary_pct percent fraction rotary_dim
scaling: rope_scaling rope_type
interleaved: rotary_interleaved rope_interleaved neighbours
rotary: rope rotary_embedding
key: k k_proj
query: q q_proj
value: v v_proj values
output: o o_proj out_proj proj
eps: epsilon layer_norm_eps
groups: num_groups n_groups norm_groups num_norm_groups
dropout: dropout_rate drop drop_rate p_drop resid_pdrop attn_pdrop hidden_dropout_prob
dropout: attention_dropout hidden_dropout residual_dropout dropout_p dropout_prob attn_drop
dropout: attention_probs_dropout_prob ff_dropout ffn_dropout
bias: use_bias qkv_bias add_bias attention_bias biases
final_norm: norm_final ln_f final_layer_norm use_final_norm
act: adaptive graves
halting: early_exit act pondering adaptive_computation adaptive
from: input inputs source sources reads in stream
of: inputs sources streams modalities inputs_from
fusion: type kind method
queries: num_latents n_latents latents num_queries n_queries num_query_tokens
kind: type modality_type name class head_type task
vocab: vocab_size n_vocab num_tokens vocabulary vocabulary_size num_embeddings n_tokens
length: max_position_embeddings n_positions block_size seq_len max_seq_len max_length n_ctx
length: context_length max_len context seq_length sequence_length num_frames n_frames frames
length: max_sequence_length max_source_positions max_frames
max: maximum max_length max_len at_most longest
position: position_embedding_type pos_embed position_embedding positional positional_encoding
position: pos positions rope pos_emb position_encoding
optional: required nullable missing
size: img_size image_size resolution shape input_size
patch: patch_size patch_length stride hop downsample patch_embed
channels: in_chans in_channels num_channels n_channels
tubelet: tubelet_size temporal_patch temporal_patch_size t_patch
rate: fps frame_rate sampling_rate sample_rate sr hz frequency
features: n_mels num_mel_bins mels feature_size input_dim num_features n_features in_features bands
features: feature_dim
columns: fields features cols variables
categories: num_categories cardinality size n_categories classes num_classes
classes: num_classes n_classes num_labels nb_classes n_labels labels
pool: pooling global_pool pool_type pooler class_token cls_token use_cls_token
outputs: out_features output_dim num_outputs n_outputs out_dim num_targets targets
tied: tie_word_embeddings tie_weights tied_embeddings weight_tying share_embeddings tie
temperature: temp tau logit_scale logit_scale_init_value
modality: tokens segment input
smoothing: label_smoothing smooth
weight: loss_weight coef coefficient lambda scale kl_weight beta
loss: loss_fn criterion objective
at_most: max_steps n_steps steps max_iterations
prior: lambda_p prior_p p
threshold: tau confidence confidence_threshold
every: interval each step
head: head_name classifier
modalities: modality inputs features encoders encoder
streams: stream encoder decoder backbone layers blocks towers encoders decoders transformers trunk
streams: backbones transformer
objectives: losses loss objective
about: description desc doc title comment
name: id title model model_name
dims: params variables sizes dimensions constants vars
init: initialization initialisation initializer initialiser weight_init init_method init_weights
init: weights_init parameter_init init_scheme initialize initialise reset_parameters
init: initializer_range init_std init_method_std initialization_std initializer_std
std: initializer_range stddev sigma scale standard_deviation init_std deviation
claims: claim assertions properties asserts checks
mmspec: version
"""

_VALUES: Final = """
tokens: text token words string language ids
image: images picture photo img vision pixels
video: videos movie clip frames
audio: sound speech waveform wav spectrogram mel
series: timeseries time_series sensor sensors signal sequence imu
table: tabular csv row features categorical
classifier: classification class classify softmax logits sequence-classification cls_head
classifier: classification_head classifier_head
regressor: regression regress linear scalar regression_head regressor_head
language-model: lm causal_lm causal-lm next_token next-token generation decoder mlm autoregressive
language-model: lm_head lm_head_model for_causal_lm language_modeling language-modelling unembedding
contrastive: clip contrast infonce siglip
experts: moe mixture_of_experts mixture-of-experts sparse_moe
glu: swiglu geglu gated gated_mlp gated-mlp reglu
mlp: ffn dense feed_forward linear
silu: swish swiglu
gelu-tanh: gelu_new gelu_pytorch_tanh gelu_fast gelu_approx
quick-gelu: quick_gelu quickgelu
layer: layernorm layer_norm ln
rms: rmsnorm rms_norm
group: groupnorm group_norm gn
alibi: linear_bias linear_biases attention_with_linear_biases
pre: prenorm pre_norm pre-norm first before
sandwich: sandwich_norm pre_post double
branch: res_post res-post-norm branch_norm
post: postnorm post_norm post-norm after
rotary: rope rotary_embedding
sincos: sinusoidal sine sin fixed sinusoid
sincos-2d: sincos2d 2d 2d-sincos sinusoidal-2d
learned: learnable absolute embedding trained
none: no off
first: cls cls_token class_token class-token token bos
mean: avg average gap global_avg
last: eos last_token last-token final
cross-entropy: ce crossentropy cross_entropy nll xent
mse: l2 mean-squared-error mean_squared_error
next-token: lm clm causal-lm
masked: mlm masked-lm masked_lm cloze
cross-attention: cross_attention crossattention xattn
attention: perceiver latents resampler qformer q-former
concat: concatenate cat concatenation early
gated: gate gmu
transformer: encoder self-attention merged
ponder: pondernet
exit: early_exit early-exit
fan-in: default torch pytorch lecun kaiming_uniform he_uniform
gpt2: gpt nanogpt gpt2_init gpt3
normal: gaussian normal_ randn random_normal
truncated-normal: trunc_normal trunc_normal_ truncnorm
number: float int integer numeric real num
full: bidirectional all dense none_masked global_attention full_attention encoder
causal: autoregressive decoder triangular tril lower_triangular unidirectional
window: local sliding sliding_window sliding_window_attention banded
window2d: neighborhood neighbourhood natten
shifted_window: swin
block: block_diagonal chunked chunk blockwise
prefix: prefix_lm
document: packed documents
global: global_tokens cls
Hz: fps hertz
kHz: kilohertz
s: sec secs second seconds
ms: msec millisecond milliseconds
us: microsecond microseconds
min: mins minute minutes
"""

NUMBERS: Final = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
}
"""Words that a person may write for a number."""

VOCABULARIES: Final = {
    "bert-base-uncased": 30522,
    "bert-large-uncased": 30522,
    "distilbert-base-uncased": 30522,
    "bert-base-cased": 28996,
    "bert-base-multilingual-cased": 119547,
    "gpt2": 50257,
    "roberta-base": 50265,
    "roberta-large": 50265,
    "bart-base": 50265,
    "t5-small": 32128,
    "t5-base": 32128,
    "xlm-roberta-base": 250002,
    "llama-2": 32000,
    "llama-3": 128256,
    "mistral": 32000,
    "clip": 49408,
    "whisper": 51865,
    "cl100k_base": 100277,
    "o200k_base": 200019,
    "bytes": 256,
    "byte": 256,
    "utf-8": 256,
    "ascii": 128,
}
"""How many ids the tokenizers have whose names people write."""


_ABSENT: Final = {
    "there is no stochastic depth; `dropout` is another thing": """
        drop_path drop_path_rate path_drop path_dropout drop_connect drop_connect_rate
        stochastic_depth stochastic_depth_rate stochastic_depth_prob sd_prob layer_drop
        layer_drop_rate drop_layer encoder_layer_drop decoder_layer_drop layer_dropout
        survival_prob""",
    "dropout is of attention and feed-forward, not of tokens or channels": """
        token_dropout patch_dropout patch_drop_rate dropout_2d spatial_dropout word_dropout
        embedding_dropout embd_pdrop embed_dropout emb_dropout pos_drop input_dropout head_dropout
        attention_head_dropout classifier_dropout""",
    "images are not normalised by patch": "patch_norm",
    "a norm is of one token: none is over samples or tokens": "batch_norm bn instance_norm",
}
"""What a spec cannot say, in words, and the keys that others have for it."""


def absent(word: str) -> str:
    """Why a key of another library has no place anywhere in a spec; empty where it may."""
    near = (said for said, theirs in _ABSENT.items() if plain(word) in map(plain, theirs.split()))
    return next(near, "")


@cache
def _table(text: str) -> dict[str, tuple[str, ...]]:
    """Our words for each other word, those first that stand first."""
    found: dict[str, list[str]] = {}
    for line in text.strip().splitlines():
        ours, _, others = line.partition(": ")
        for word in others.split():
            found.setdefault(plain(word), []).append(ours)
    return {word: tuple(dict.fromkeys(ours)) for word, ours in found.items()}


def plain(word: str) -> str:
    """A word without what people write differently: case, `-`, `_` and blanks."""
    return re.sub(r"[-_ ]", "", word[:100].casefold())


def keys_meant(word: str) -> Sequence[str]:
    """Our keys that another word for a key may mean, with their way where they stand deeper."""
    return _table(_KEYS).get(plain(word), ())


def meant(word: str, valid: Iterable[str]) -> str | None:
    """The one of the valid values that another word, or another way to write it, means."""
    valid = list(valid)
    same = next((each for each in valid if plain(each) == plain(word)), None)
    others = _table(_VALUES).get(plain(word), ())
    return same or next((each for each in others if each in valid), None)
