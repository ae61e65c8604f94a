"""The Plan and what it is made of, one file a concern.

    plan       = Plan(name, about, init, inputs*, nodes*, heads*, spans)
    init       = Normal | None                              -- None: each part starts by itself
    input      = Input(name, raw, longest, tokens, optional, added*)
    node       = Embed(value, modality, raw, sum) | Project(value, source)
               | Fuse(value, fusion, sources*)
               | Stack(value, source, variants*, order*, repeat, final_norm, halting)
    value      = Value(name, segments*, width)              -- tokens [B, sum of lengths, width]
    segment    = Segment(name, tokens, geometry, modality, rotary, optional, leads)
    variant    = Block(width, sublayers*)
    sublayer   = Sublayer(name, mixer, before, after, post, dropout, scale, weighed, joins, awaits,
                          shared)                           -- weighed: LayerScale | Gate | None
    norm       = LayerNorm | RmsNorm | GroupNorm            -- before, after, post: a norm or None
    mixer      = Attention | Mlp | Glu | Experts | ByModality
    attention  = Attention(owner, queries*, keys*, groups*, heads, kv_heads, head_width,
                           rotary, bias, excepted*, scores, read, key_width, key_norm)
                                                            -- read: another stream's value
    rotary     = Rotary(width, base, interleaved, scaling: Linear | Llama3 | None) | None
    scores     = Scores(relative, lines*) | None            -- relative: Alibi | Buckets | Offsets
    groups     = Group(heads, masks)*                       -- heads that share masks, in order
    masks      = (query, key, mask)*                        -- a pair not listed sees nothing
    fusion     = Concat | Gated | Latents | CrossAttention | Film | Transformer
               | SigmoidGated | WeightedSum | Bilinear
    halting    = Ponder | Exit | None
    step       = LinearStep | NormStep | BatchNormStep | ActivationStep | GateStep | ConvolutionStep
               | PoolingStep
    path       = step*                                      -- a stem of a Picture, or ()
    sum        = Sum(position, scale, norm, added*, lead)   -- norm(scale * x + added + position)
    raw        = Ids(vocab, ngrams) | Row | Picture | Clip | Audio | Series
    head       = Head(name, answer, sources*, size, loss, weight)
    answer     = Classifier | Regressor | LanguageModel | Contrastive -- the first two by steps*
    loss       = CrossEntropy | Smoothed | SquaredError | NextToken | Masked | BothWays

Sizes are ints; a length is `Tokens(symbol, max)` (a symbol: tokens of that modality, at most max)
or `Tokens(None, n)` (always n); symbols of a geometry count what its axes say. Node order is
execution order. Every node carries its span. An `Attention` is a site: a stream's blocks and a
fusion attend by the same record, and whatever is asked of attention is asked of it.
"""

from mmspec.compiler.ir.attention import Attention, Group, Pairs, Patterns
from mmspec.compiler.ir.fusion import (
    Concat,
    CrossAttention,
    Fuse,
    Fusion,
    Gated,
    Latents,
    Once,
    Transformer,
)
from mmspec.compiler.ir.halting import Exit, Halting, Ponder
from mmspec.compiler.ir.head import (
    EVERY,
    Answer,
    Classifier,
    Contrastive,
    Head,
    LanguageModel,
    Pooled,
    Regressor,
    Taken,
)
from mmspec.compiler.ir.init import Normal
from mmspec.compiler.ir.input import Embed, Input
from mmspec.compiler.ir.modality import (
    Audio,
    Clip,
    Frames,
    Ids,
    Picture,
    Raw,
    Row,
    Series,
)
from mmspec.compiler.ir.ngrams import Ngrams
from mmspec.compiler.ir.norm import GroupNorm, LayerNorm, Norm, RmsNorm
from mmspec.compiler.ir.objective import (
    BothWays,
    CrossEntropy,
    Loss,
    Masked,
    NextToken,
    Smoothed,
    SquaredError,
)
from mmspec.compiler.ir.path import (
    ActivationStep,
    BatchNormStep,
    ConvolutionStep,
    GateStep,
    LinearStep,
    NormStep,
    Path,
    PoolingStep,
    Step,
)
from mmspec.compiler.ir.plan import Node, Plan
from mmspec.compiler.ir.position import Position
from mmspec.compiler.ir.reading import Pool, Reading
from mmspec.compiler.ir.rotary import Linear, Llama3, Rotary
from mmspec.compiler.ir.routing import ByModality, Experts, FeedForward, Glu, Mlp
from mmspec.compiler.ir.scores import Alibi, Buckets, Common, Offsets, Relative, Scores
from mmspec.compiler.ir.stream import (
    Block,
    Gate,
    LayerScale,
    Mixer,
    Project,
    Stack,
    Sublayer,
    Weighing,
)
from mmspec.compiler.ir.sum import Added, Sum
from mmspec.compiler.ir.tokens import Segment, Tokens, Value

__all__ = [
    "EVERY",
    "ActivationStep",
    "Added",
    "Alibi",
    "Answer",
    "Attention",
    "Audio",
    "BatchNormStep",
    "Block",
    "BothWays",
    "Buckets",
    "ByModality",
    "Classifier",
    "Clip",
    "Common",
    "Concat",
    "Contrastive",
    "ConvolutionStep",
    "CrossAttention",
    "CrossEntropy",
    "Embed",
    "Exit",
    "Experts",
    "FeedForward",
    "Frames",
    "Fuse",
    "Fusion",
    "Gate",
    "GateStep",
    "Gated",
    "Glu",
    "Group",
    "GroupNorm",
    "Halting",
    "Head",
    "Ids",
    "Input",
    "LanguageModel",
    "Latents",
    "LayerNorm",
    "LayerScale",
    "Linear",
    "LinearStep",
    "Llama3",
    "Loss",
    "Masked",
    "Mixer",
    "Mlp",
    "NextToken",
    "Ngrams",
    "Node",
    "Norm",
    "NormStep",
    "Normal",
    "Offsets",
    "Once",
    "Pairs",
    "Path",
    "Patterns",
    "Picture",
    "Plan",
    "Ponder",
    "Pool",
    "Pooled",
    "PoolingStep",
    "Position",
    "Project",
    "Raw",
    "Reading",
    "Regressor",
    "Relative",
    "RmsNorm",
    "Rotary",
    "Row",
    "Scores",
    "Segment",
    "Series",
    "Smoothed",
    "SquaredError",
    "Stack",
    "Step",
    "Sublayer",
    "Sum",
    "Taken",
    "Tokens",
    "Transformer",
    "Value",
    "Weighing",
]
